"""A Ledger attacked: change out of reach, threads that take each other's answers, a lock folder that is not ours."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bursar_devices.ledger")

from bursar_devices import humans
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.places import place_of
from bursar.backends.ledger.signer import LedgerBitcoinSigner
from bursar.backends.ledger.transport import HidTransport
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import SignerUnavailableError
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question
from bursar.signing.protocols import SignerInfo

PROFILE = Profile(network=Network.TESTNET)


@pytest.fixture(scope="module")
def simulator() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(app="Bitcoin Test", human=humans.approve()) as running:
        yield running


@pytest.fixture
def signer(simulator: LedgerSimulator, tmp_path: Path) -> Iterator[LedgerBitcoinSigner]:
    backend = LedgerBackend(locks=tmp_path / "locks", human_seconds=20, device_seconds=5)
    opened = backend.open(SignerInfo("ledger", simulator.location, "emulator", emulated=True), BenchPrompt())
    assert isinstance(opened, LedgerBitcoinSigner)
    with opened:
        yield opened


def paying_home(signer: LedgerBitcoinSigner, scheme: Scheme, branch: int, index: int) -> Psbt:
    """Spends a coin, with the change at ``branch/index`` of its own account, and says so."""
    account = account_of(signer, PROFILE, scheme)
    asked = question([Spend(account)], change=account)
    outputs = (asked.tx.outputs[0], TxOut(Sats(int(asked.tx.outputs[1].value)), account.script(branch, index)))
    made = Psbt(Transaction(2, asked.tx.inputs, outputs, 0))
    for ours, theirs in zip(made.inputs, asked.inputs, strict=True):
        for key, value in theirs.fields.items():
            ours.fields[key] = value
    key, origin = account.key(branch, index), account.key_origin(branch, index)
    if scheme is Scheme.BIP86:
        made.outputs[1].tap_internal_key = key[1:]
        made.outputs[1].tap_bip32_derivations[key[1:]] = ((), origin)
    else:
        made.outputs[1].bip32_derivations[key] = origin
    return made


@pytest.mark.parametrize("scheme", [Scheme.BIP84, Scheme.BIP86])
@pytest.mark.parametrize(
    ("branch", "index", "shown"),
    [(1, 100_000, 1), (1, 100_001, 2), (1, (1 << 31) - 1, 2), (0, 3, 2)],
)
def test_change_that_no_wallet_finds_again_is_shown_as_a_payment(
    simulator: LedgerSimulator, signer: LedgerBitcoinSigner, scheme: Scheme, branch: int, index: int, shown: int
) -> None:
    """The app itself hides change at any index: who made the psbt could hold it to ransom."""
    asked = paying_home(signer, scheme, branch, index)
    simulator.pages.clear()
    request_signatures(signer, asked)
    assert sum(page.title == "Amount" for page in simulator.pages) == shown


def test_threads_never_take_each_others_answers(signer: LedgerBitcoinSigner) -> None:
    paths = [DerivationPath.from_text(f"m/{purpose}h/1h/0h") for purpose in (44, 49, 84, 86)]
    got: list[tuple[DerivationPath, Any]] = []
    refused: list[str | None] = []

    def work(path: DerivationPath) -> None:
        try:
            got.append((path, signer.xpub(path)))
        except SignerUnavailableError as error:
            refused.append(error.code)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert set(refused) <= {"signer.busy"}
    assert got
    assert all(signer.xpub(path) == key for path, key in got)
    assert len({key.key for _, key in got}) == len(got)


def test_a_prompt_cannot_ask_the_device_in_the_middle_of_a_conversation(
    simulator: LedgerSimulator, tmp_path: Path
) -> None:
    opened: Any = None
    codes: list[str | None] = []

    class Curious(BenchPrompt):
        def notify(self, event: Any) -> None:
            super().notify(event)
            with pytest.raises(SignerUnavailableError) as caught:
                opened.xpub(DerivationPath.from_text("m/44h/1h/7h"))
            codes.append(caught.value.code)

    backend = LedgerBackend(locks=tmp_path, human_seconds=20, device_seconds=5)
    opened = backend.open(SignerInfo("ledger", simulator.location, "emulator", emulated=True), Curious())
    with opened:
        account = account_of(opened, PROFILE, Scheme.BIP84)
        assert opened.display_address(account, 0, 0) == str(account.address(0, 0))
    assert codes == ["signer.busy"]


def test_closing_waits_until_nobody_reads_the_device_any_more() -> None:
    """hidapi frees what its read still uses."""
    reading, log = threading.Event(), []

    class Hid:
        def read(self, size: int, milliseconds: int) -> bytes:
            reading.set()
            log.append("read")
            time.sleep(0.1)
            log.append("done")
            return b""

        def close(self) -> None:
            log.append("closed")

    transport = HidTransport(Hid())
    thread = threading.Thread(target=lambda: _until_timeout(transport))
    thread.start()
    assert reading.wait(5)
    transport.close()
    thread.join()
    at = log.index("closed")
    assert log[at - 1] == "done"


def _until_timeout(transport: HidTransport) -> None:
    with pytest.raises(TimeoutError):
        transport.receive(deadline=time.monotonic() + 0.15)


@pytest.mark.parametrize("text", ["tcp:localhost:9999", "tcp:127.0.0.1:09999", "tcp:127.0.0.1:9999"])
def test_one_emulator_has_one_lock_however_it_is_written(text: str) -> None:
    place = place_of(text)
    assert place is not None
    assert place.location == "tcp:127.0.0.1:9999"


POLICIES = """
import subprocess
import sys
from pathlib import Path
from bursar.backends.ledger.policies import FilePolicyStore
from bursar.errors import CorruptStoreError
from bursar.keys.origin import Fingerprint
sys.setrecursionlimit(100_000)  # as the libraries of the EVM do when they are imported
try:
    FilePolicyStore(Path(sys.argv[1])).registrations(Fingerprint.from_text("f5acc2fd"))
except CorruptStoreError:
    print("refused")
"""


def test_a_file_of_policies_that_nests_for_ever_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    path.write_text("[" * 1_000_000)
    path.chmod(0o600)
    done = subprocess.run([sys.executable, "-c", POLICIES, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n")
