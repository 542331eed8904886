"""Bytes in blobs, 31 to each number of 32, with their length before them (as alloy's SimpleCoder and cast do)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bursar.errors import InvalidInputError
from bursar.ethereum.blobs.sidecar import BLOB_BYTES
from bursar.ethereum.transaction.kinds import MAX_BLOBS

_WORD: Final = 32
_USED: Final = _WORD - 1
_LENGTH: Final = 8
MOST_PACKED: Final = (MAX_BLOBS * BLOB_BYTES // _WORD - 1) * _USED
"""The longest single piece that fits into the blobs of one transaction: 761,825 bytes."""


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.blob")


def pack(pieces: Sequence[bytes]) -> tuple[bytes, ...]:
    """As few blobs as hold ``pieces`` one after the other, the last one filled up with zeros.

    Each piece is a number with its length (0, eight bytes big-endian, zeros) and as many as it takes with 0 and 31 of
    its bytes, the last filled up with zeros. ``InvalidInputError`` (``input.blob``) for an empty piece, which could not
    be told from the filling, and for more than the blobs of one transaction hold.
    """
    words: list[bytes] = []
    for piece in pieces:
        if not piece:
            raise _invalid("there are no bytes to put into a blob")
        if len(piece) > MOST_PACKED:
            raise _invalid(f"{len(piece)} bytes do not fit into {MAX_BLOBS} blobs: {MOST_PACKED} do")
        words.append(len(piece).to_bytes(_LENGTH, "big"))
        words += [piece[start : start + _USED] for start in range(0, len(piece), _USED)]
    if not words:
        raise _invalid("there are no bytes to put into a blob")
    body = b"".join([b"\x00" + word.ljust(_USED, b"\x00") for word in words])
    count = -(-len(body) // BLOB_BYTES)
    if count > MAX_BLOBS:
        raise _invalid(f"this takes {count} blobs, a transaction carries {MAX_BLOBS}")
    body = body.ljust(count * BLOB_BYTES, b"\x00")
    return tuple(body[start : start + BLOB_BYTES] for start in range(0, len(body), BLOB_BYTES))


def unpack(blobs: Sequence[bytes]) -> tuple[bytes, ...]:
    """The pieces that :func:`pack` put into ``blobs``; ``InvalidInputError`` (``input.blob``) for other blobs."""
    if any(len(one) != BLOB_BYTES for one in blobs) or not 0 < len(blobs) <= MAX_BLOBS:
        raise _invalid(f"1 to {MAX_BLOBS} blobs of {BLOB_BYTES} bytes")
    body = b"".join(blobs)
    if any(body[::_WORD]):
        raise _invalid("these blobs are not packed 31 bytes to each number")
    place, pieces = 0, list[bytes]()
    while place < len(body):
        size = int.from_bytes(body[place + 1 : place + 1 + _LENGTH], "big")
        if any(body[place + 1 + _LENGTH : place + _WORD]):
            raise _invalid("these blobs do not begin with a length")
        end = place + _WORD + -(-size // _USED) * _WORD
        if not size:
            break
        if end > len(body):
            raise _invalid("these blobs say that they hold more than they do")
        held = b"".join([body[start + 1 : start + _WORD] for start in range(place + _WORD, end, _WORD)])
        if any(held[size:]):
            raise _invalid("what fills these blobs up is not zero")
        pieces.append(held[:size])
        place = end
    if any(body[place:]) or pack(pieces) != tuple(blobs):
        raise _invalid("what fills these blobs up is not zero")
    return tuple(pieces)
