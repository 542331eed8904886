"""Ledger screens: which of them wait for a human, how they read as pages, and what accepts or refuses them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from bursar_devices.device import Page
from bursar_devices.emulators.speculos_rest import HOLD, Line, Rest


class Step(StrEnum):
    """What a screen is to a human who turns the pages."""

    TURN = "turn"
    ACCEPT = "accept"
    REFUSE = "refuse"
    NOTICE = "notice"


class Hands(Protocol):
    """How one kind of model is read and pressed."""

    def page(self, lines: Sequence[Line]) -> Page | None:
        """What waits for a human, or ``None``: the home screen, a menu, a status that goes away by itself."""
        ...

    def step(self, lines: Sequence[Line]) -> Step:
        """What the screen is."""
        ...

    def accept(self, rest: Rest, lines: Sequence[Line]) -> None:
        """Turn the page, or accept on the one that does."""
        ...

    def refuse(self, rest: Rest, lines: Sequence[Line]) -> None:
        """One move towards refusing, or the refusal where the screen offers it."""
        ...


_TITLE_BELOW = 10
_HEADINGS = ("Blind signing ahead", "Security risk", "High fees warning")
_HOME = re.compile(r"app is ready|^(App settings|App info|Quit app|Back|Version\b.*|Developer\b.*|Copyright\b.*)$")
_STATUS = re.compile(
    r"(processing|loading|signing|please wait)\b.*"
    r"|.*\b(approved|rejected|verified|signed|registered|validated|cancelled|confirmed|failed)",
    re.IGNORECASE,
)
_ACCEPTS = re.compile(
    r"(confirm|approve( public key)?|register account|sign (transaction|message|operation)|accept risk and .*"
    r"|(accept risk and )?continue( anyway)?|i understand.*|blind signing ahead.*)",
    re.IGNORECASE,
)
_REFUSES = re.compile(r"(reject\b.*|cancel\b.*|back to safety)", re.IGNORECASE)
_NOTICES = re.compile(r".*\bmust be enabled\b.*|.*\berror\b.*", re.IGNORECASE)
_END_OF_NOTICE = "Reject authorization"


class NanoHands:
    """Two buttons: right turns the pages, both together accept, the last page refuses."""

    def page(self, lines: Sequence[Line]) -> Page | None:
        """A title on top with its value below, or a sentence in the middle."""
        if not lines or any(_HOME.search(line.text) for line in lines):
            return None
        if lines[0].y < _TITLE_BELOW or lines[0].text in _HEADINGS:
            return Page(lines[0].text, tuple(line.text for line in lines[1:]))
        sentence = " ".join(line.text for line in lines)
        return None if _STATUS.fullmatch(sentence) else Page(sentence)

    def step(self, lines: Sequence[Line]) -> Step:
        """By its words; a page that only shows something is turned."""
        words = " ".join(line.text for line in lines)
        if _NOTICES.fullmatch(words) or words == _END_OF_NOTICE:
            return Step.NOTICE
        if _REFUSES.fullmatch(words):
            return Step.REFUSE
        return Step.ACCEPT if _ACCEPTS.fullmatch(words) else Step.TURN

    def accept(self, rest: Rest, lines: Sequence[Line]) -> None:
        """Right, or both on the page that accepts; from the page that refuses, back."""
        buttons = {Step.ACCEPT: "both", Step.NOTICE: "both", Step.REFUSE: "left", Step.TURN: "right"}
        rest.button(buttons[self.step(lines)])

    def refuse(self, rest: Rest, lines: Sequence[Line]) -> None:
        """Right up to the page that refuses, and both on it."""
        rest.button("both" if self.step(lines) in (Step.REFUSE, Step.NOTICE) else "right")


_FOOTER = re.compile(r"\d+ of \d+|Tap to continue")
_HINT = re.compile(r"Swipe to \w+|Skip")
_PROGRESS = re.compile(r"(\d+) of (\d+)")
_BUTTONS_REFUSE = (
    "Yes, reject", "Back to safety", _END_OF_NOTICE, "Reject transaction", "Reject", "Cancel", "Close",
)  # fmt: skip
_BUTTONS_ACCEPT = ("Continue anyway", "Accept risk and continue", "Confirm", "Approve", "Sign", "Register account")
_HOLD = "Hold to sign"
_LOWER_HALF = 300
_HEAD_UNTIL = 100


class TouchHands:
    """A glass: what is tapped are the words themselves, and the arrow at the right of the footer."""

    def page(self, lines: Sequence[Line]) -> Page | None:
        """The head, or the big letters in the middle, as title; buttons left out. Only screens with a button wait."""
        if self._find(lines, *_BUTTONS_REFUSE) is None:
            return None
        shown = [line for line in lines if not self._is_control(line)]
        if self._find(lines, _HOLD) is not None:
            return Page(_HOLD, tuple(line.text for line in shown))
        if not shown:
            return Page("")
        head = 1 if shown and shown[0].y < _HEAD_UNTIL else 0
        while not head or (shown[0].y >= _HEAD_UNTIL and head < len(shown) and shown[head].height == shown[0].height):
            head += 1
        return Page(" ".join(line.text for line in shown[:head]), tuple(line.text for line in shown[head:]))

    def step(self, lines: Sequence[Line]) -> Step:
        """By the buttons there are."""
        if self._find(lines, "Yes, reject") is not None:
            return Step.REFUSE
        if any(line.text == "Go to settings" or _NOTICES.fullmatch(line.text) for line in lines):
            return Step.NOTICE
        return Step.ACCEPT if self._find(lines, _HOLD, *_BUTTONS_ACCEPT) is not None else Step.TURN

    def accept(self, rest: Rest, lines: Sequence[Line]) -> None:
        """The lower warning button, the confirmation, the long press; else the next page."""
        if self.step(lines) is Step.NOTICE:
            self.refuse(rest, lines)
            return
        holding = self._find(lines, _HOLD)
        accepting = self._find(lines, *_BUTTONS_ACCEPT)
        if holding is not None:
            rest.tap(*holding.centre, seconds=HOLD)
        elif accepting is not None:
            rest.tap(*accepting.centre)
        else:
            footer = next((line for line in reversed(lines) if _PROGRESS.fullmatch(line.text)), None)
            x, y = footer.centre if footer is not None else (336, 550)
            rest.tap(x + 94, y)

    def refuse(self, rest: Rest, lines: Sequence[Line]) -> None:
        """The button that refuses, the most certain one first."""
        refusing = self._find(lines, *_BUTTONS_REFUSE)
        if refusing is not None:
            rest.tap(*refusing.centre)

    @staticmethod
    def _find(lines: Sequence[Line], *words: str) -> Line | None:
        lower = {line.text: line for line in lines if line.y >= _LOWER_HALF}
        return next((lower[word] for word in words if word in lower), None)

    @staticmethod
    def _is_control(line: Line) -> bool:
        if _HINT.fullmatch(line.text):
            return True
        controls = (_HOLD, *_BUTTONS_REFUSE, *_BUTTONS_ACCEPT)
        return line.y >= _LOWER_HALF and (line.text in controls or _FOOTER.fullmatch(line.text) is not None)


def hands_for(model: str) -> Hands:
    """Buttons or glass."""
    return NanoHands() if model.startswith("nano") else TouchHands()
