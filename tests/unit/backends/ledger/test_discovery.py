"""Which Ledgers are listed, how they are named, and why one cannot be used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.device_lock import DeviceLock
from bursar.backends.ledger import LedgerBackend, places
from bursar.backends.ledger import transport as transports
from bursar.backends.ledger.framing import PACKET, HidAssembler, hid_packets
from bursar.backends.ledger.places import place_of
from bursar.errors import InvalidInputError, MissingExtraError, SignerError, SignerNotFoundError, SignerUnavailableError
from bursar.keys.origin import Fingerprint
from bursar.signing.protocols import AdministersDevices, DeviceAdmin, LocatesSigners, SignerInfo
from bursar.signing.registry import Registry

NANO, FLEX = 0x5011, 0x7011


def entry(path: bytes, product: int = NANO, *, page: int = 0xFFA0, interface: int = 0, vendor: int = 0x2C97) -> Any:
    return {
        "path": path,
        "vendor_id": vendor,
        "product_id": product,
        "usage_page": page,
        "interface_number": interface,
        "serial_number": "0001",
    }


class FakeLedger:
    """A device behind hidapi: answers commands on the channel they came on."""

    def __init__(self, answers: dict[str, bytes], *, refuses: bool = False) -> None:
        self.answers = {bytes.fromhex(question): answer for question, answer in answers.items()}
        self.refuses = refuses
        self.packets: list[bytes] = []
        self.open = False

    def open_path(self, path: bytes) -> None:
        if self.refuses:
            raise OSError("open failed")
        self.open = True

    def write(self, packet: bytes) -> int:
        channel = int.from_bytes(packet[1:3], "big")
        question = HidAssembler(channel).feed(packet[1:])
        assert question is not None
        self.packets += hid_packets(channel, self.answers.get(question, b"\x6e\0"))
        return len(packet)

    def read(self, size: int, timeout: int) -> list[int]:
        assert size == PACKET
        return list(self.packets.pop(0)) if self.packets else []

    def close(self) -> None:
        self.open = False


class FakeHid:
    """The module hid."""

    def __init__(self, entries: list[Any], devices: dict[bytes, FakeLedger]) -> None:
        self.entries = entries
        self.devices = devices

    def enumerate(self, vendor: int, product: int) -> list[Any]:
        assert (vendor, product) == (0x2C97, 0)
        return self.entries

    def device(self) -> Any:
        module = self

        class Unopened:
            def open_path(self, path: bytes) -> None:
                chosen = module.devices[path]
                chosen.open_path(path)
                for name in ("write", "read", "close"):
                    setattr(self, name, getattr(chosen, name))

            def close(self) -> None:
                pass

        return Unopened()


Plug = Callable[..., LedgerBackend]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plug:
    """Plug devices in: by path, or a list of hidapi's own entries."""

    def make(devices: dict[bytes, FakeLedger], entries: list[Any] | None = None) -> LedgerBackend:
        listed = [entry(path) for path in devices] if entries is None else entries
        monkeypatch.setattr(transports.vendor, "hid", lambda: FakeHid(listed, devices))
        return LedgerBackend(locks=tmp_path / "locks", device_seconds=0.2)

    return make


@pytest.fixture
def nano(app_answer: Callable[..., bytes]) -> FakeLedger:
    return FakeLedger({"b001000000": app_answer(), "e105000100": bytes.fromhex("5c9e228d9000")})


def test_the_backend_is_what_the_contracts_say() -> None:
    backend = LedgerBackend()
    assert backend.name == "ledger"
    assert isinstance(backend, LocatesSigners)
    assert isinstance(backend, AdministersDevices)
    assert Registry.installed().backend("ledger").name == "ledger"


