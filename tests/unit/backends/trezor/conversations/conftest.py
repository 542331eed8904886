"""A Trezor of paper: it asks in the order the firmware does, rebuilds what it is told, and signs it by embit."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Generator, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from embit import bip32, bip39, ec, script
from embit.transaction import SIGHASH, Transaction, TransactionInput, TransactionOutput
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys import keys as eth_keys
from trezorlib import messages as m
from trezorlib.mapping import DEFAULT_MAPPING

from bursar.backends.trezor.abilities import Firmware
from bursar.backends.trezor.addresses import show_address, show_ethereum_address
from bursar.backends.trezor.bitcoin_signing import sign_psbt
from bursar.backends.trezor.encoding import encode
from bursar.backends.trezor.ethereum import sign_transaction
from bursar.backends.trezor.messages import sign_message, sign_personal_message
from bursar.backends.trezor.public_keys import public_key, root_fingerprint
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.errors import SignerUnavailableError
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme, account_path
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

WORDS = " ".join(["all"] * 12)
HARDENED = 1 << 31
NETWORKS = {
    "Bitcoin": {"bech32": "bc", "p2pkh": b"\x00", "p2sh": b"\x05"},
    "Testnet": {"bech32": "tb", "p2pkh": b"\x6f", "p2sh": b"\xc4"},
    "Signet": {"bech32": "tb", "p2pkh": b"\x6f", "p2sh": b"\xc4"},
    "Regtest": {"bech32": "bcrt", "p2pkh": b"\x6f", "p2sh": b"\xc4"},
}
VERSIONS = {False: bytes.fromhex("0488b21e"), True: bytes.fromhex("043587cf")}
R = m.RequestType
I = m.InputScriptType  # noqa: E741

Flow = Generator[Any, Any, Any]


class RefusedError(Exception):
    """The device of paper would answer a Failure with this text."""


def wire(message: Any) -> Any:
    """What the other end reads: the message encoded and decoded again."""
    return DEFAULT_MAPPING.decode(*DEFAULT_MAPPING.encode(message))


class PaperTrezor:
    """Answers messages one by one; ``heard`` keeps what it was sent, as type and bytes."""

    def __init__(self, *, serialize_anyway: bool = False) -> None:
        self.root = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(WORDS))
        self.heard: list[tuple[int, bytes]] = []
        self.serialize_anyway = serialize_anyway
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.flow: Flow | None = None
        self.twist: Callable[[Any], Any] = lambda reply: reply

    def call(self, message: Any) -> Any:
        self.heard.append(DEFAULT_MAPPING.encode(message))
        assert encode(message) == self.heard[-1][1]
        return wire(self.twist(self._reply(wire(message))))

    def _reply(self, message: Any) -> Any:
        if isinstance(message, (m.TxAck, m.EthereumTxAck)):
            assert self.flow is not None
            return self.flow.send(message)
        self.flow = None
        start = {
            m.GetPublicKey: self._public_key,
            m.GetAddress: self._address,
            m.SignMessage: self._message,
            m.EthereumGetAddress: self._eth_address,
            m.EthereumSignMessage: self._eth_message,
            m.SignTx: self._begin,
            m.EthereumSignTx: self._begin,
            m.EthereumSignTxEIP1559: self._begin,
        }[type(message)]
        return start(message)

    def _begin(self, message: Any) -> Any:
        self.flow = self._sign(message) if isinstance(message, m.SignTx) else self._eth_sign(message)
        return next(self.flow)

    def _at(self, path: Sequence[int]) -> Any:
        node = self.root
        for index in path:
            node = node.child(index - HARDENED, hardened=True) if index >= HARDENED else node.child(index)
        return node

    def _public_key(self, message: Any) -> Any:
        public = self._at(message.address_n).to_public()
        node = m.HDNodeType(
            depth=public.depth,
            fingerprint=int.from_bytes(public.fingerprint, "big"),
            child_num=public.child_number,
            chain_code=public.chain_code,
            public_key=public.key.serialize(),
        )
        text = public.to_base58(version=VERSIONS[message.coin_name != "Bitcoin"])
        return m.PublicKey(node=node, xpub=text, root_fingerprint=int.from_bytes(self.root.my_fingerprint, "big"))

    def _shared(self, redeem: Any) -> Any:
        """The multisig script itself, its keys derived from the nodes told."""
        keys = []
        for node in redeem.nodes:
            public = ec.PublicKey.parse(node.public_key)
            key = bip32.HDKey(public, node.chain_code, depth=node.depth, child_number=node.child_num)
            for index in redeem.address_n:
                key = key.child(index)
            keys.append(key.key.serialize())
        if redeem.pubkeys_order == m.MultisigPubkeysOrder.LEXICOGRAPHIC:
            keys.sort()
        inner = bytes((0x50 + redeem.m,)) + b"".join(b"\x21" + key for key in keys)
        return script.Script(inner + bytes((0x50 + len(keys), 0xAE)))

    def _script(self, path: Sequence[int], kind: int, redeem: Any = None) -> Any:
        if redeem is not None:
            inner = self._shared(redeem)
            assert self._at(path).key.get_public_key().serialize() in inner.data, "Pubkey not found in multisig script"
            if kind == I.SPENDMULTISIG:
                return script.p2sh(inner)
            return script.p2wsh(inner) if kind == I.SPENDWITNESS else script.p2sh(script.p2wsh(inner))
        key = self._at(path).key.get_public_key()
        if kind == I.SPENDADDRESS:
            return script.p2pkh(key)
        if kind == I.SPENDWITNESS:
            return script.p2wpkh(key)
        if kind == I.SPENDP2SHWITNESS:
            return script.p2sh(script.p2wpkh(key))
        assert kind == I.SPENDTAPROOT
        return script.p2tr(key)

    def _address(self, message: Any) -> Any:
        place = self._script(message.address_n, message.script_type)
        return m.Address(address=place.address(NETWORKS[message.coin_name]))

    # --- Bitcoin transactions ---

    def _sign(self, start: Any) -> Flow:
        n, count = start.inputs_count, start.outputs_count
        part = None

        def request(kind: Any, **details: Any) -> Any:
            nonlocal part
            reply = m.TxRequest(request_type=kind, details=m.TxRequestDetailsType(**details), serialized=part)
            part = None
            return reply

        ins, outs = [], []
        for index in range(n):
            ack = yield request(R.TXINPUT, request_index=index)
            ins.append(ack.tx.inputs[0])
        for index in range(count):
            ack = yield request(R.TXOUTPUT, request_index=index)
            outs.append(ack.tx.outputs[0])
        self.inputs, self.outputs = ins, outs
        scripts = [
            script.Script(one.script_pubkey)
            if one.script_type == I.EXTERNAL
            else self._script(one.address_n, one.script_type, one.multisig)
            for one in ins
        ]
        if any(one.script_type not in (I.SPENDTAPROOT, I.EXTERNAL) for one in ins):
            for index, place in enumerate(scripts):
                again = (yield request(R.TXINPUT, request_index=index)).tx.inputs[0]
                assert again == ins[index]
                yield from self._previous(request, again, place)
        tx = Transaction(
            start.version,
            [TransactionInput(one.prev_hash, one.prev_index, sequence=one.sequence) for one in ins],
            [TransactionOutput(one.amount, self._output_script(one, start.coin_name)) for one in outs],
            start.lock_time,
        )
        if sum(one.amount for one in ins) < sum(one.amount for one in outs):
            raise RefusedError("Not enough funds")
        for index, one in enumerate(ins):
            if one.script_type in (I.SPENDADDRESS, I.SPENDMULTISIG):
                for other in range(n):
                    assert (yield request(R.TXINPUT, request_index=other)).tx.inputs[0] == ins[other]
                for other in range(count):
                    assert (yield request(R.TXOUTPUT, request_index=other)).tx.outputs[0] == outs[other]
                code = self._shared(one.multisig) if one.multisig else scripts[index]
                digest = tx.sighash_legacy(index, code, SIGHASH.ALL)
                signature = self._at(one.address_n).key.sign(digest).serialize()
                part = m.TxRequestSerializedType(signature_index=index, signature=signature)
        if self.serialize_anyway:
            raw = tx.serialize()
            for at in range(0, len(raw), 50):
                chunk = m.TxRequestSerializedType(serialized_tx=raw[at : at + 50])
                part, chunk = chunk, part
                if chunk is not None:
                    part.signature_index, part.signature = chunk.signature_index, chunk.signature
                yield request(R.TXOUTPUT, request_index=0)
        for index, one in enumerate(ins):
            if one.script_type in (I.SPENDADDRESS, I.SPENDMULTISIG, I.EXTERNAL):
                continue
            assert (yield request(R.TXINPUT, request_index=index)).tx.inputs[0] == one
            key = self._at(one.address_n).key
            if one.script_type == I.SPENDTAPROOT:
                digest = tx.sighash_taproot(index, scripts, [every.amount for every in ins], SIGHASH.DEFAULT)
                signature = key.taproot_tweak().schnorr_sign(digest).serialize()
            else:
                code = self._shared(one.multisig) if one.multisig else script.p2pkh(key.get_public_key())
                digest = tx.sighash_segwit(index, code, one.amount, SIGHASH.ALL)
                signature = key.sign(digest).serialize()
            part = m.TxRequestSerializedType(signature_index=index, signature=signature)
        yield m.TxRequest(request_type=R.TXFINISHED, serialized=part)

    def _previous(self, request: Callable[..., Any], one: Any, place: Any) -> Flow:
        tx_hash = one.prev_hash
        meta = (yield request(R.TXMETA, tx_hash=tx_hash)).tx
        ins = []
        for index in range(meta.inputs_cnt):
            before = (yield request(R.TXINPUT, request_index=index, tx_hash=tx_hash)).tx.inputs[0]
            ins.append(
                TransactionInput(before.prev_hash, before.prev_index, script.Script(before.script_sig), before.sequence)
            )
        outs = []
        for index in range(meta.outputs_cnt):
            before = (yield request(R.TXOUTPUT, request_index=index, tx_hash=tx_hash)).tx.bin_outputs[0]
            outs.append(TransactionOutput(before.amount, script.Script(before.script_pubkey)))
        if Transaction(meta.version, ins, outs, meta.lock_time).txid() != tx_hash:
            raise RefusedError("Encountered invalid prev_hash")
        spent = outs[one.prev_index]
        if (spent.value, spent.script_pubkey) != (one.amount, place):
            raise RefusedError("Invalid amount specified, or input does not match scriptPubKey")

    def _output_script(self, one: Any, coin: str) -> Any:
        if one.address_n:
            kinds = {"PAYTOADDRESS": I.SPENDADDRESS, "PAYTOWITNESS": I.SPENDWITNESS}
            kinds |= {"PAYTOP2SHWITNESS": I.SPENDP2SHWITNESS, "PAYTOTAPROOT": I.SPENDTAPROOT}
            kinds |= {"PAYTOMULTISIG": I.SPENDMULTISIG}
            return self._script(one.address_n, kinds[one.script_type.name], one.multisig)
        if one.script_type == m.OutputScriptType.PAYTOOPRETURN:
            data = one.op_return_data
            head = bytes((len(data),)) if len(data) < 0x4C else bytes((0x4C, len(data)))
            return script.Script(b"\x6a" + head + data)
        assert one.address.startswith((NETWORKS[coin]["bech32"] + "1", "1", "3", "m", "n", "2"))
        return script.address_to_scriptpubkey(one.address)

    # --- messages ---

    def _recoverable(self, path: Sequence[int], digest: bytes) -> tuple[int, bytes]:
        signed = eth_keys.PrivateKey(self._at(path).key.serialize()).sign_msg_hash(digest)
        return signed.v, signed.r.to_bytes(32, "big") + signed.s.to_bytes(32, "big")

    def _message(self, message: Any) -> Any:
        text = message.message
        size = bytes((len(text),)) if len(text) < 253 else b"\xfd" + len(text).to_bytes(2, "little")
        digest = hashlib.sha256(hashlib.sha256(b"\x18Bitcoin Signed Message:\n" + size + text).digest()).digest()
        v, compact = self._recoverable(message.address_n, digest)
        offset = {I.SPENDADDRESS: 0, I.SPENDP2SHWITNESS: 4, I.SPENDWITNESS: 8}[message.script_type]
        shown = self._script(message.address_n, message.script_type).address(NETWORKS[message.coin_name])
        return m.MessageSignature(address=shown, signature=bytes((31 + v + offset,)) + compact)

    # --- Ethereum ---

    def _eth_key(self, path: Sequence[int]) -> Any:
        return Account.from_key(self._at(path).key.serialize())

    def _eth_address(self, message: Any) -> Any:
        return m.EthereumAddress(address=self._eth_key(message.address_n).address)

    def _eth_message(self, message: Any) -> Any:
        account = self._eth_key(message.address_n)
        signed = account.sign_message(encode_defunct(primitive=message.message))
        return m.EthereumMessageSignature(signature=bytes(signed.signature), address=account.address)

    def _eth_sign(self, start: Any) -> Flow:
        data = start.data_initial_chunk
        while len(data) < start.data_length:
            ack = yield m.EthereumTxRequest(data_length=min(1024, start.data_length - len(data)))
            data += ack.data_chunk
        legacy = isinstance(start, m.EthereumSignTx)
        numbers = {name: int.from_bytes(getattr(start, name), "big") for name in ("nonce", "gas_limit", "value")}
        fields: dict[str, Any] = {
            "chainId": start.chain_id,
            "nonce": numbers["nonce"],
            "gas": numbers["gas_limit"],
            "to": start.to or b"",
            "value": numbers["value"],
            "data": data,
        }
        if legacy:
            fields["gasPrice"] = int.from_bytes(start.gas_price, "big")
        else:
            fields["type"] = 2
            fields["maxFeePerGas"] = int.from_bytes(start.max_gas_fee, "big")
            fields["maxPriorityFeePerGas"] = int.from_bytes(start.max_priority_fee, "big")
            fields["accessList"] = [
                {"address": one.address, "storageKeys": ["0x" + key.hex() for key in one.storage_keys]}
                for one in start.access_list
            ]
        signed = self._eth_key(start.address_n).sign_transaction(fields)
        v = signed.v
        if legacy and start.chain_id > (0xFFFFFFFF - 36) >> 1:
            v -= 35 + 2 * start.chain_id
        yield m.EthereumTxRequest(
            signature_v=v, signature_r=signed.r.to_bytes(32, "big"), signature_s=signed.s.to_bytes(32, "big")
        )


def converse(exchange: Generator[Any, Any, Any], device: PaperTrezor) -> Any:
    """Run an exchange to its result."""
    reply = None
    try:
        while True:
            reply = device.call(exchange.send(reply))
    except StopIteration as done:
        return done.value
    finally:
        exchange.close()


MODERN = Firmware("T3T1", (2, 8, 9))
ONE = Firmware("T1B1", (1, 14, 1))


class PaperSigner:
    """The exchanges as a signer, as far as the checks and the conformance kit ask for one."""

    def __init__(self, firmware: Firmware = MODERN, network: Network = Network.REGTEST, **options: Any) -> None:
        self.device = PaperTrezor()
        self.firmware = firmware
        self.network = network
        self.options = options
        fingerprint = converse(root_fingerprint(m), self.device)
        self._info = SignerInfo("trezor", "paper", firmware.model, fingerprint=fingerprint)
        self.closed = False

    @property
    def info(self) -> SignerInfo:
        return self._info

    def _run(self, exchange: Any) -> Any:
        if self.closed:
            raise SignerUnavailableError("closed: open it again")
        return converse(exchange, self.device)

    def xpub(self, path: Any) -> Any:
        return self._run(public_key(m, path))

    def close(self) -> None:
        self.closed = True

    def sign_psbt(self, psbt: Psbt) -> Psbt:
        return self._run(
            sign_psbt(
                m,
                psbt,
                fingerprint=self._info.fingerprint,
                firmware=self.firmware,
                network=self.network,
                **self.options,
            )
        )

    def sign_transaction(self, path: Any, tx: Any) -> Any:
        return self._run(sign_transaction(m, path, tx, firmware=self.firmware))

    def sign_message(self, path: Any, message: bytes) -> Any:
        return self._run(sign_message(m, path, message, firmware=self.firmware, network=self.network))

    def sign_personal_message(self, path: Any, message: bytes) -> Any:
        return self._run(sign_personal_message(m, path, message, firmware=self.firmware))

    def display_address(self, account: Any, branch: int, index: int) -> str:
        if isinstance(account, BitcoinAccount):
            path = account.path(branch, index)
            return self._run(show_address(m, path, account.script_type, account.network, firmware=self.firmware))
        return self._run(show_ethereum_address(m, account.path(index)))


@pytest.fixture
def trezor() -> SimpleNamespace:
    """``device()``, ``signer()``, ``converse``, ``account(scheme, number)``, firmwares ``modern`` and ``one``."""
    keys = PaperSigner()

    @functools.cache
    def account(scheme: Scheme = Scheme.BIP84, number: int = 0, network: Network = Network.REGTEST) -> BitcoinAccount:
        path = account_path(scheme, network.coin_type, number)
        return BitcoinAccount(network, scheme, KeyOrigin(keys.info.fingerprint, path), keys.xpub(path))

    return SimpleNamespace(
        device=PaperTrezor,
        signer=PaperSigner,
        converse=converse,
        account=account,
        fingerprint=keys.info.fingerprint,
        modern=MODERN,
        one=ONE,
        refused=RefusedError,
    )
