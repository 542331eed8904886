"""Ethereum's recursive length prefix (Yellow Paper, appendix B), canonical both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

Item: TypeAlias = "bytes | Sequence[Item]"
Decoded: TypeAlias = "bytes | list[Decoded]"

_DEEPEST = 64  # transactions nest four lists


def encode(item: Item) -> bytes:
    """``item``, bytes or a list or tuple of items, nested at most 64 deep."""
    return _encode(item, 0)


def _encode(item: Item, depth: int) -> bytes:
    if isinstance(item, bytes):
        length = len(item)
        if length == 1 and item[0] < 0x80:
            return item
        if length < 56:
            return bytes((0x80 + length,)) + item
        return _long(0xB7, length) + item
    if not isinstance(item, list | tuple):
        raise InvalidInputError(f"rlp encodes bytes and lists, not {type(item).__name__}", code="input.rlp")
    if depth == _DEEPEST:
        raise InvalidInputError(f"rlp lists are nested more than {_DEEPEST} deep", code="input.rlp")
    payload = b"".join([_encode(part, depth + 1) for part in item])
    if len(payload) < 56:
        return bytes((0xC0 + len(payload),)) + payload
    return _long(0xF7, len(payload)) + payload


def _long(base: int, length: int) -> bytes:
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((base + len(size),)) + size


def decode(data: bytes) -> Decoded:
    """The one item ``data`` holds; InvalidInputError on truncation, trailing bytes or any non-canonical length."""
    if not isinstance(data, bytes):
        raise InvalidInputError(f"rlp decodes bytes, not {type(data).__name__}", code="input.rlp")
    item, end = _decode(data, 0, len(data), 0)
    if end != len(data):
        raise InvalidInputError(f"rlp: {len(data) - end} bytes follow the item", code="input.rlp")
    return item


def _decode(data: bytes, offset: int, limit: int, depth: int) -> tuple[Decoded, int]:
    if offset >= limit:
        raise InvalidInputError("rlp: the data ends too early", code="input.rlp")
    prefix = data[offset]
    if prefix < 0x80:
        return data[offset : offset + 1], offset + 1
    if prefix < 0xC0:
        start, end = _extent(data, offset, limit, prefix - 0x80)
        if end - start == 1 and prefix == 0x81 and data[start] < 0x80:
            raise InvalidInputError("rlp: a small byte has a needless prefix", code="input.rlp")
        return data[start:end], end
    if depth == _DEEPEST:
        raise InvalidInputError(f"rlp: lists are nested more than {_DEEPEST} deep", code="input.rlp")
    start, end = _extent(data, offset, limit, prefix - 0xC0)
    items: list[Decoded] = []
    while start < end:
        item, start = _decode(data, start, end, depth + 1)
        items.append(item)
    return items, end


def _extent(data: bytes, offset: int, limit: int, short: int) -> tuple[int, int]:
    """Where the payload starts and ends, given the prefix less its base."""
    start = offset + 1
    length = short
    if short > 55:
        start += short - 55
        size = data[offset + 1 : start]
        if start > limit:
            raise InvalidInputError("rlp: the data ends inside a length", code="input.rlp")
        if size[0] == 0:
            raise InvalidInputError("rlp: a length has a leading zero", code="input.rlp")
        length = int.from_bytes(size, "big")
        if length < 56:
            raise InvalidInputError("rlp: a short length is written long", code="input.rlp")
    if start + length > limit:
        raise InvalidInputError("rlp: the data is shorter than its length says", code="input.rlp")
    return start, start + length
