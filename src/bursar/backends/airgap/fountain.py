"""The fountain code of multipart URs: any parts, enough of them, give the message (BCR-2024-001)."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MASK: Final = (1 << 64) - 1
_LEAST_FRAGMENT: Final = 10
MOST_FRAGMENTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Part:
    """One part: number ``sequence`` (from 1) of a message of ``length`` bytes in ``count`` fragments."""

    sequence: int
    count: int
    length: int
    checksum: int
    data: bytes

    @property
    def family(self) -> tuple[int, int, int, int]:
        """The same for all parts of one message."""
        return self.count, self.length, self.checksum, len(self.data)


class _Xoshiro256:
    """xoshiro256** as the standard seeds and reads it."""

    def __init__(self, seed: bytes) -> None:
        digest = hashlib.sha256(seed).digest()
        self._state = [int.from_bytes(digest[place : place + 8], "big") for place in range(0, 32, 8)]

    def double(self) -> float:
        a, b, c, d = self._state
        result = _rotated(b * 5 & _MASK, 7) * 9 & _MASK
        c ^= a
        d ^= b
        self._state = [a ^ d, b ^ c, c ^ (b << 17 & _MASK), _rotated(d, 45)]
        return result / 18446744073709551616.0


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK


@lru_cache(maxsize=8)
def _degrees(count: int) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Walker's alias tables for degrees 1 to ``count``, of probability inverse to the degree."""
    total = sum(1.0 / degree for degree in range(1, count + 1))
    weight = [(1.0 / degree) * float(count) / total for degree in range(1, count + 1)]
    small = [place for place in reversed(range(count)) if weight[place] < 1]
    large = [place for place in reversed(range(count)) if weight[place] >= 1]
    chances, aliases = [1.0] * count, [0] * count
    while small and large:
        low, high = small.pop(), large.pop()
        chances[low], aliases[low] = weight[low], high
        weight[high] += weight[low] - 1
        (small if weight[high] < 1 else large).append(high)
    return tuple(chances), tuple(aliases)


def mixed_in(sequence: int, count: int, checksum: int) -> frozenset[int]:
    """The fragments that part ``sequence`` is the XOR of; the first ``count`` parts are one fragment each."""
    if sequence <= count:
        return frozenset({sequence - 1})
    random = _Xoshiro256(sequence.to_bytes(4, "big") + checksum.to_bytes(4, "big"))
    chances, aliases = _degrees(count)
    place = int(float(count) * random.double())
    degree = (place if random.double() < chances[place] else aliases[place]) + 1
    left = list(range(count))
    return frozenset(left.pop(int(random.double() * len(left))) for _ in range(degree))


def parts(message: bytes, *, most: int) -> Iterator[Part]:
    """Parts without end, fragments of at most ``most`` bytes (at least 10), the plain ones first."""
    size = _fragment_length(len(message), most)
    count = ceil(len(message) / size)
    if count > MOST_FRAGMENTS:
        raise _refused(f"{len(message)} bytes need {count} parts: take larger ones")
    fragments = [
        int.from_bytes(message[place : place + size].ljust(size, b"\0"), "big")
        for place in range(0, len(message), size)
    ]
    checksum = zlib.crc32(message)
    sequence = 0
    while True:
        sequence += 1
        value = 0
        for place in mixed_in(sequence, count, checksum):
            value ^= fragments[place]
        yield Part(sequence, count, len(message), checksum, value.to_bytes(size, "big"))


def _fragment_length(length: int, most: int) -> int:
    if most < _LEAST_FRAGMENT or not length:
        raise _refused(f"a message goes in parts of at least {_LEAST_FRAGMENT} bytes")
    counts = range(1, max(1, length // _LEAST_FRAGMENT) + 1)
    return next((ceil(length / count) for count in counts if ceil(length / count) <= most), ceil(length / counts[-1]))


class Collector:
    """Collects parts of one message: a system of linear equations over GF(2), solved as they come."""

    def __init__(self) -> None:
        self._family: tuple[int, int, int, int] | None = None
        self._rows: dict[int, tuple[int, int]] = {}  # by lowest fragment: which fragments, and their XOR

    @property
    def progress(self) -> tuple[int, int]:
        """Independent parts seen, and parts needed (0 before the first)."""
        return len(self._rows), self._family[0] if self._family else 0

    @property
    def complete(self) -> bool:
        """Whether the message follows from what was seen."""
        return self._family is not None and len(self._rows) == self._family[0]

    def add(self, part: Part) -> None:
        """Take a part; one of another message is an error, a repeated one is not."""
        _check(part)
        if self._family is not None and part.family != self._family:
            raise _refused("the parts are of two different messages: scan one at a time")
        self._family = part.family
        which = 0
        for place in mixed_in(part.sequence, part.count, part.checksum):
            which |= 1 << place
        value = int.from_bytes(part.data, "big")
        while which:
            lowest = (which & -which).bit_length() - 1
            known = self._rows.get(lowest)
            if known is None:
                self._rows[lowest] = (which, value)
                return
            which ^= known[0]
            value ^= known[1]
        if value:
            raise _refused("the parts contradict one another: scan from the beginning")

    def message(self) -> bytes:
        """The message; ``InvalidInputError`` (``input.qr``) before it is complete or where its checksum is wrong."""
        if self._family is None or not self.complete:
            raise _refused("parts are missing: scan on")
        count, length, checksum, size = self._family
        solved: list[int] = [0] * count
        for lowest in reversed(range(count)):
            which, value = self._rows[lowest]
            for place in range(lowest + 1, count):
                if which >> place & 1:
                    value ^= solved[place]
            solved[lowest] = value
        message = b"".join(value.to_bytes(size, "big") for value in solved)
        if any(message[length:]) or zlib.crc32(message[:length]) != checksum:
            raise _refused("the checksum of the message is wrong: scan from the beginning")
        return message[:length]


def _check(part: Part) -> None:
    sensible = (
        0 < part.sequence < 1 << 32
        and 0 < part.count <= MOST_FRAGMENTS
        and 0 <= part.checksum < 1 << 32
        and part.data
        and 0 < part.length <= part.count * len(part.data) < part.length + len(part.data)
    )
    if not sensible:
        raise _refused("a part's numbers do not fit together")


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(f"qr refused: {reason}", code="input.qr")
