"""How long the fields of a message may be for a Trezor One, which has a fixed place for each."""

from __future__ import annotations

# Message, then field=bytes for a text (one less than given fits) or bytes, field=*items, field=*itemsxbytes.
_TABLE = """
Initialize session_id=32
PinMatrixAck pin=51
PassphraseAck passphrase=51
Ping message=256
ApplySettings language=17 label=33 homescreen=1024
LoadDevice mnemonics=*16x241 pin=51 language=17 label=33
ResetDevice language=17 label=33
EntropyAck entropy=128
RecoveryDevice language=17 label=33
WordAck word=12
GetFirmwareHash challenge=32
HDNodeType chain_code=32 private_key=32 public_key=33
HDNodePathType address_n=*8
MultisigRedeemScriptType pubkeys=*15 signatures=*15x73 nodes=*15 address_n=*8
GetPublicKey address_n=*8 ecdsa_curve_name=32 coin_name=21
GetAddress address_n=*8 coin_name=21
SignMessage address_n=*8 message=1024 coin_name=21
VerifyMessage address=130 signature=65 message=1024 coin_name=21
SignTx coin_name=21
TransactionType inputs=*1 bin_outputs=*1 outputs=*1 extra_data=1024
TxInputType address_n=*8 prev_hash=32 script_sig=1650 witness=109 ownership_proof=147 commitment_data=70 orig_hash=32 script_pubkey=520
TxOutputType address=130 address_n=*8 op_return_data=150 orig_hash=32
TxOutputBinType script_pubkey=520
EthereumGetAddress address_n=*8 encoded_network=1024
EthereumGetPublicKey address_n=*8
EthereumSignMessage address_n=*8 message=1024 encoded_network=1024
EthereumVerifyMessage address=43 signature=65 message=1024
EthereumSignTypedHash address_n=*8 domain_separator_hash=32 message_hash=32 encoded_network=1024
EthereumDefinitions encoded_network=1024 encoded_token=1024
EthereumSignTx address_n=*8 nonce=32 gas_price=32 gas_limit=32 to=43 value=32 data_initial_chunk=1024
EthereumSignTxEIP1559 address_n=*8 nonce=32 max_gas_fee=32 max_priority_fee=32 gas_limit=32 to=43 value=32 data_initial_chunk=1024 access_list=*12
EthereumAccessList address=43 storage_keys=*12x32
EthereumTxAck data_chunk=1024
"""  # noqa: E501 - a table

Limit = tuple[int | None, int | None]


def _limit(text: str) -> Limit:
    """Items and bytes."""
    if not text.startswith("*"):
        return None, int(text)
    count, _, size = text[1:].partition("x")
    return int(count), int(size) if size else None


def _parsed() -> dict[tuple[str, str], Limit]:
    limits = {}
    for line in _TABLE.split("\n"):
        message, _, fields = line.partition(" ")
        for field in fields.split():
            name, _, text = field.partition("=")
            limits[message, name] = _limit(text)
    return limits


LIMITS = _parsed()
"""(message, field) -> the most items and the most bytes of each, None where there is no such limit."""
