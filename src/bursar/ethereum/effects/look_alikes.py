"""Addresses made to be mistaken for another, as address poisoning plants them in histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

_ENDS: Final = 7  # equal digits at both ends together; two strangers share so many once in 2^26
_LEAST: Final = 2  # of them at each end
_FURTHEST: Final = 8  # digits to change, insert or leave out; strangers are about 27 apart


def resembled(address: Address, familiar: Collection[Address]) -> Address | None:
    """The address of ``familiar`` that ``address`` resembles without being it; the first in their order.

    Either beginning and end look alike, or few digits differ (edit distance).
    """
    if address in familiar:
        return None
    text = address.value.hex()
    digits = Counter(text)
    return next((one for one in sorted(familiar, key=bytes_of) if _alike(text, digits, one.value.hex())), None)


def bytes_of(address: Address) -> bytes:
    """What addresses are sorted by."""
    return address.value


def _alike(text: str, digits: Counter[str], other: str) -> bool:
    begin = _common(text, other)
    end = _common(text[::-1], other[::-1])
    if min(begin, end) >= _LEAST and begin + end >= _ENDS:
        return True
    # each edit changes at most two counts by one, or one by one: a cheap bound before the costly distance
    return (digits - Counter(other)).total() <= _FURTHEST and _within(text, other, _FURTHEST)


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
