"""A text read from left to right, whose every error names the character it was found at."""

from __future__ import annotations

import re
from typing import Final

from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

_NAME: Final = re.compile(r"[a-z0-9_]{1,20}")
_WORD: Final = re.compile(r"[0-9A-Za-z_]*")
_NUMBER: Final = re.compile(r"[0-9]+")


class Reader:
    """``text`` and the place ``at`` in it; ``refusal`` counts characters from 1 and never shows what may be a key."""

    __slots__ = ("_subject", "at", "text")

    def __init__(self, text: str, subject: str = "descriptor") -> None:
        self.text = text
        self.at = 0
        self._subject = subject

    def refusal(self, reason: str, at: int | None = None, *, code: str = "input.descriptor") -> InvalidInputError:
        """The error for what stands at ``at`` (here, if ``None``)."""
        place = self.at if at is None else at
        return InvalidInputError(f"{self._subject}, character {place + 1}: {reason}", code=code)

    @property
    def next(self) -> str:
        """The character here; empty at the end."""
        return self.text[self.at : self.at + 1]

    def accept(self, token: str) -> bool:
        """Step over ``token`` if it stands here."""
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def expect(self, token: str, where: str) -> None:
        """Step over ``token``, which must stand here."""
        if not self.accept(token):
            found = "the text ends" if not self.next else "something else stands there"
            raise self.refusal(f"{token!r} is missing {where}: {found}")

    def word(self) -> str:
        """Letters, digits and underscores; may be empty."""
        start = self.at
        match = _WORD.match(self.text, start)
        self.at = start if match is None else match.end()
        return self.text[start : self.at]

    def number(self, most: int, what: str) -> int:
        """A decimal number without leading zeros."""
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            raise self.refusal(f"{what} must be a number")
        digits = match[0]
        if digits[0] == "0" and digits != "0":
            raise self.refusal(f"{what} has a leading zero")
        if len(digits) > 10 or int(digits) > most:
            raise self.refusal(f"{what} is above {most}")
        self.at = match.end()
        return int(digits)

    def step(self) -> int:
        """A derivation step with an optional ``h`` or ``'``."""
        number = self.number(HARDENED - 1, "a derivation step")
        return number + HARDENED if self.accept("h") or self.accept("'") else number


def shown(name: str) -> str:
    """``name`` for an error message, if it can be nothing but the name of an expression."""
    return f"{name}()" if _NAME.fullmatch(name) else "this"
