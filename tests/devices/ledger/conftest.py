"""A simulated Ledger, the vendor's client for it, bare APDUs, and PSBTs it can sign."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.ledger import LedgerSimulator
from embit import bip32, bip39

from bursar.bitcoin import script as scripts
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PURPOSES = {"pkh": 44, "sh": 49, "wpkh": 84, "tr": 86}
TEMPLATES = {"pkh": "pkh(@0/**)", "sh": "sh(wpkh(@0/**))", "wpkh": "wpkh(@0/**)", "tr": "tr(@0/**)"}
STRANGER = scripts.p2wpkh(bytes(range(20)))


class Peer:
    """Bare APDUs over Speculos' framing."""

    def __init__(self, port: int, timeout: float = 5.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.transcript: list[tuple[str, str]] = []

    def send(self, apdu: bytes | str) -> None:
        """Send without waiting."""
        raw = bytes.fromhex(apdu) if isinstance(apdu, str) else apdu
        self.socket.sendall(len(raw).to_bytes(4, "big") + raw)

    def receive(self) -> tuple[int, bytes]:
        """The next reply: status word, data."""
        size = int.from_bytes(self._exactly(4), "big")
        whole = self._exactly(size + 2)
        return int.from_bytes(whole[-2:], "big"), whole[:-2]

    def exchange(self, apdu: bytes | str) -> tuple[int, bytes]:
        """Send and wait."""
        self.send(apdu)
        status, data = self.receive()
        raw = apdu if isinstance(apdu, str) else apdu.hex()
        self.transcript.append((raw, f"{status:04x} {data.hex()}"))
        return status, data

    def command(self, cla: int, ins: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> tuple[int, bytes]:
        """Exchange a command with its length."""
        return self.exchange(bytes((cla, ins, p1, p2, len(data))) + data)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError("the device hung up")
            data += piece
        return data

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class Comm:
    """What the vendor's client asks of a transport, over a ``Peer``; ``details`` keeps what follows a status word."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.details: list[tuple[int, bytes]] = []

    def apdu_exchange(self, cla: int, ins: int, data: bytes = b"", p1: int = 0, p2: int = 0) -> bytes:
        """As the vendor's own transport."""
        from ledger_bitcoin.client_base import ApduException

        status, reply = self.peer.command(cla, ins, p1, p2, data)
        if status != 0x9000:
            if status != 0xE000:
                self.details.append((status, reply))
            raise ApduException(status, reply)
        return reply

    def stop(self) -> None:
        """Hang up."""
        self.peer.close()


@dataclass(unsafe_hash=True)
class Wallet:
    """The keys of the device's seed by a second implementation (embit), and PSBTs for them."""

    mnemonic: str = MNEMONIC
    coin_type: int = 1
    root: Any = field(init=False, hash=False, compare=False)

    def __post_init__(self) -> None:
        self.root = bip32.HDKey.from_seed(bip39.mnemonic_to_seed(self.mnemonic))

    @property
    def fingerprint(self) -> bytes:
        """Of the master key."""
        return self.root.my_fingerprint

    def path(self, kind: str, branch: int, index: int, account: int = 0) -> str:
        """Of one key."""
        return f"m/{PURPOSES[kind]}h/{self.coin_type}h/{account}h/{branch}/{index}"

    def public(self, path: str) -> bytes:
        """33 bytes."""
        return self.root.derive(path).key.get_public_key().sec()

    def xpub(self, path: str) -> str:
        """The extended public key in the network's version."""
        version = b"\x04\x88\xb2\x1e" if self.coin_type == 0 else b"\x04\x35\x87\xcf"
        return self.root.derive(path).to_public().to_base58(version)

    def key_info(self, kind: str, account: int = 0) -> str:
        """As a wallet policy names it."""
        path = f"{PURPOSES[kind]}'/{self.coin_type}'/{account}'"
        return f"[{self.fingerprint.hex()}/{path}]{self.xpub('m/' + path)}"

    def policy(self, kind: str, account: int = 0) -> Any:
        """The default policy."""
        from ledger_bitcoin import WalletPolicy

        return WalletPolicy("", TEMPLATES[kind], [self.key_info(kind, account)])

    def script(self, kind: str, key: bytes) -> bytes:
        """The output script of a key."""
        if kind == "pkh":
            return scripts.p2pkh(hash160(key))
        if kind == "wpkh":
            return scripts.p2wpkh(hash160(key))
        if kind == "sh":
            return scripts.p2sh(hash160(scripts.p2wpkh(hash160(key))))
        return scripts.p2tr(taproot_output_key(key[1:])[0])

    def psbt(
        self,
        kind: str = "wpkh",
        *,
        inputs: Sequence[int] = (100_000_000,),
        payments: Sequence[tuple[bytes, int]] = ((STRANGER, 60_000_000),),
        change: int | None = 39_990_000,
        change_place: tuple[int, int] = (1, 5),
        account: int = 0,
        locktime: int = 7,
        sequence: int = 0xFFFFFFFD,
    ) -> Psbt:
        """A PSBT whose input ``n`` spends receive address ``n``; amounts in satoshi."""
        spends, previous = [], []
        for at, amount in enumerate(inputs):
            script = self.script(kind, self.public(self.path(kind, 0, at, account)))
            before = Transaction(
                2,
                [TxIn(OutPoint(Txid(bytes((at + 1,)) * 32), at))],
                [TxOut(Sats(5_000), STRANGER), TxOut(Sats(amount), script)],
            )
            previous.append(before)
            spends.append(TxIn(OutPoint(before.txid, 1), b"", sequence))
        outputs = [TxOut(Sats(amount), script) for script, amount in payments]
        change_path = self.path(kind, *change_place, account)
        if change is not None:
            outputs.append(TxOut(Sats(change), self.script(kind, self.public(change_path))))
        psbt = Psbt(Transaction(2, spends, outputs, locktime))
        for at, before in enumerate(previous):
            one, path = psbt.inputs[at], self.path(kind, 0, at, account)
            key = self.public(path)
            origin = KeyOrigin(Fingerprint(self.fingerprint), DerivationPath.from_text(path))
            if kind != "tr":
                one.non_witness_utxo = before
                one.bip32_derivations[key] = origin
            else:
                one.tap_bip32_derivations[key[1:]] = ((), origin)
                one.tap_internal_key = key[1:]
            if kind != "pkh":
                one.witness_utxo = before.outputs[1]
            if kind == "sh":
                one.redeem_script = scripts.p2wpkh(hash160(key))
        if change is not None:
            key = self.public(change_path)
            origin = KeyOrigin(Fingerprint(self.fingerprint), DerivationPath.from_text(change_path))
            if kind == "tr":
                psbt.outputs[-1].tap_bip32_derivations[key[1:]] = ((), origin)
            else:
                psbt.outputs[-1].bip32_derivations[key] = origin
        return psbt


@pytest.fixture
def wallet() -> Wallet:
    """The keys of the simulator's default seed on the test network."""
    return Wallet()


@pytest.fixture
def start() -> Iterator[Callable[..., LedgerSimulator]]:
    """Start simulators that end with the test."""
    with ExitStack() as running:

        def begin(**options: Any) -> LedgerSimulator:
            options.setdefault("human", humans.approve())
            return running.enter_context(LedgerSimulator(**options))

        yield begin


@pytest.fixture
def connect() -> Iterator[Callable[[LedgerSimulator], Peer]]:
    """Open connections that end with the test."""
    with ExitStack() as open_ones:

        def begin(device: LedgerSimulator) -> Peer:
            peer = Peer(device.port)
            open_ones.callback(peer.close)
            return peer

        yield begin


@pytest.fixture
def client(connect: Callable[[LedgerSimulator], Peer]) -> Callable[[LedgerSimulator], Any]:
    """The vendor's client on a simulator; ``.transport_client.details`` has the errors' details."""

    def begin(device: LedgerSimulator) -> Any:
        from ledger_bitcoin import Chain, createClient

        chain = Chain.MAIN if device.app == "Bitcoin" else Chain.TEST
        return createClient(Comm(connect(device)), chain=chain)

    return begin
