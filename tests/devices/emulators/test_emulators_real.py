"""The runners on the vendors' own firmware, where environment variables name it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bursar_devices import humans
from bursar_devices.device import Device, Kind, Page, Press
from bursar_devices.emulators import SpeculosDevice, TrezorEmulator
from bursar_devices.emulators.debuglink import Kind as Message
from bursar_devices.emulators.debuglink import Port

sys.path.insert(0, str(Path(__file__).parent))
from listening import listening

ETHER_PATH = "058000002c8000003c800000000000000000000000"
ALL_ALL = " ".join(["all"] * 12)
ETHER_OF_ALL = "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"
BITCOIN_OF_ALL = "bc1qannfxke2tfd4l7vhepehpvt05y83v3qsf6nfkk"


@pytest.fixture
def bitcoin(vendor_file: Callable[[str], Path]) -> Path:
    return vendor_file("BURSAR_SPECULOS_BITCOIN")


@pytest.fixture
def ethereum(vendor_file: Callable[[str], Path]) -> Path:
    return vendor_file("BURSAR_SPECULOS_ETHEREUM")


@pytest.fixture
def trezor(vendor_file: Callable[[str], Path]) -> Path:
    return vendor_file("BURSAR_TREZOR_EMULATOR")


def exchange(device: SpeculosDevice, apdu: str) -> str:
    """One command on the port of the host, and its reply with the status word."""
    import socket

    host, port = device.location.removeprefix("tcp:").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as wire:
        command = bytes.fromhex(apdu)
        wire.sendall(len(command).to_bytes(4, "big") + command)
        stream = wire.makefile("rb")
        length = int.from_bytes(stream.read(4), "big") + 2
        return stream.read(length).hex()


def in_background(task: Callable[[], object]) -> list[object]:
    answers: list[object] = []
    threading.Thread(target=lambda: answers.append(task()), daemon=True).start()
    return answers


def until(look: Callable[[], object], within: float = 20.0) -> None:
    end = time.monotonic() + within
    while not look():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_speculos_answers_and_listens_on_loopback_only(bitcoin: Path) -> None:
    with SpeculosDevice(bitcoin) as device:
        assert isinstance(device, Device)
        assert device.kind is Kind.EMULATOR
        assert device.app.startswith("Bitcoin")
        name = device.app.encode()
        assert exchange(device, "b001000000").startswith("01" + f"{len(name):02x}" + name.hex())
        assert device.page() is None
        assert device._program is not None
        where = listening(device._program._process.pid)
        assert len(where) == 2
        assert {host for host, _ in where} == {"127.0.0.1"}


def test_an_ethereum_address_on_two_devices_at_once(ethereum: Path) -> None:
    with (
        SpeculosDevice(ethereum, app="Ethereum", mnemonic=ALL_ALL, human=humans.confirm_address(ETHER_OF_ALL)) as one,
        SpeculosDevice(ethereum, human=humans.reject()) as other,
    ):
        assert one.location != other.location
        apdu = f"e0020100{len(ETHER_PATH) // 2:02x}{ETHER_PATH}"
        assert ETHER_OF_ALL[2:].encode().hex() in exchange(one, apdu)
        assert exchange(other, apdu) == "6985"
        assert [page.title for page in one.pages] == ["Verify Ethereum address", "Address", "Confirm"]


@pytest.mark.parametrize("allowed", [False, True])
def test_blind_signing_is_switched_on(ethereum: Path, allowed: bool) -> None:
    with SpeculosDevice(ethereum, blind_signing=allowed) as device:
        assert exchange(device, "e006000000") == ("03" if allowed else "02") + "0116009000"
        assert device.page() is None


def test_a_message_page_by_page(ethereum: Path) -> None:
    text = b"hello world"
    data = f"{ETHER_PATH}{len(text):08x}{text.hex()}"
    with SpeculosDevice(ethereum) as device:
        answers = in_background(lambda: exchange(device, f"e0080000{len(data) // 2:02x}{data}"))
        for page in (Page("Review message"), Page("Message", ("hello world",)), Page("Sign message")):
            until(lambda wanted=page: device.page() == wanted)
            device.press(Press.ACCEPT)
        until(lambda: answers)
        assert len(str(answers[0])) == 2 * (65 + 2)


def ask_trezor(
    device: TrezorEmulator, fields: list[tuple[int, int | bytes]], kind: int = 29
) -> tuple[int, dict[int, int | bytes]]:
    """A request in a new session on the main port, each ButtonRequest acknowledged; 29 is GetAddress."""
    port = Port(int(device.location.rpartition(":")[2]))
    port.ask(Message.INITIALIZE)
    found, reply = port.ask(kind, fields, within=30)
    while found == Message.BUTTON_REQUEST:
        found, reply = port.ask(Message.BUTTON_ACK, within=30)
    return found, reply


HARD = 1 << 31
GET_ADDRESS: list[tuple[int, int | bytes]] = [
    *((1, step) for step in (84 | HARD, HARD, HARD, 0, 0)),
    (2, b"Bitcoin"),
    (3, 1),
    (5, 3),
]


def test_trezor_shows_an_address(trezor: Path) -> None:
    with TrezorEmulator(trezor, human=humans.confirm_address(BITCOIN_OF_ALL)) as device:
        assert isinstance(device, Device)
        assert device.kind is Kind.EMULATOR
        assert device.firmware.startswith("1.")
        kind, reply = ask_trezor(device, GET_ADDRESS)
        assert (kind, reply[1]) == (30, BITCOIN_OF_ALL.encode())
        until(lambda: device.page() is None)
        assert [page.title for page in device.pages] == ["Address:"]
        assert device.pages[0].text.startswith(BITCOIN_OF_ALL)


def test_trezor_listens_on_loopback_only_and_remembers_nothing(trezor: Path) -> None:
    with TrezorEmulator(trezor, mnemonic=None) as device:
        assert device._program is not None
        port = int(device.location.rpartition(":")[2])
        assert listening(device._program._process.pid) == {("127.0.0.1", port), ("127.0.0.1", port + 1)}
        _, features = Port(port).ask(Message.INITIALIZE)
        assert features.get(12) == 0
        folder = device.log.parent if device.log is not None else Path("/")
    assert not folder.exists()


def test_trezor_with_pin_and_passphrase_protection(trezor: Path) -> None:
    with TrezorEmulator(trezor, pin="1234", passphrase_protection=True) as device:
        _, features = Port(int(device.location.rpartition(":")[2])).ask(Message.INITIALIZE)
        assert (features[7], features[8]) == (1, 1)


def test_trezor_refuses_a_message(trezor: Path) -> None:
    fields = [*GET_ADDRESS[:5], (2, b"hello world"), (4, 3)]
    with TrezorEmulator(trezor, human=humans.reject_at_page("Sign message")) as device:
        kind, reply = ask_trezor(device, fields, kind=38)
        assert (kind, reply[1]) == (Message.FAILURE, 4)
        assert device.pages[-1] == Page("Sign message?", ("hello world",))
