"""Humans who read before they press, on the wording and line breaks of several models."""

from __future__ import annotations

import time

import pytest
from bursar_devices import humans
from bursar_devices.attending import attended
from bursar_devices.device import Device, Page, Press, Simulator, selector_of
from paper_device import PaperDevice, WatchedDevice

TO = "bcrt1qannfxke2tfd4l7vhepehpvt05y83v3qsp43h6v"
OTHER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
ETHER = "0x73d0385F4d8E00C5e6504C6030F47BF6212736A8"


def spelt(prefix: str) -> str:
    (found,) = [text for text in humans.spellings(TO) if text.startswith(prefix + "1")]
    return found


def small_screen(to: str, amount: str) -> list[Page]:
    """As a T1B1 words it."""
    half = len(to) // 2
    return [
        Page("Confirm sending", (f"{amount} to", to[:half], to[half:])),
        Page("Really send", (amount, "from your wallet?", "Fee included:", "0.00001 TEST")),
    ]


def nano(to: str, amount: str) -> list[Page]:
    """As a Nano S+ words it, the address over two pages."""
    return [
        Page("Review transaction to send bitcoin"),
        Page("Amount", (amount,)),
        Page("To (1/2)", (to[:16], to[16:30])),
        Page("To (2/2)", (to[30:],)),
        Page("Fees", ("TEST 0.00001000",)),
        Page("Sign transaction"),
    ]


def ether(to: str, amount: str) -> list[Page]:
    return [
        Page("Review transaction"),
        Page("From", ("0x1111111111111111111111", "111111111111111111")),
        Page("Amount", (amount,)),
        Page("To", (to[:22], to[22:])),
        Page("Max fees", ("ETH 0.00042",)),
        Page("Sign transaction"),
    ]


@pytest.fixture
def device() -> PaperDevice:
    return PaperDevice()


def test_a_device_is_what_the_bench_takes_it_for(device: PaperDevice) -> None:
    assert isinstance(device, Device)
    assert isinstance(device, Simulator)
    assert not isinstance(WatchedDevice(), Simulator)
    assert selector_of(device) == "paper:desk:1"


@pytest.mark.parametrize(
    ("pages", "human"),
    [
        (small_screen(TO, "0.0015 TEST"), humans.approve_transfer(TO, 150_000)),
        (small_screen(TO, "150,000 sat"), humans.approve_transfer(TO, 150_000)),
        (nano(spelt("tb"), "TEST 0.00150000"), humans.approve_transfer(TO, 150_000)),
        (nano(spelt("tb").upper(), "TEST 0.00150000"), humans.approve_transfer(TO, 150_000)),
        (ether(ETHER, "ETH 1.5"), humans.approve_transfer(ETHER, 15 * 10**17, decimals=18)),
        (ether(ETHER.lower(), "1500000000 gwei"), humans.approve_transfer(ETHER, 15 * 10**17, decimals=18)),
        (nano(TO, "0.0015") + nano(TO, "0.002"), humans.approve_payments([(TO, 150_000)])),
    ],
)
def test_the_right_payment_is_approved(device: PaperDevice, pages: list[Page], human: humans.Human) -> None:
    with attended(device, human) as shown:
        assert device.show(*pages)
    assert shown == pages == device.pages
    assert device.human is None


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (nano(OTHER, "TEST 0.00150000"), "it shows a payment to"),
        (nano(TO, "TEST 0.00150001"), "without having shown the amount 0.0015"),
        (nano(TO, "TEST 0.01500000"), "without having shown the amount"),
        (nano(TO, "10.0015"), "without having shown the amount"),
        (nano(TO[:-1], "0.0015"), "without having shown the address"),
        (nano(TO, "0.0015")[:2] + nano(TO, "0.0015")[-1:], "without having shown the address"),
        ([*nano(TO, "0.0015")[:-2], Page("To", (OTHER,)), Page("Sign transaction")], "it shows a payment to"),
        ([], "the address"),
    ],
)
def test_another_payment_is_refused(device: PaperDevice, pages: list[Page], words: str) -> None:
    with pytest.raises(humans.NotShownError, match=words), attended(device, humans.approve_transfer(TO, 150_000)):
        assert not pages or not device.show(*pages)


