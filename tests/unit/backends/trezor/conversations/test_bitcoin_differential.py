"""What we send a Trezor for a transaction is what trezorlib's own ``btc.sign_tx`` sends, message for message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
from embit import script
from embit.networks import NETWORKS
from trezorlib import btc, ethereum, messages
from trezorlib.mapping import DEFAULT_MAPPING

from bursar.bitcoin.script import ScriptType
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.conformance.questions import STRANGER_SCRIPT, Spend, question

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

INPUT = {
    ScriptType.P2PKH: messages.InputScriptType.SPENDADDRESS,
    ScriptType.P2SH_P2WPKH: messages.InputScriptType.SPENDP2SHWITNESS,
    ScriptType.P2WPKH: messages.InputScriptType.SPENDWITNESS,
    ScriptType.P2TR: messages.InputScriptType.SPENDTAPROOT,
}
OUTPUT = {
    ScriptType.P2PKH: messages.OutputScriptType.PAYTOADDRESS,
    ScriptType.P2SH_P2WPKH: messages.OutputScriptType.PAYTOP2SHWITNESS,
    ScriptType.P2WPKH: messages.OutputScriptType.PAYTOWITNESS,
    ScriptType.P2TR: messages.OutputScriptType.PAYTOTAPROOT,
}
STRANGER = script.Script(STRANGER_SCRIPT).address(NETWORKS["regtest"])


class Session:
    """A trezorlib session over a device of paper."""

    def __init__(self, device: Any) -> None:
        self.device = device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def call(self, message: Any, *, expect: Any = None, timeout: float | None = None) -> Any:
        reply = self.device.call(message)
        assert expect is None or isinstance(reply, expect)
        return reply


def by_trezorlib(session: Session, psbt: Psbt, spends: list[Spend], change: Any) -> Any:
    """The same transaction as a program on trezorlib alone would sign it."""
    inputs, previous = [], {}
    for spending, spend, one in zip(psbt.tx.inputs, spends, psbt.inputs, strict=True):
        before = one.non_witness_utxo
        assert before is not None
        tx_hash = spending.outpoint.txid[::-1]
        inputs.append(
            messages.TxInputType(
                address_n=list(spend.account.path(spend.branch, spend.index)),
                prev_hash=tx_hash,
                prev_index=spending.outpoint.vout,
                sequence=spending.sequence,
                amount=int(psbt.utxo(0).value),
                script_type=INPUT[spend.account.script_type],
            )
        )
        previous[tx_hash] = messages.TransactionType(
            version=before.version,
            lock_time=before.locktime,
            inputs=[
                messages.TxInputType(
                    prev_hash=each.outpoint.txid[::-1],
                    prev_index=each.outpoint.vout,
                    script_sig=each.script_sig,
                    sequence=each.sequence,
                )
                for each in before.inputs
            ],
            bin_outputs=[
                messages.TxOutputBinType(amount=int(each.value), script_pubkey=each.script) for each in before.outputs
            ],
        )
    stranger, rest = psbt.tx.outputs
    outputs = [
        messages.TxOutputType(
            address=STRANGER, amount=int(stranger.value), script_type=messages.OutputScriptType.PAYTOADDRESS
        ),
        messages.TxOutputType(
            address_n=list(change.path(1, 3)), amount=int(rest.value), script_type=OUTPUT[change.script_type]
        ),
    ]
    return btc.sign_tx(
        session,
        "Regtest",
        inputs,
        outputs,
        prev_txes=previous,
        version=psbt.tx.version,
        lock_time=psbt.tx.locktime,
        serialize=False,
    )


@pytest.mark.parametrize("schemes", [(one,) for one in Scheme] + [tuple(Scheme)], ids=lambda one: one[-1].name)
def test_the_same_messages_are_sent(trezor: SimpleNamespace, schemes: tuple[Scheme, ...]) -> None:
    spends = [Spend(trezor.account(scheme), number % 2, number) for scheme in schemes for number in range(3)]
    change = trezor.account(schemes[0])
    psbt = question(spends, change=change, locktime=77)
    signer = trezor.signer()
    before = len(signer.device.heard)
    signed = signer.sign_psbt(psbt)
    ours = [heard for heard in signer.device.heard[before:] if heard[0] != messages.GetPublicKey.MESSAGE_WIRE_TYPE]
    theirs = trezor.device()
    signatures, serialized = by_trezorlib(Session(theirs), psbt, spends, change)
    assert [DEFAULT_MAPPING.decode(*one) for one in ours] == [DEFAULT_MAPPING.decode(*one) for one in theirs.heard]
    assert serialized == b""
    for one, signature, spend in zip(signed.inputs, signatures, spends, strict=True):
        if spend.account.script_type is ScriptType.P2TR:
            assert one.tap_key_sig == signature
        else:
            assert list(one.partial_sigs.values()) == [signature + b"\x01"]
    # byte for byte, but for inputs of previous transactions: there trezorlib sends two defaults that mean nothing
    for mine, other in zip(ours, theirs.heard, strict=True):
        extra = b"\x30\x00\xa0\x01\x00"
        assert mine == other or (
            mine[0] == other[0] == 22 and other[1].endswith(extra) and len(other[1]) == len(mine[1]) + len(extra)
        )


def test_the_same_ethereum_messages_are_sent(trezor: SimpleNamespace) -> None:
    path = DerivationPath.from_text("m/44h/60h/0h/0/7")
    to = Address(bytes(range(20)))
    entry = AccessListEntry(to, (bytes(32), bytes(range(32))))
    data = bytes(range(256)) * 9
    session = Session(trezor.device())
    signer = trezor.signer()
    before = len(signer.device.heard)
    for chain_id in (1, 31337, 2**31, 5 * 10**9):
        tx = UnsignedTransaction(
            type=2,
            chain_id=chain_id,
            nonce=3,
            to=to,
            value=Wei(10**18),
            data=data,
            gas_limit=90_000,
            max_fee_per_gas=Wei(3 * 10**9),
            max_priority_fee_per_gas=Wei(0),
            access_list=(entry,),
        )
        signature = signer.sign_transaction(path, tx)
        v, r, s = ethereum.sign_tx_eip1559(
            session,
            list(path),
            nonce=3,
            gas_limit=90_000,
            to=str(to),
            value=10**18,
            data=data,
            chain_id=chain_id,
            max_gas_fee=3 * 10**9,
            max_priority_fee=0,
            access_list=[messages.EthereumAccessList(address=str(to), storage_keys=list(entry.storage_keys))],
        )
        assert (signature.y_parity, signature.r, signature.s) == (v, int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        old = UnsignedTransaction(
            type=0, chain_id=chain_id, nonce=0, to=None, value=Wei(0), data=data, gas_limit=90_000, gas_price=Wei(7)
        )
        signature = signer.sign_transaction(path, old)
        v, r, s = ethereum.sign_tx(
            session,
            list(path),
            nonce=0,
            gas_price=7,
            gas_limit=90_000,
            to="",
            value=0,
            data=data,
            chain_id=chain_id,
        )
        assert v == 35 + 2 * chain_id + signature.y_parity
        assert (signature.r, signature.s) == (int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    ours, theirs = signer.device.heard[before:], session.device.heard
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        mine_read, other_read = DEFAULT_MAPPING.decode(*mine), DEFAULT_MAPPING.decode(*other)
        if hasattr(other_read, "chunkify"):
            other_read.chunkify = None  # trezorlib writes out its default, false
        assert mine_read == other_read