def test_an_open_bitcoin_app_tells_its_fingerprint(plug: Plug, nano: FakeLedger) -> None:
    backend = plug({b"/dev/hidraw3": nano})
    expected = SignerInfo(
        "ledger",
        "hid:/dev/hidraw3",
        "Ledger Nano S Plus",
        firmware="Bitcoin Test 2.4.6",
        fingerprint=Fingerprint.from_text("5c9e228d"),
    )
    assert backend.discover() == [expected]
    assert backend.locate("hid:/dev/hidraw3") == expected
    assert backend.locate("hid:/dev/hidraw4") is None
    assert backend.locate("somewhere") is None
    assert not nano.open


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (b"\x55\x15", "signer.locked", "enter the PIN"),
        (b"\x69\x01", "signer.busy", "earlier request"),
        (("BOLOS", "1.1.1"), "signer.app", "no app is open"),
        (("Solana", "1.4"), "signer.app", "the app Solana 1.4 is open"),
        (("Bitcoin", "2.0.6"), "signer.app", "update the Bitcoin app"),
    ],
)
def test_trouble_is_told_in_words_and_code(
    plug: Plug, app_answer: Callable[..., bytes], answer: Any, code: str, words: str
) -> None:
    given = answer if isinstance(answer, bytes) else app_answer(*answer)
    backend = plug({b"/dev/hidraw3": FakeLedger({"b001000000": given})})
    (info,) = backend.discover()
    assert info.trouble_code == code
    assert words in (info.trouble or "")
    assert info.fingerprint is None
    with pytest.raises(SignerUnavailableError) as caught:
        backend.open(info, Any)
    assert caught.value.code == code


def test_a_device_that_may_not_be_opened_is_listed(plug: Plug) -> None:
    backend = plug({b"/dev/hidraw3": FakeLedger({}, refuses=True)})
    (info,) = backend.discover()
    assert info.trouble_code == "signer.permission"
    assert "bursar doctor" in (info.trouble or "")
    with pytest.raises(SignerUnavailableError) as caught:
        backend.open(info, Any)
    assert caught.value.code == "signer.permission"


def test_a_device_that_says_nothing_is_listed(plug: Plug) -> None:
    silent = FakeLedger({})
    silent.write = lambda packet: len(packet)  # type: ignore[method-assign]
    (info,) = plug({b"/dev/hidraw3": silent}).discover()
    assert info.trouble_code == "signer.unknown"
    assert "did not answer in time" in (info.trouble or "")


def test_only_the_interface_for_apdus_is_taken(plug: Plug, nano: FakeLedger) -> None:
    entries = [
        entry(b"/dev/hidraw5", page=0xF1D0, interface=1),
        entry(b"/dev/hidraw3"),
        entry(b"/dev/hidraw6", page=0x0001, interface=2),
        entry(b"/dev/hidraw7", vendor=0x1234),
        entry(b""),
    ]
    assert [info.location for info in plug({b"/dev/hidraw3": nano}, entries).discover()] == ["hid:/dev/hidraw3"]
    where_no_page_is_told = [entry(b"1-2:1.0", page=0), entry(b"1-2:1.1", page=0, interface=1)]
    assert [info.location for info in plug({b"1-2:1.0": nano}, where_no_page_is_told).discover()] == ["hid:1-2:1.0"]


def test_two_devices_are_two_places(plug: Plug, nano: FakeLedger) -> None:
    backend = plug(
        {b"/dev/hidraw9": nano, b"/dev/hidraw3": nano}, [entry(b"/dev/hidraw9", FLEX), entry(b"/dev/hidraw3")]
    )
    assert [(info.location, info.model) for info in backend.discover()] == [
        ("hid:/dev/hidraw3", "Ledger Nano S Plus"),
        ("hid:/dev/hidraw9", "Ledger Flex"),
    ]


def test_a_device_in_use_is_listed_as_busy(plug: Plug, nano: FakeLedger, tmp_path: Path) -> None:
    backend = plug({b"/dev/hidraw3": nano})
    lock = DeviceLock("hid:/dev/hidraw3", folder=tmp_path / "locks")
    lock.acquire()
    (info,) = backend.discover()
    assert info.trouble_code == "signer.busy"
    with pytest.raises(SignerUnavailableError, match="this program is using it"):
        backend.open(info, Any)
    lock.release()
    lock.release()
    assert backend.discover()[0].trouble is None