def test_several_payments_must_all_be_shown(device: PaperDevice) -> None:
    both = [(TO, 150_000), (OTHER, 20_000)]
    pages = nano(TO, "0.0015")[:-1] + nano(OTHER, "0.0002")[1:]
    with attended(device, humans.approve_payments(both)):
        assert device.show(*pages)
    with pytest.raises(humans.NotShownError), attended(device, humans.approve_payments(both)):
        assert not device.show(*nano(TO, "0.0015"))


def test_refusing_at_a_place(device: PaperDevice) -> None:
    for human, seen in (
        (humans.reject(), 1),
        (humans.reject_at_amount(), 2),
        (humans.reject_at_amount(150_000), 2),
        (humans.reject_at_page("FEES"), 5),
        (humans.reject_at_end(), 6),
    ):
        with attended(device, human) as shown:
            assert not device.show(*nano(TO, "0.0015"))
        assert len(shown) == seen
    for human in (humans.reject_at_page("Expert mode"), humans.reject_at_amount(7)):
        with pytest.raises(humans.NotShownError), attended(device, human):
            assert device.show(*nano(TO, "0.0015"))


def test_warnings_are_refused(device: PaperDevice) -> None:
    with attended(device, humans.reject_warnings()):
        assert device.show(*nano(TO, "0.0015"))
        assert not device.show(Page("Security risk", ("Unverified inputs",)), *nano(TO, "0.0015"))


def test_an_address_is_read_to_its_end(device: PaperDevice) -> None:
    long = "bcrt1pp9q4wt5gqpm4ncm5pg6xe5wrp8y7kr5c0fkhg7lpjkz0xw7z7x3s0e9ydd"
    for address in (TO, ETHER):
        with attended(device, humans.confirm_address(address)):
            pages = [Page("Verify address"), Page("Address", (address[:20], address[20:])), Page("Confirm")]
            assert device.show(*pages)
    with pytest.raises(humans.NotShownError), attended(device, humans.confirm_address(TO)):
        assert not device.show(Page("Address", (OTHER,)), Page("Confirm"))
    with pytest.raises(humans.NotShownError), attended(device, humans.confirm_address(long)):
        assert not device.show(Page("Address (1/2)", (long[:40],)), Page("Confirm"))


def test_what_the_body_raised_says_more(device: PaperDevice) -> None:
    with pytest.raises(RuntimeError, match="the body"), attended(device, humans.approve_transfer(TO, 1)):
        raise RuntimeError("the body")


def test_a_human_who_is_gone_refuses() -> None:
    human = humans.approve()
    assert humans.press_for(human, Page("one")) is Press.ACCEPT
    humans.finish(human)
    assert humans.press_for(human, Page("two")) is Press.REFUSE


def test_a_screen_without_a_human_inside_is_watched() -> None:
    device = WatchedDevice()
    with attended(device, humans.approve_transfer(TO, 150_000)) as shown:
        assert device.show(*nano(TO, "0.0015"))
    assert shown == nano(TO, "0.0015")
    with attended(device, humans.reject_at_amount()):
        assert not device.show(*nano(TO, "0.0015"))
    before = time.monotonic()
    with attended(device, humans.approve()):
        pass
    assert time.monotonic() - before < 1


def test_a_message_is_read(device: PaperDevice) -> None:
    with attended(device, humans.approve_message("I own this")):
        assert device.show(Page("Review message"), Page("Message", ("I own", "this")), Page("Sign message"))
    with pytest.raises(humans.NotShownError), attended(device, humans.approve_message("I own this")):
        assert not device.show(Page("Message", ("I owe this",)), Page("Sign message"))


def test_a_pin_is_typed_by_its_places() -> None:
    page = Page("Please enter current PIN:", ("5 1 9", "7 3 2", "8 4 6"))
    assert humans.matrix_positions(page, "5193") == "7895"
    with pytest.raises(humans.NotShownError):
        humans.matrix_positions(Page("Amount", ("0.1",)), "1")
