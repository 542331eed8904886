"""Bitcoin's serialisation of counts and lengths: compact sizes, canonical only."""

from __future__ import annotations

from bursar.errors import InvalidInputError

_ONE_BYTE = [bytes((size,)) for size in range(253)]


def compact_size(number: int) -> bytes:
    """The canonical encoding of a count or length."""
    if number < 253:
        return _ONE_BYTE[number]
    if number <= 0xFFFF:
        return b"\xfd" + number.to_bytes(2, "little")
    if number <= 0xFFFFFFFF:
        return b"\xfe" + number.to_bytes(4, "little")
    return b"\xff" + number.to_bytes(8, "little")


def read_compact_size(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and the offset behind it; ``IndexError`` past the end, ``InvalidInputError`` if long."""
    first = data[at]
    if first < 253:
        return first, at + 1
    width = 2 << (first - 253)
    end = at + 1 + width
    if end > len(data):
        raise IndexError(at)
    number = int.from_bytes(data[at + 1 : end], "little")
    if number < (253 if width == 2 else 1 << (width * 4)):
        raise InvalidInputError(f"length at byte {at} is not in its shortest form", code="input.serialization")
    return number, end


def sized(data: bytes) -> bytes:
    """``data`` behind its length."""
    size = len(data)
    return (_ONE_BYTE[size] if size < 253 else compact_size(size)) + data


def read_sized(data: bytes, at: int) -> tuple[bytes, int]:
    """The length-prefixed bytes at ``at`` and the offset behind them; ``IndexError`` past the end."""
    size, at = read_compact_size(data, at)
    end = at + size
    if end > len(data):
        raise IndexError(end)
    return data[at:end], end


def read_stack(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    """A witness stack (count, then length-prefixed items) at ``at`` and the offset behind it."""
    count, at = read_compact_size(data, at)
    if count > len(data) - at:
        raise IndexError(count)
    items: list[bytes] = []
    for _ in range(count):
        item, at = read_sized(data, at)
        items.append(item)
    return tuple(items), at


def stack(items: tuple[bytes, ...]) -> bytes:
    """A witness stack: count, then length-prefixed items."""
    return compact_size(len(items)) + b"".join([sized(item) for item in items])
