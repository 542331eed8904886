"""Hardware wallets: 100 inputs signed on each simulator, between two runs of the vendor's own client."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from cold_start import BURSAR, seconds
from pairing import Measured, clock

from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question
from bursar.signing.protocols import DeviceEvent, PsbtSigner, SecretRequest
from bursar.signing.registry import Registry

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt
    from bursar.crypto.secret import Secret

INPUTS, TARGET = 100, 1.2
SIMULATORS = {
    "trezor": "from bursar_devices.trezor import TrezorSimulator as Device; options = {'model': 'T1B1'}",
    "ledger": "from bursar_devices.ledger import LedgerSimulator as Device; options = {}",
}
PROGRAM = """
import sys
from bursar_devices.humans import approve
{made}
with Device(human=approve(), **options) as device:
    print(device.location, flush=True)
    sys.stdin.read()
"""


class Nobody:
    """A ``Prompt``: the simulator's own human presses the buttons."""

    def ask(self, request: SecretRequest) -> Secret:
        raise AssertionError(request.kind)

    def notify(self, event: DeviceEvent) -> None:
        pass


@contextmanager
def simulator(family: str) -> Iterator[str]:
    """A simulator in a process of its own; where it is."""
    command = [sys.executable, "-c", PROGRAM.format(made=SIMULATORS[family])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()


def with_trezorlib(location: str, psbt: Psbt) -> int:
    """Nanoseconds that trezorlib's client takes, conversion of the PSBT included."""
    from trezorlib import btc as untyped
    from trezorlib import messages
    from trezorlib.client import AppManifest, PassphraseSetting, get_client
    from trezorlib.transport.udp import UdpTransport

    btc: Any = untyped

    def sign() -> object:
        inputs, previous = [], {}
        for one, spending in zip(psbt.inputs, psbt.tx.inputs, strict=True):
            ((_, origin),) = one.bip32_derivations.items()
            before = one.non_witness_utxo
            assert before is not None
            txid = spending.outpoint.txid[::-1]
            inputs.append(
                messages.TxInputType(
                    address_n=list(origin.path.indexes),
                    prev_hash=txid,
                    prev_index=spending.outpoint.vout,
                    amount=before.outputs[spending.outpoint.vout].value,
                    sequence=spending.sequence,
                    script_type=messages.InputScriptType.SPENDWITNESS,
                )
            )
            previous[txid] = messages.TransactionType(
                version=before.version,
                lock_time=before.locktime,
                inputs=[
                    messages.TxInputType(
                        prev_hash=old.outpoint.txid[::-1],
                        prev_index=old.outpoint.vout,
                        script_sig=old.script_sig,
                        sequence=old.sequence,
                    )
                    for old in before.inputs
                ],
                bin_outputs=[
                    messages.TxOutputBinType(amount=old.value, script_pubkey=old.script) for old in before.outputs
                ],
            )
        from bursar.bitcoin.address import Address
        from bursar.bitcoin.network import Network

        outputs = [
            messages.TxOutputType(
                address=Address.from_script(paid.script, Network.TESTNET).text,
                amount=paid.value,
                script_type=messages.OutputScriptType.PAYTOADDRESS,
            )
            for paid in psbt.tx.outputs
        ]
        return btc.sign_tx(
            session,
            "Testnet",
            inputs,
            outputs,
            prev_txes=previous,
            version=psbt.tx.version,
            lock_time=psbt.tx.locktime,
            serialize=False,
        )

    host, _, port = location.removeprefix("udp:").partition(":")
    client = get_client(AppManifest(app_name="benchmark"), UdpTransport(f"{host}:{port}"))
    with client:
        session = client.get_session(passphrase=PassphraseSetting.STANDARD_WALLET)
        return clock(sign, parallel=True)[0]


def with_ledger_client(location: str, psbt: Psbt) -> int:
    """Nanoseconds that ledger_bitcoin's client takes."""
    from ledger_bitcoin import Chain, TransportClient, WalletPolicy, createClient

    host, _, port = location.removeprefix("tcp:").partition(":")
    client = createClient(TransportClient("tcp", server=host, port=int(port)), chain=Chain.TEST)
    try:
        master = client.get_master_fingerprint().hex()
        path = "84'/1'/0'"
        policy = WalletPolicy("", "wpkh(@0/**)", [f"[{master}/{path}]{client.get_extended_pubkey('m/' + path)}"])
        text = str(psbt)
        return clock(lambda: client.sign_psbt(text, policy, None), parallel=True)[0]
    finally:
        client.stop()


def with_bursar(family: str, location: str, psbt: Psbt) -> int:
    """Nanoseconds that Bursar takes, the checks before and after included."""
    signer = Registry.installed().open(f"{family}:{location}", Nobody())
    with closing(signer):
        assert isinstance(signer, PsbtSigner)
        return clock(lambda: request_signatures(signer, psbt), parallel=True)[0]


VENDORS: dict[str, tuple[str, Callable[[str, Psbt], int]]] = {
    "trezor": ("trezorlib", with_trezorlib),
    "ledger": ("ledger-bitcoin", with_ledger_client),
}


def signing_rows(rounds: int) -> list[Measured]:
    """One row for each simulator."""
    measured = []
    for family, (library, vendor) in VENDORS.items():
        with simulator(family) as location:
            psbt = asked_of(family, location)
            ratios, floors = [], []
            with_bursar(family, location, psbt)
            for _ in range(rounds):
                before, taken, after = (
                    vendor(location, psbt),
                    with_bursar(family, location, psbt),
                    vendor(location, psbt),
                )
                ratios.append(taken * 2 / (before + after))
                floors.append((before + after) / 2)
        name = f"{INPUTS}-input PSBT on the {family} simulator  (over {library})"
        figures = statistics.median(ratios), min(ratios), max(ratios), statistics.median(floors)
        measured.append(Measured(name, *figures, TARGET, f"{library} {statistics.median(floors) / 1e9:.2f} s"))
    return measured


def asked_of(family: str, location: str) -> Psbt:
    """A question of the simulator's own keys."""
    profile = Profile()
    signer: Any = Registry.installed().open(f"{family}:{location}", Nobody())
    with closing(signer):
        account = account_of(signer, profile, Scheme.BIP84)
        return question([Spend(account, 0, number) for number in range(INPUTS)])


def listing_row(rounds: int) -> Measured:
    """``bursar devices`` with nothing attached, in seconds."""
    command = (str(BURSAR), "devices")
    seconds(command)
    taken = sorted(seconds(command) for _ in range(rounds))
    return Measured(
        "bursar devices, nothing attached  (seconds)", statistics.median(taken), taken[0], taken[-1], 0, 0.5
    )


def rows(rounds: int) -> list[Measured]:
    """All of them."""
    return [*signing_rows(rounds), listing_row(2 * rounds + 1)]
