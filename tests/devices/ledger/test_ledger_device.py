"""The simulated Ledger as a device on the bench: apps, dashboard, PIN, buttons, humans."""

from __future__ import annotations

import time

import pytest
from bursar_devices import humans
from bursar_devices.device import Device, Kind, Page, Press
from bursar_devices.ledger import LedgerSimulator

NAME = "b001000000"
QUIT = "b0a7000000"
ASK = "e105000100"
REVIEW = bytes.fromhex("e10000010e01" + "03" + "80000054" + "80000001" + "80000000")


def open_app(name: str) -> bytes:
    return bytes((0xE0, 0xD8, 0, 0, len(name))) + name.encode()


def hung_up(peer) -> bool:
    try:
        peer.receive()
    except (EOFError, ConnectionError):
        return True
    return False


def test_it_is_a_device(start):
    device = start()
    assert isinstance(device, Device)
    assert (device.family, device.model, device.kind) == ("ledger", "nanosp", Kind.SIMULATOR)
    assert device.firmware == "Bitcoin Test 2.4.6"
    assert device.page() is None


def test_what_it_cannot_be():
    with pytest.raises(ValueError, match="model 'nanox'"):
        LedgerSimulator(model="nanox")
    with pytest.raises(ValueError, match="app 'Doom'"):
        LedgerSimulator(app="Doom")


def test_from_app_to_dashboard_to_app(start, connect):
    device = start()
    peer = connect(device)
    assert peer.exchange(QUIT) == (0x9000, b"")
    assert hung_up(peer)
    assert device.app == "BOLOS"
    peer = connect(device)
    name = peer.exchange(NAME)[1]
    assert name[1:7] == b"\x05BOLOS"
    status, info = peer.exchange("e001000000")
    assert (status, info[:4].hex()) == (0x9000, "33100004")
    assert peer.exchange(open_app("Doom"))[0] == 0x6807
    assert peer.exchange(ASK)[0] == 0x6E00
    assert peer.exchange("e0ff000000")[0] == 0x6D00
    assert peer.exchange(open_app("Ethereum")) == (0x9000, b"")
    assert hung_up(peer)
    assert device.pages[-1].title == "Open Ethereum app?"
    assert connect(device).exchange("e006000000")[0] == 0x9000
    assert device.firmware == "Ethereum 1.22.0"


def test_the_human_does_not_open_the_app(start, connect):
    device = start(app="BOLOS", human=humans.reject())
    assert connect(device).exchange(open_app("Bitcoin"))[0] == 0x5501
    assert device.app == "BOLOS"


def test_apps_opened_by_hand(start, connect):
    device = start(app="BOLOS", version=None)
    peer = connect(device)
    device.open_app("Bitcoin")
    assert hung_up(peer)
    assert connect(device).exchange(NAME)[1][1:9] == b"\x07Bitcoin"


def test_as_speculos_quitting_ends_it(start, connect):
    device = start(speculos=True)
    peer = connect(device)
    assert peer.exchange(QUIT) == (0x9000, b"")
    assert hung_up(peer)
    assert not device.running


def test_locked(start, connect):
    device = start(pin="1234")
    peer = connect(device)
    assert device.locked
    assert peer.exchange(ASK) == (0x5515, b"")
    assert peer.exchange(NAME) == (0x5515, b"")
    assert not device.unlock("4321")
    assert device.unlock("1234")
    assert peer.exchange(ASK)[0] == 0x9000
    device.lock()
    assert peer.exchange(ASK)[0] == 0x5515
    assert device.unlock("1234")


def test_three_wrong_pins_wipe_it(start, connect):
    device = start(pin="1234")
    for _ in range(3):
        assert not device.unlock("0000")
    assert device.wiped
    assert not device.unlock("1234")
    assert connect(device).exchange(ASK)[0] == 0x5515


def test_buttons(start, connect):
    device = start(human=None)
    device.press(Press.ACCEPT)  # nothing asks
    peer = connect(device)
    peer.send(REVIEW)
    assert device.wait_for_page() == Page("Confirm public key")
    device.press(Press.ACCEPT)
    assert device.page() == Page("Path", ("84'/1'/0'",))
    device.press(Press.REFUSE)
    assert peer.receive() == (0x6985, b"")
    assert device.page() is None
    assert [page.title for page in device.pages] == ["Confirm public key", "Path", "Reject operation"]


def test_waiting_for_a_page_ends(start):
    with pytest.raises(TimeoutError, match="Sign"):
        start(human=None).wait_for_page("Sign", timeout=0.01)


@pytest.mark.parametrize("apdu", [ASK, NAME, QUIT, "e1", "e1ff000100", "f801000100"])
def test_the_bitcoin_app_lets_nobody_disturb_a_review(start, connect, apdu):
    device = start(human=None)
    peer = connect(device)
    peer.send(REVIEW)
    device.wait_for_page("Confirm public key")
    assert peer.exchange(apdu) == (0x6901, b"")
    while device.page() is not None:
        device.press(Press.ACCEPT)
    assert peer.receive()[0] == 0x9000


def test_a_human_who_objects_refuses_and_is_heard(connect):
    def picky():
        page = yield Press.ACCEPT
        while page.title != "Path":
            page = yield Press.ACCEPT
        raise AssertionError("not this path")

    with pytest.raises(AssertionError, match="not this path"), LedgerSimulator(human=picky()) as device:
        assert connect(device).exchange(REVIEW) == (0x6985, b"")


def test_a_slow_human_does_not_stop_the_device(start, connect):
    def slow():
        while True:
            yield Press.ACCEPT
            time.sleep(0.15)

    device = start(human=slow())
    peer = connect(device)
    peer.send(REVIEW)
    device.wait_for_page("Confirm public key")
    assert device.page() is not None
    assert peer.exchange(ASK) == (0x6901, b"")
    assert peer.receive()[0] == 0x9000


def test_a_human_who_comes_later(start, connect):
    device = start(human=None)
    peer = connect(device)
    peer.send(REVIEW)
    device.wait_for_page("Confirm public key")
    device.human = humans.approve()
    assert peer.receive()[0] == 0x9000


def test_both_models_show_the_same(start, client, wallet):
    told = {}
    for model in ("nanosp", "flex"):
        device = start(model=model)
        client(device).get_wallet_address(wallet.policy("tr"), None, 0, 0, True)
        told[model] = "".join(page.text for page in device.pages)
    assert told["nanosp"] == told["flex"]
