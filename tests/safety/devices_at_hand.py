"""Simulated devices, the commands that use them, and a Trezor that answers by script; for the tests of chapter J."""

from __future__ import annotations

import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.faults import Side
from bursar_devices.ledger import LedgerSimulator
from bursar_devices.prompting import BenchPrompt
from bursar_devices.trezor import TrezorSimulator

from bursar.backends.ledger import LedgerBackend, link
from bursar.backends.ledger.transport import drained
from bursar.backends.trezor import TrezorBackend, framing, places
from bursar.backends.trezor.conversation import Patience
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.network import Network
from bursar.cli.hwi import prompting
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.registry import Registry

UNIT = Path(__file__).resolve().parents[1] / "unit"
FAMILIES = ("trezor", "ledger")
KEYS = {"trezor": "5c9e228d", "ledger": "73c5da0a"}
OTHER_WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
HOME = DerivationPath.from_text("m/84h/1h/0h")
PAYEE = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
Plug = Callable[..., Any]


def lent(name: str, *path: str) -> ModuleType:
    """The simulators and scripts of another folder's tests."""
    spec = importlib.util.spec_from_file_location(name, UNIT.joinpath(*path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


commands = lent("bursar_safety_hwi", "cli", "test_hwi_devices.py")
in_memory = lent("bursar_safety_trezor", "backends", "trezor", "conftest.py")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Locks in a folder of the test, no real device in sight, and little waiting for what nobody left on a wire."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(places.usb_places, "__defaults__", (lambda: (),))
    monkeypatch.setattr(link, "drained", lambda transport, *, seconds: drained(transport, seconds=min(seconds, 0.005)))


@pytest.fixture
def plug(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """``plug("trezor" or "ledger", …)``: a simulated device, its human content with everything."""
    started: list[Any] = []
    monkeypatch.setattr(framing, "drain", lambda _wire: None)

    def start(family: str, **options: Any) -> Any:
        kind: Any = TrezorSimulator if family == "trezor" else LedgerSimulator
        started.append(kind(**{"human": humans.approve(), **options}).start())
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def usual_places(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Any], None]:
    """The simulators stand where emulators are looked for."""

    def stand(trezor: Any, ledger: Any) -> None:
        monkeypatch.setattr(places, "STANDARD_EMULATOR", trezor.location)
        defaults = LedgerBackend.__init__.__kwdefaults__
        assert defaults is not None
        monkeypatch.setitem(defaults, "emulator_port", ledger.port)

    return stand


@pytest.fixture
def hwi(alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """``bursar-hwi`` in process."""
    typist = commands.Typist()
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path / "hwi"))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setattr("bursar.cli.terminal.Terminal", lambda: typist)
    monkeypatch.setattr(prompting, "has_terminal", lambda: True)
    return commands.Hwi(capsys, typist)


@pytest.fixture
def memory(alone: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Trezor that answers message by message as a test tells it; ``location`` is where it stands."""
    device = in_memory.MemoryTrezor()
    monkeypatch.setattr(places, "place_of", lambda location: places.Place(location, "Trezor", device))
    return device


def opened(device: Any, location: str = "", *, wire: float = 5.0, human: float = 5.0) -> Any:
    """By the registry, with that many seconds to wait for the wire and for a human."""
    backend = (
        TrezorBackend(patience=Patience(device=wire, human=human, whole=60))
        if device.family == "trezor"
        else LedgerBackend(device_seconds=wire, human_seconds=human)
    )
    return Registry.installed([backend]).open(f"{device.family}:{location or device.location}", BenchPrompt())


def account_of(signer: Any) -> BitcoinAccount:
    return BitcoinAccount(Network.REGTEST, Scheme.BIP84, KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))


def code_of(refused: Any) -> str:
    return str(refused.value.code)


class Late:
    """Keeps a device's frames back for a time: they arrive right before its next answer."""

    def __init__(self) -> None:
        self.keeping = False
        self._kept: list[bytes] = []

    def __call__(self, side: Side, _number: int, frame: bytes) -> list[bytes]:
        if side is Side.HOST:
            return [frame]
        self._kept.append(frame)
        if self.keeping:
            return []
        arrived, self._kept = self._kept, []
        return arrived
