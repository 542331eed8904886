"""Uniform Resources: a PSBT as ``ur:psbt`` or ``ur:crypto-psbt``, in one QR code or many (BCR-2020-005 and 006)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from bursar.backends.airgap import bytewords
from bursar.backends.airgap.fountain import MOST_FRAGMENTS, Collector, Part, parts
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

PSBT: Final = "psbt"
CRYPTO_PSBT: Final = "crypto-psbt"
_TYPES: Final = (PSBT, CRYPTO_PSBT, "bytes")
_UR: Final = re.compile(r"ur:([a-z0-9-]{1,64})(?:/([1-9][0-9]{0,9})-([1-9][0-9]{0,9}))?/([a-z]+)", re.ASCII)
_LONGEST: Final = 1_000_000


def encode(data: bytes, *, kind: str = CRYPTO_PSBT, most: int = 100, extra: int = 0) -> list[str]:
    """The parts of ``data`` in fragments of at most ``most`` bytes; a single part where it fits into one.

    The first parts hold the fragments in order; ``extra`` further ones are mixtures, of which each makes up for any
    part that was missed. Upper-case, because QR codes take that densely.
    """
    message = _head(2, len(data)) + data
    source = parts(message, most=most)
    first = next(source)
    if first.count == 1:
        return [f"ur:{kind}/{bytewords.encode(message)}".upper()]
    wanted = [first, *islice(source, first.count - 1 + extra)]
    return [
        f"ur:{kind}/{part.sequence}-{part.count}/{bytewords.encode(_part_to_cbor(part))}".upper() for part in wanted
    ]


def decode(texts: Iterable[str]) -> bytes:
    """The data in enough parts, in any order; ``InvalidInputError`` (``input.qr``) else."""
    collector = Parts()
    for text in texts:
        collector.add(text)
    return collector.result()


def is_ur(text: str) -> bool:
    """Whether a text looks like a UR."""
    return text[:3].lower() == "ur:"


class Parts:
    """Collects the parts of one UR as they are seen."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._collector = Collector()
        self._single: bytes | None = None
        self._seen = 0

    @property
    def complete(self) -> bool:
        """Whether enough was seen."""
        return self._single is not None or self._collector.complete

    @property
    def progress(self) -> tuple[int, int]:
        """Useful parts seen, and parts needed (0 before the first)."""
        return (1, 1) if self._single is not None else self._collector.progress

    def add(self, text: str) -> None:
        """Take one part."""
        self._seen += 1
        if self._seen > 4 * MOST_FRAGMENTS:
            raise _refused("there are more parts than any message needs")
        match = _UR.fullmatch(text.lower()) if len(text) <= _LONGEST else None
        if match is None or match[1] not in _TYPES:
            raise _refused(f"{text[:30]!r} is no UR of a PSBT")
        if self._kind not in (None, match[1]):
            raise _refused("the parts are of two different kinds: scan one at a time")
        body = bytewords.decode(match[4])
        if match[2] is None:
            if self._single not in (None, body) or self._collector.progress[1]:
                raise _refused("the parts are of two different messages: scan one at a time")
            self._single = body
        else:
            part = _part_from_cbor(body)
            if (part.sequence, part.count) != (int(match[2]), int(match[3])) or self._single is not None:
                raise _refused("a part says one number outside and another inside")
            self._collector.add(part)
        self._kind = match[1]

    def result(self) -> bytes:
        """The data."""
        message = self._single if self._single is not None else self._collector.message()
        data, rest = _byte_string(message)
        if rest:
            raise _refused("there is something behind the data")
        return data


def _head(major: int, value: int) -> bytes:
    """The head of a CBOR item in its shortest form (RFC 8949)."""
    for size, code in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if value < 24:
            return bytes((major << 5 | value,))
        if value < 1 << 8 * size:
            return bytes((major << 5 | code,)) + value.to_bytes(size, "big")
    raise _refused("a number is too large")


def _read_head(data: bytes, major: int) -> tuple[int, bytes]:
    if not data or data[0] >> 5 != major:
        raise _refused("its CBOR is not what a UR holds")
    low = data[0] & 31
    if low < 24:
        return low, data[1:]
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(low, 0)
    value = int.from_bytes(data[1 : 1 + size], "big")
    if not size or len(data) < 1 + size or _head(major, value) != data[: 1 + size]:
        raise _refused("its CBOR is not in the shortest form")
    return value, data[1 + size :]


def _byte_string(data: bytes) -> tuple[bytes, bytes]:
    length, rest = _read_head(data, 2)
    if length > len(rest):
        raise _refused("its CBOR is cut off")
    return rest[:length], rest[length:]


def _part_to_cbor(part: Part) -> bytes:
    numbers = (part.sequence, part.count, part.length, part.checksum)
    return _head(4, 5) + b"".join(_head(0, number) for number in numbers) + _head(2, len(part.data)) + part.data


def _part_from_cbor(data: bytes) -> Part:
    count, rest = _read_head(data, 4)
    sequence, rest = _read_head(rest, 0)
    fragments, rest = _read_head(rest, 0)
    length, rest = _read_head(rest, 0)
    checksum, rest = _read_head(rest, 0)
    body, rest = _byte_string(rest)
    if count != 5 or rest:
        raise _refused("a part holds five things")
    return Part(sequence, fragments, length, checksum, body)


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(f"qr refused: {reason}", code="input.qr")
