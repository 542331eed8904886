"""Screens of Ledger models as Speculos tells them: which wait, how they read, what presses them."""

from __future__ import annotations

import pytest
from bursar_devices.device import Page
from bursar_devices.emulators.ledger_screens import NanoHands, Step, TouchHands, hands_for
from bursar_devices.emulators.speculos_rest import Line, joined


def test_pieces_that_touch_are_one_line() -> None:
    pieces = [
        Line("_RETURN", 48, 28, 52, 12),
        Line("OP", 34, 29, 14, 8),
        Line("0x68", 31, 43, 67, 8),
        Line("To", 58, 6, 13, 8),
    ]
    assert sorted(line.text for line in joined(pieces)) == ["0x68", "OP_RETURN", "To"]
    assert len(joined([Line("Cancel", 49, 538, 94, 32), Line("1 of 2", 300, 538, 70, 32)])) == 2


class Fingers:
    """Keeps what was pressed."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def button(self, which: str) -> None:
        self.done.append(which)

    def tap(self, x: int, y: int, *, seconds: float = 0.1) -> None:
        self.done.append(f"{x},{y}" + (" held" if seconds > 1 else ""))


def nano(*lines: tuple[str, int]) -> tuple[Line, ...]:
    return tuple(Line(text, 10, y, 100, 12) for text, y in lines)


ASKING = [
    (nano(("Review transaction", 28), ("to send bitcoin", 42)), Page("Review transaction to send bitcoin"), Step.TURN),
    (nano(("Amount", 6), ("BTC 0.5", 36)), Page("Amount", ("BTC 0.5",)), Step.TURN),
    (nano(("name", 8), ("anna", 36)), Page("name", ("anna",)), Step.TURN),
    (
        nano(("Blind signing ahead", 22), ("To accept risk, press", 36), ("both buttons", 50)),
        Page("Blind signing ahead", ("To accept risk, press", "both buttons")),
        Step.ACCEPT,
    ),
    (nano(("Sign transaction", 36)), Page("Sign transaction"), Step.ACCEPT),
    (nano(("Accept risk and", 28), ("sign transaction", 42)), Page("Accept risk and sign transaction"), Step.ACCEPT),
    (nano(("Approve public key", 36)), Page("Approve public key"), Step.ACCEPT),
    (nano(("Confirm", 37)), Page("Confirm"), Step.ACCEPT),
    (nano(("Continue anyway", 36)), Page("Continue anyway"), Step.ACCEPT),
    (nano(("Reject operation", 36)), Page("Reject operation"), Step.REFUSE),
    (nano(("Back to safety", 36)), Page("Back to safety"), Step.REFUSE),
    (nano(("Cancel", 37)), Page("Cancel"), Step.REFUSE),
    (
        nano(("Blind signing must", 22), ("be enabled in", 36), ("settings", 50)),
        Page("Blind signing must be enabled in settings"),
        Step.NOTICE,
    ),
    (nano(("Confirm public key", 36)), Page("Confirm public key"), Step.TURN),
]


@pytest.mark.parametrize(("lines", "page", "step"), ASKING)
def test_nano_pages(lines: tuple[Line, ...], page: Page, step: Step) -> None:
    assert NanoHands().page(lines) == page
    if page.title != "Confirm public key":
        assert NanoHands().step(lines) is step


@pytest.mark.parametrize(
    "lines",
    [
        (),
        nano(("Bitcoin Testnet", 28), ("app is ready", 44)),
        nano(("App settings", 36)),
        nano(("Quit app", 36)),
        nano(("Public key", 20), ("approved", 35)),
        nano(("Address verification", 22), ("cancelled", 36)),
        nano(("Transaction signed", 27)),
        nano(("Message rejected", 27)),
        nano(("Processing", 28)),
        nano(("Signing", 28), ("transaction...", 42)),
    ],
)
def test_nano_screens_that_ask_nothing(lines: tuple[Line, ...]) -> None:
    assert NanoHands().page(lines) is None


def test_nano_presses() -> None:
    rest = Fingers()
    for text in ("Amount", "Sign transaction", "Reject transaction"):
        NanoHands().accept(rest, nano((text, 36)))
        NanoHands().refuse(rest, nano((text, 36)))
    assert rest.done == ["right", "right", "both", "right", "left", "both"]


FLEX_HOME = (Line("Ethereum", 159, 240, 162, 28), Line("Quit app", 183, 538, 114, 32))
FLEX_INTRO = (
    Line("Verify Ethereum", 101, 244, 276, 40),
    Line("address", 171, 284, 138, 40),
    Line("Swipe to continue", 122, 350, 236, 32),
    Line("1 of 2", 300, 538, 70, 32),
    Line("Cancel", 49, 538, 94, 32),
)
FLEX_ADDRESS = (
    Line("Address", 32, 44, 108, 32),
    Line("0x73d0385F4d8E00C5", 32, 82, 407, 40),
    Line("e6504C6030F47BF621", 33, 122, 399, 40),
    Line("Confirm", 187, 422, 107, 24),
    Line("2 of 2", 299, 538, 73, 32),
    Line("Cancel", 49, 538, 94, 32),
)
FLEX_SIGN = (
    Line("Sign message?", 110, 202, 259, 40),
    Line("Hold to sign", 34, 410, 204, 40),
    Line("3 of 3", 298, 538, 75, 32),
    Line("Reject", 55, 538, 83, 32),
)
FLEX_SURE = (
    Line("Reject message?", 100, 220, 280, 40),
    Line("Yes, reject", 170, 420, 140, 32),
    Line("Go back to message", 120, 540, 240, 32),
)
FLEX_RISK = (
    Line("Security risk", 100, 180, 280, 40),
    Line("Unverified inputs", 100, 240, 280, 32),
    Line("Back to safety", 150, 446, 180, 32),
    Line("Continue anyway", 140, 536, 200, 32),
)


@pytest.mark.parametrize(
    ("lines", "page", "accepted", "refused"),
    [
        (FLEX_INTRO, Page("Verify Ethereum address"), "429,554", "96,554"),
        (FLEX_ADDRESS, Page("Address", ("0x73d0385F4d8E00C5", "e6504C6030F47BF621")), "240,434", "96,554"),
        (FLEX_SIGN, Page("Hold to sign", ("Sign message?",)), "136,430 held", "96,554"),
        (FLEX_RISK, Page("Security risk", ("Unverified inputs",)), "240,552", "240,462"),
    ],
)
def test_flex_pages(lines: tuple[Line, ...], page: Page, accepted: str, refused: str) -> None:
    hands, rest = TouchHands(), Fingers()
    assert hands.page(lines) == page
    hands.accept(rest, lines)
    hands.refuse(rest, lines)
    assert rest.done == [accepted, refused]


def test_flex_asks_again_before_it_refuses() -> None:
    rest = Fingers()
    assert TouchHands().step(FLEX_SURE) is Step.REFUSE
    TouchHands().refuse(rest, FLEX_SURE)
    assert rest.done == ["240,436"]


def test_flex_content_that_looks_like_the_footer() -> None:
    rest = Fingers()
    content = (Line("Transaction output", 32, 44, 200, 32), Line("1 of 2", 32, 82, 90, 40))
    TouchHands().accept(rest, (*content, *FLEX_INTRO[3:]))
    assert rest.done == ["429,554"]
    assert TouchHands().page((*content, *FLEX_INTRO[3:])) == Page("Transaction output", ("1 of 2",))


def test_flex_home_asks_nothing() -> None:
    assert TouchHands().page(FLEX_HOME) is None
    assert TouchHands().page((Line("Address verified", 98, 326, 284, 40),)) is None


def test_models_have_buttons_or_a_glass() -> None:
    assert isinstance(hands_for("nanosp"), NanoHands)
    assert isinstance(hands_for("flex"), TouchHands)
