"""Finding Trezors: nothing is touched that was not asked for, everything found is explained."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trezorlib import messages

from bursar.backends.trezor import TrezorBackend, places, usb, vendor
from bursar.backends.trezor.places import Place
from bursar.backends.trezor.usb import Plugged, plugged
from bursar.errors import InvalidInputError, MissingExtraError, SignerUnavailableError
from bursar.keys.origin import Fingerprint

ONE = ("534c", "0001")
SAFE = ("1209", "53c1")


def plug(
    root: Path, name: str, ids: tuple[str, str], *, interface: str = "ff", serial: str = "S", mode: int = 0o600
) -> None:
    """What sysfs and /dev hold of one device."""
    (root / name).mkdir(parents=True)
    for file, text in {"idVendor": ids[0], "idProduct": ids[1], "devnum": "7", "serial": serial}.items():
        (root / name / file).write_text(text + "\n")
    (root / f"{name}:1.0").mkdir()
    (root / f"{name}:1.0" / "bInterfaceClass").write_text(interface + "\n")
    node = root / "dev" / name.partition("-")[0].zfill(3) / "007"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.touch(mode=mode)


def test_the_system_lists_what_is_plugged_in(tmp_path: Path) -> None:
    plug(tmp_path, "1-2.3", SAFE)
    plug(tmp_path, "2-1", ONE, interface="03", serial="OLD")
    plug(tmp_path, "3-1", ("1d6b", "0002"))
    (tmp_path / "usb1").mkdir()
    found = plugged(tmp_path, tmp_path / "dev")
    assert found == (
        Plugged("webusb:001:2:3", "Trezor", "S", hid=False, permitted=True),
        Plugged("webusb:002:1", "Trezor One", "OLD", hid=True, permitted=True),
    )
    assert plugged(tmp_path / "nowhere", tmp_path / "dev") is None
    assert plugged(tmp_path / "nowhere", tmp_path / "nor here") == ()  # a machine without USB


def test_no_node_no_permission(tmp_path: Path) -> None:
    plug(tmp_path, "1-2", SAFE)
    (tmp_path / "dev" / "001" / "007").unlink()
    found = plugged(tmp_path, tmp_path / "dev")
    assert found is not None
    assert not found[0].permitted


@pytest.fixture
def no_usb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "plugged", lambda: ())
    monkeypatch.setattr(places.usb_places, "__defaults__", (lambda: (),))


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    opened: list[Any] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        opened.append(address)
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return opened


def test_nothing_plugged_in_nothing_touched(no_usb: None, no_sockets: list[Any]) -> None:
    assert TrezorBackend().discover() == ()
    assert no_sockets == []


def test_only_a_place_that_was_named_is_looked_at(no_usb: None, no_sockets: list[Any]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert TrezorBackend().locate(f"udp:127.0.0.1:{port}") is None
        assert no_sockets == [("127.0.0.1", port)]
    assert TrezorBackend().locate("Main treasury") is None
    assert len(no_sockets) == 1


@pytest.mark.parametrize(
    "text",
    ["udp:10.0.0.1:21324", "udp:example.com:21324", "udp:127.0.0.1", "udp:127.0.0.1:0", "udp:127.0.0.1:٣", "udp:"],
)
def test_emulators_are_on_this_machine(text: str) -> None:
    with pytest.raises(InvalidInputError, match="no emulator of this machine"):
        TrezorBackend().locate(text)


def usb_with(monkeypatch: pytest.MonkeyPatch, *found: Plugged) -> None:
    monkeypatch.setattr(places.usb_places, "__defaults__", (lambda: found,))


def test_without_permission_the_rule_is_named(monkeypatch: pytest.MonkeyPatch, no_sockets: list[Any]) -> None:
    usb_with(monkeypatch, Plugged("webusb:001:2", "Trezor", "S", hid=False, permitted=False))
    monkeypatch.setattr(vendor, "bridge", list)
    (found,) = TrezorBackend().discover()
    assert (found.location, found.model, found.trouble_code) == ("webusb:001:2", "Trezor", "signer.permission")
    assert "bursar doctor" in (found.trouble or "")
    with pytest.raises(SignerUnavailableError) as caught:
        TrezorBackend().open(found, None)  # type: ignore[arg-type]
    assert caught.value.code == "signer.permission"


def test_without_libusb_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    usb_with(monkeypatch, Plugged("webusb:001:2", "Trezor", "S", hid=False, permitted=True))
    monkeypatch.setattr(vendor, "webusb", list)
    monkeypatch.setattr(vendor, "hid", list)
    monkeypatch.setattr(vendor, "bridge", list)
    monkeypatch.setattr(vendor, "usb_reason", lambda: "libusb-1.0 is not installed")
    (found,) = TrezorBackend().discover()
    assert found.trouble == "libusb-1.0 is not installed"


def test_whatever_the_usb_libraries_lack_is_no_error() -> None:
    assert vendor.usb_reason() is None or not vendor.webusb()
    assert isinstance(vendor.hid(), list)


def test_a_bridge_is_asked_about_a_device_that_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, trezor: Any, tmp_path: Path
) -> None:
    usb_with(monkeypatch, Plugged("webusb:001:2", "Trezor", "S", hid=False, permitted=False))
    trezor.get_path = lambda: "bridge:1"
    monkeypatch.setattr(vendor, "bridge", lambda: [trezor])
    (found,) = TrezorBackend(locks=tmp_path).discover()
    assert (found.location, found.trouble) == ("bridge:1", None)


def test_a_hid_device_is_known_by_its_serial(monkeypatch: pytest.MonkeyPatch, trezor: Any, tmp_path: Path) -> None:
    usb_with(monkeypatch, Plugged("webusb:001:2", "Trezor One", "S", hid=True, permitted=True))
    trezor.device = {"serial_number": "S"}
    trezor.get_path = lambda: "hid:/dev/hidraw0"
    monkeypatch.setattr(vendor, "webusb", list)
    monkeypatch.setattr(vendor, "hid", lambda: [trezor])
    backend = TrezorBackend(locks=tmp_path)
    (found,) = backend.discover()
    assert (found.location, found.model, found.firmware) == ("hid:/dev/hidraw0", "Trezor One", "1.14.1")
    assert backend.locate("hid:/dev/hidraw0") == found
    assert backend.locate("hid:/dev/hidraw1") is None


@pytest.fixture
def located(monkeypatch: pytest.MonkeyPatch, trezor: Any, tmp_path: Path) -> TrezorBackend:
    monkeypatch.setattr(places, "place_of", lambda location: Place(location, "Trezor", trezor))
    return TrezorBackend(locks=tmp_path / "locks")


def test_what_a_device_says_of_itself(located: TrezorBackend, trezor: Any) -> None:
    found = located.locate(trezor.location)
    assert found is not None
    assert (found.model, found.firmware, found.label) == ("Trezor One", "1.14.1", "memory")
    assert (found.trouble, found.emulated) == (None, True)
    assert found.fingerprint == Fingerprint.from_text("5c9e228d")
    assert not trezor.is_opened
    assert trezor.types()[-1] == "EndSession"  # looking around takes no other program's session away


@pytest.mark.parametrize("features", [{"passphrase_protection": True}, {"pin_protection": True, "unlocked": False}])
def test_no_human_is_asked_and_no_session_made_for_a_fingerprint(
    located: TrezorBackend, trezor: Any, features: dict[str, Any]
) -> None:
    trezor.features |= features
    found = located.locate(trezor.location)
    assert found is not None
    assert found.fingerprint is None
    assert trezor.types() == ["Cancel", "Ping", "GetFeatures"]


def test_a_button_while_looking_is_refused(located: TrezorBackend, trezor: Any) -> None:
    trezor.on[messages.GetPublicKey] = messages.ButtonRequest(code=messages.ButtonRequestType.PublicKey)
    found = located.locate(trezor.location)
    assert found is not None
    assert found.fingerprint is None
    assert "ButtonAck" not in trezor.types()


def test_hostile_features_are_cleaned(located: TrezorBackend, trezor: Any) -> None:
    trezor.features |= {
        "label": "\x1b]0;owned\x07\u202eevil\n" + "x" * 5000,
        "internal_model": "\x1b[31m" + "M" * 100,
        "major_version": 2**32 - 1,
    }
    found = located.locate(trezor.location)
    assert found is not None
    text = f"{found.model}{found.label}{found.trouble}{found.firmware}"
    assert text.isprintable()
    assert len(found.label or "") <= 64
    assert len(found.model) < 40
    assert found.trouble_code == "signer.unknown"


@pytest.mark.parametrize("reply", [b"garbage".ljust(64, b"\0"), None, OSError("gone")])
def test_a_device_that_talks_nonsense_is_listed_with_that(located: TrezorBackend, trezor: Any, reply: Any) -> None:
    trezor.on[messages.GetFeatures] = (lambda _: None) if reply is None else reply
    found = located.locate(trezor.location)
    assert found is not None
    assert found.trouble
    assert found.firmware is None
    assert not trezor.is_opened


def test_a_device_of_ours_that_is_open_is_busy(located: TrezorBackend, trezor: Any, human: Any) -> None:
    found = located.locate(trezor.location)
    assert found is not None
    with located.open(found, human) as signer:
        seen = len(trezor.seen)
        again = located.locate(trezor.location)
        assert again is not None
        assert again.trouble_code == "signer.busy"
        assert len(trezor.seen) == seen
        assert signer.info.fingerprint


def test_nobody_looks_around_during_a_conversation(located: TrezorBackend, trezor: Any, human: Any) -> None:
    found = located.locate(trezor.location)
    assert found is not None
    refused = []

    def look(_: object) -> None:
        with pytest.raises(SignerUnavailableError) as caught:
            located.locate(trezor.location)
        refused.append(caught.value.code)

    human.on_notify = look

    def with_button(message: Any) -> Any:
        trezor.waiting = lambda _: trezor.public_key(message.address_n)
        return messages.ButtonRequest(code=messages.ButtonRequestType.PublicKey)

    trezor.on[messages.GetPublicKey] = with_button
    located.open(found, human).close()
    assert refused == ["signer.busy"]


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        TrezorBackend().discover()
    assert caught.value.extra == "trezor"


def test_importing_and_looking_loads_nothing_where_nothing_is_plugged_in() -> None:
    code = (
        "import sys, bursar.backends.trezor.places as p; p.usb_places.__defaults__ = (lambda: (),)\n"
        "from bursar.backends.trezor import TrezorBackend\n"
        "assert TrezorBackend().discover() == ()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('trezorlib', 'usb1', 'hid', 'requests')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_vendors_enumeration_is_not_used() -> None:
    """It probes UDP port 21324 unasked, where any process of this machine may pose as a Trezor."""
    text = Path(vendor.__file__).read_text() + Path(places.__file__).read_text() + Path(usb.__file__).read_text()
    assert "enumerate_devices" not in text
    assert "get_transport" not in text
