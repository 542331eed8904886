"""BBQr: a file as a series of QR codes, in upper-case letters and digits (Coinkite's BBQr, version 1)."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

PSBT: Final = "P"
_TYPES: Final = frozenset("PTJCUBX")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_PARTS: Final = 36 * 36 - 1
_HEADER: Final = 8
_LARGEST: Final = 16_000_000
_WINDOW: Final = -10  # raw deflate with a window that fits into a signing device's memory


def encode(data: bytes, *, kind: str = PSBT, characters: int = 800) -> list[str]:
    """The parts of ``data``, each at most ``characters`` long (at least 40); compressed where that is shorter.

    ``InvalidInputError`` (``input.qr``) when that needs more than 1,295 parts.
    """
    if kind not in _TYPES or not data or characters < 40:
        raise _refused("a BBQr holds a file of a known type in parts of 40 characters or more")
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW)
    packed = packer.compress(data) + packer.flush()
    encoding, body = ("Z", packed) if len(packed) < len(data) else ("2", data)
    text = base64.b32encode(body).decode("ascii").rstrip("=")
    room = (characters - _HEADER) // 8 * 8  # so that every part can be decoded by itself
    pieces = [text[start : start + room] for start in range(0, len(text), room)]
    if len(pieces) > _MOST_PARTS:
        raise _refused(f"{len(data)} bytes need {len(pieces)} parts of {characters} characters: take larger ones")
    total = _number(len(pieces))
    return [f"B${encoding}{kind}{total}{_number(place)}{piece}" for place, piece in enumerate(pieces)]


def decode(parts: Iterable[str]) -> bytes:
    """The file in a whole set of parts, in any order, repeated or not; ``InvalidInputError`` (``input.qr``) else."""
    collector = Parts()
    for part in parts:
        collector.add(part)
    return collector.result()


class Parts:
    """Collects the parts of one file as they are seen."""

    def __init__(self) -> None:
        self._header: str | None = None
        self._pieces: dict[int, str] = {}
        self._total = 0

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the parts not seen yet; all are missing before the first."""
        return tuple(place for place in range(self._total) if place not in self._pieces)

    @property
    def complete(self) -> bool:
        """Whether every part was seen."""
        return self._header is not None and not self.missing

    def add(self, part: str) -> None:
        """Take a part; one of another file, or one that differs from what was seen, is an error."""
        if not is_bbqr(part):
            raise _refused(f"{part[:20]!r} is no BBQr part")
        header, total, place = part[2:6], _value(part[4:6]), _value(part[6:8])
        if not 0 <= place < total:
            raise _refused(f"part {place + 1} of {total} does not exist")
        if self._header is not None and header != self._header:
            raise _refused("the parts are of two different files: scan one at a time")
        piece = part[_HEADER:]
        if self._pieces.setdefault(place, piece) != piece:
            raise _refused(f"part {place + 1} was seen with other contents before")
        self._header, self._total = header, total

    def result(self) -> bytes:
        """The file; ``InvalidInputError`` while parts are missing or where they do not fit together."""
        if self._header is None or self.missing:
            raise _refused(f"{len(self.missing) or 'all'} parts are missing: scan on")
        body = b"".join(_piece(self._header[0], self._pieces[place]) for place in range(self._total))
        return _unpacked(body) if self._header[0] == "Z" else body


def is_bbqr(text: str) -> bool:
    """Whether a text looks like a part."""
    return (
        len(text) > _HEADER
        and text.startswith("B$")
        and text[2] in "H2Z"
        and text[3] in _TYPES
        and all(one in _DIGITS for one in text[4:])
    )


def _piece(encoding: str, text: str) -> bytes:
    try:
        if encoding == "H":
            return bytes.fromhex(text)
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error) as error:
        raise _refused("a part holds no base32 or hex") from error
    if base64.b32encode(raw).decode("ascii").rstrip("=") != text:
        raise _refused("a part is not in its only form")
    return raw


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(_WINDOW)
    try:
        data = unpacker.decompress(body, _LARGEST)
    except zlib.error as error:
        raise _refused("the parts do not decompress") from error
    if unpacker.unconsumed_tail or not unpacker.eof or unpacker.unused_data:
        raise _refused("the parts do not decompress to one file of a sensible size")
    return data


def _number(value: int) -> str:
    return _DIGITS[value // 36] + _DIGITS[value % 36]


def _value(text: str) -> int:
    return _DIGITS.index(text[0]) * 36 + _DIGITS.index(text[1])


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(f"qr refused: {reason}", code="input.qr")
