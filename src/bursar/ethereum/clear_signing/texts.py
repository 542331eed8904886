"""Texts of strangers on one line: nothing hidden, turned round, stacked or endless in them."""

from __future__ import annotations

import unicodedata
from typing import Final

from bursar.errors import InvalidInputError

LONGEST_LABEL: Final = 120
LONGEST_VALUE: Final = 5_000
_MOST_MARKS: Final = 2
# letters to Unicode, nothing to the eye: fillers of Hangul, the empty pattern of Braille, the object without a glyph
_UNSEEN: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc")
_RIGHT_TO_LEFT: Final = frozenset(("R", "AL", "AN"))  # letters that turn round the numbers beside them


def descriptor_error(message: str) -> InvalidInputError:
    """The error for a descriptor that is not one; ``message`` begins with the place."""
    return InvalidInputError(f"descriptor, {plain(message)}", code="input.clear-signing")


def data_error(message: str) -> InvalidInputError:
    """The error for a call or message that its descriptor cannot put into words."""
    return InvalidInputError(f"clear signing: {plain(message)}", code="input.clear-signing.data")


def plain(text: str) -> str:
    """``text`` with everything a reader would not see, or see elsewhere, as ``\\u{202e}``; also a third accent."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for one in text:
        combining = unicodedata.category(one) in ("Mn", "Me")
        marks = marks + 1 if combining else 0
        variation = "\ufe00" <= one <= "\ufe0f"
        turned = unicodedata.bidirectional(one) in _RIGHT_TO_LEFT
        if one.isprintable() and one not in _UNSEEN and not variation and not turned and marks <= _MOST_MARKS:
            shown.append(one)
        else:
            shown.append(f"\\u{{{ord(one):x}}}")
    return "".join(shown)


def bounded(text: str, longest: int) -> tuple[str, bool]:
    """``text`` plain and in at most ``longest`` characters, then a note of its length; and whether it was cut."""
    shown = plain(text[: longest + 1])
    if len(shown) <= longest:
        return shown, False
    return f"{shown[:longest]}… (cut, {len(text)} characters)", True


def label(text: str) -> str:
    """A label, a name or an intent of a descriptor as it is shown."""
    return bounded(text, LONGEST_LABEL)[0]