def test_a_missing_hidapi_is_a_broken_backend_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("hidapi is not installed: pip install 'bursar[ledger]'", extra="ledger")

    monkeypatch.setattr(transports.vendor, "hid", missing)
    found = Registry([LedgerBackend()]).discover()
    assert found.signers == ()
    assert "bursar[ledger]" in found.broken[0].reason


def test_loopback_is_looked_at_only_when_asked(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def connect(host: str, port: int, *, seconds: float) -> None:
        asked.append(port)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(places.TcpTransport, "connect", connect)
    backend = plug({})
    assert backend.discover() == []
    assert asked == []
    assert backend.discover(emulators=True) == []
    assert asked == [9999]
    assert backend.locate("tcp:127.0.0.1:4711") is None
    assert asked == [9999, 4711]
    gone = SignerInfo("ledger", "tcp:127.0.0.1:4711", "Ledger emulator", emulated=True)
    with pytest.raises(SignerUnavailableError, match="no emulator answers"):
        backend.open(gone, Any)


@pytest.mark.parametrize("location", ["tcp:10.0.0.1:9999", "tcp:127.0.0.1", "tcp:127.0.0.1:0", "tcp:127.0.0.1:99999"])
def test_places_that_are_none(location: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        place_of(location)
    assert caught.value.code == "input.signer"


def test_ipv6_loopback_is_a_place() -> None:
    place = place_of("tcp:[::1]:9999")
    assert place is not None
    assert place.emulated


def test_opening_names_what_is_wrong(plug: Plug, nano: FakeLedger) -> None:
    backend = plug({b"/dev/hidraw3": nano})
    with pytest.raises(SignerNotFoundError, match="its own backend"):
        backend.open(SignerInfo("trezor", "hid:/dev/hidraw3", "x"), Any)
    with pytest.raises(SignerNotFoundError, match="no ledger at hid:/dev/hidraw8"):
        backend.open(SignerInfo("ledger", "hid:/dev/hidraw8", "x"), Any)
    other = SignerInfo("ledger", "hid:/dev/hidraw3", "x", fingerprint=Fingerprint(b"1234"))
    with pytest.raises(SignerError, match="5c9e228d, not of 31323334") as caught:
        backend.open(other, Any)
    assert caught.value.code == "signer.fingerprint"
    assert not nano.open
    with pytest.raises(InvalidInputError, match="Bitcoin, Bitcoin Test, Ethereum"):
        LedgerBackend(app="Solana")


def test_nothing_of_this_is_done_by_a_computer(plug: Plug, nano: FakeLedger) -> None:
    backend = plug({b"/dev/hidraw3": nano})
    admin = backend.administer(backend.discover()[0], Any)
    assert isinstance(admin, DeviceAdmin)
    assert admin.info.model == "Ledger Nano S Plus"
    calls: list[Callable[[], object]] = [
        lambda: admin.set_up(label="x", words=24, passphrase=False),
        lambda: admin.restore(label="x", words=24, passphrase=False),
        admin.wipe,
        lambda: admin.set_label("x"),
        admin.change_pin,
        admin.remove_pin,
        lambda: admin.set_passphrase(enabled=True),
        admin.back_up,
        admin.check_genuine,
    ]
    for call in calls:
        with pytest.raises(SignerError, match="does not let a computer do that") as caught:
            call()
        assert caught.value.code == "signer.unsupported"
    admin.close()


def test_the_backend_imports_no_vendor_library() -> None:
    program = (
        "import sys, bursar.backends.ledger as l; b = l.LedgerBackend(); import bursar.backends.ledger.signer\n"
        "assert not {'hid', 'ledger_bitcoin', 'ledgercomm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
