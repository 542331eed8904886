"""A host for the simulated Trezor: the vendor's client library, and transactions for the device to sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pbk
from trezorlib import btc, messages, protocol_v1, tools
from trezorlib.client import AppManifest
from trezorlib.mapping import DEFAULT_MAPPING
from trezorlib.messages import InputScriptType, OutputScriptType
from trezorlib.transport.udp import UdpTransport

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.parts import OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import Sats

if TYPE_CHECKING:
    from bursar_devices.trezor import TrezorSimulator

MODELS = ("T1B1", "T2T1", "T3T1")
KINDS = {
    "p2pkh": (44, InputScriptType.SPENDADDRESS, OutputScriptType.PAYTOADDRESS),
    "p2sh-p2wpkh": (49, InputScriptType.SPENDP2SHWITNESS, OutputScriptType.PAYTOP2SHWITNESS),
    "p2wpkh": (84, InputScriptType.SPENDWITNESS, OutputScriptType.PAYTOWITNESS),
    "p2tr": (86, InputScriptType.SPENDTAPROOT, OutputScriptType.PAYTOTAPROOT),
}
PAYEE = "bcrt1qkvwu9g3k2pdxewfqr7syz89r3gj557l374sg5v"


def path(text: str) -> list[int]:
    return list(tools.parse_path(text))


class Wire:
    """One message at a time over the vendor's transport, no dialogue hidden."""

    def __init__(self, simulator: TrezorSimulator) -> None:
        self.transport = UdpTransport(simulator.location.removeprefix("udp:"))
        self.transport.open()

    def close(self) -> None:
        self.transport.close()

    def send(self, message: Any) -> None:
        protocol_v1.write(self.transport, *DEFAULT_MAPPING.encode(message))

    def receive(self, timeout: float = 5) -> Any:
        return DEFAULT_MAPPING.decode(*protocol_v1.read(self.transport, timeout=timeout))

    def call(self, message: Any) -> Any:
        """Send it and acknowledge every button request until the reply comes."""
        self.send(message)
        while isinstance(reply := self.receive(), messages.ButtonRequest):
            self.send(messages.ButtonAck())
        return reply


def client_of(simulator: TrezorSimulator, **callbacks: Any) -> Any:
    """The vendor's client for it, without the probe for other protocols, which takes a tenth of a second."""
    app = AppManifest(app_name="tests", **callbacks)
    transport = UdpTransport(simulator.location.removeprefix("udp:"))
    return protocol_v1.TrezorClientV1(app=app, transport=transport, model=None, mapping=None)


def session_of(simulator: TrezorSimulator, **callbacks: Any) -> Any:
    """A session of the standard wallet."""
    return client_of(simulator, **callbacks).get_session()


@dataclass
class Spending:
    """Coins of the simulator's own wallet on regtest, and what is to be made of them."""

    session: Any
    coins: list[tuple[Any, TxOut]] = field(default_factory=list)
    previous: dict[bytes, Any] = field(default_factory=dict)
    outputs: list[Any] = field(default_factory=list)

    def coin(self, kind: str, value: int = 100_000, index: int = 0, **fields: Any) -> Any:
        """Add one of our coins; ``fields`` change what the device is told of it."""
        purpose, script_type, _ = KINDS[kind]
        where = path(f"m/{purpose}h/1h/0h/0/{index}")
        address = btc.get_address(self.session, "Regtest", where, script_type=script_type)
        script = Address.from_text(address, Network.REGTEST).script
        return self.add(script, value, fields | {"address_n": where, "script_type": script_type})

    def add(self, script: bytes, value: int, fields: dict[str, Any]) -> Any:
        """Add a coin with that script, made by a transaction of its own."""
        salt = bytes([len(self.coins) + 1]) * 32
        outputs = [TxOut(Sats(7), b"\x6a"), TxOut(Sats(value), script)]
        made = Transaction(2, [TxIn(OutPoint(Txid(salt), 3), b"\x51")], outputs, 9)
        tx_hash = bytes(made.txid)[::-1]
        source = messages.TxInputType(prev_hash=salt, prev_index=3, script_sig=b"\x51", sequence=0xFFFFFFFF)
        self.previous[tx_hash] = messages.TransactionType(
            version=2,
            lock_time=9,
            inputs=[source],
            bin_outputs=[messages.TxOutputBinType(amount=one.value, script_pubkey=one.script) for one in outputs],
        )
        told = {"prev_hash": tx_hash, "prev_index": 1, "amount": value, "sequence": 0xFFFFFFFD} | fields
        self.coins.append((messages.TxInputType(**told), outputs[1]))
        return self.coins[-1][0]

    def pay(self, amount: int, to: str = PAYEE, **fields: Any) -> None:
        given = {"address": to, "amount": amount, "script_type": OutputScriptType.PAYTOADDRESS} | fields
        self.outputs.append(messages.TxOutputType(**given))

    def change(self, kind: str, amount: int, where: str | None = None, **fields: Any) -> None:
        purpose, _, script_type = KINDS[kind]
        below = path(where or f"m/{purpose}h/1h/0h/1/0")
        given = {"address_n": below, "amount": amount, "script_type": script_type} | fields
        self.outputs.append(messages.TxOutputType(**given))

    def sign(self, **options: Any) -> tuple[Sequence[bytes | None], bytes]:
        """The device's signatures and transaction."""
        told = [told for told, _ in self.coins]
        signatures, raw = btc.sign_tx(
            self.session, "Regtest", told, self.outputs, prev_txes=self.previous, **({"version": 2} | options)
        )
        return signatures, raw

    def accepted(self, raw: bytes) -> Transaction:
        """The transaction, once Bitcoin Core's own script interpreter has taken every input."""
        spent = [output for _, output in self.coins]
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
        judged = pbk.Transaction(raw)
        shared = pbk.script.PrecomputedTransactionData(judged, outputs)
        for place, one in enumerate(spent):
            flags = pbk.ScriptVerificationFlags.ALL
            assert pbk.ScriptPubkey(one.script).verify(int(one.value), judged, shared, place, flags), place
        return Transaction.parse(raw)
