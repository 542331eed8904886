"""Addresses made to be mistaken for another, as address poisoning plants them in histories."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

_ENDS: Final = 7  # equal digits at both ends together; two strangers share so many once in 2^26
_LEAST: Final = 2  # of them at each end
_FURTHEST: Final = 8  # digits to change, insert or leave out; strangers are about 27 apart
_PIECE: Final = 4


def resembled(address: Address, familiar: Collection[Address]) -> Address | None:
    """The address of ``familiar`` that ``address`` resembles without being it, the least of several.

    Either beginning and end look alike, or few digits differ (edit distance).
    """
    if address in familiar:
        return None
    text = address.value.hex()
    pieces = [text[place : place + _PIECE] for place in range(0, len(text) - _PIECE, _PIECE)]
    alike = [one for one in familiar if _alike(text, pieces, one.value.hex())]
    return min(alike, key=lambda one: one.value, default=None)


def _alike(text: str, pieces: list[str], other: str) -> bool:
    ends = text[:_LEAST] == other[:_LEAST] and text[-_LEAST:] == other[-_LEAST:]
    if ends and _common(text, other) + _common(text[::-1], other[::-1]) >= _ENDS:
        return True
    # nine pieces and at most eight edits: one piece at least is whole; a cheap look before the costly distance
    return any(piece in other for piece in pieces) and _within(text, other, _FURTHEST)


def _common(text: str, other: str) -> int:
    return next((place for place, pair in enumerate(zip(text, other, strict=True)) if pair[0] != pair[1]), len(text))


def _within(text: str, other: str, most: int) -> bool:
    """Whether the edit distance of two texts of one length is at most ``most``."""
    far = most + 1
    row = [place if place <= most else far for place in range(len(other) + 1)]
    for number, character in enumerate(text, 1):
        before, row = row, [far] * len(row)
        if number <= most:
            row[0] = number
        for place in range(max(1, number - most), min(len(other), number + most) + 1):
            kept = before[place - 1] + (character != other[place - 1])
            row[place] = min(kept, before[place] + 1, row[place - 1] + 1, far)
        if min(row) == far:
            return False
    return row[-1] <= most
