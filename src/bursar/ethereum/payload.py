"""RLP items of a transaction: written without intermediate lists, read strictly (Ethereum Yellow Paper, appendix B)."""

from __future__ import annotations

from bursar.crypto import rlp
from bursar.errors import InvalidInputError

MOST_BYTES = 128 * 1024  # go-ethereum's limit for one transaction in its pool
MOST_BLOB_BYTES = 1024 * 1024  # and for one with its blobs

_ONE_BYTE = (b"\x80", *(bytes((value,)) for value in range(1, 128)))
_SHORT = tuple(bytes((0x80 + size,)) for size in range(56))
_INTEGER_MARK = tuple((0x80 + size) << (8 * size) for size in range(33))
_LIST_HEAD = tuple(bytes((0xC0 + size,)) if size < 56 else bytes((0xF8, size)) for size in range(256))


def integer(value: int) -> bytes:
    """The RLP item of a non-negative integer below 2^256."""
    if value < 128:
        return _ONE_BYTE[value]
    size = (value.bit_length() + 7) >> 3
    return (_INTEGER_MARK[size] | value).to_bytes(size + 1, "big")


def string(value: bytes) -> bytes:
    """The RLP item of a byte string."""
    size = len(value)
    if size < 56:
        if size == 1 and value[0] < 128:
            return value
        return _SHORT[size] + value
    length = size.to_bytes((size.bit_length() + 7) >> 3, "big")
    return bytes((0xB7 + len(length),)) + length + value


def wrapped(body: bytes) -> bytes:
    """The RLP list whose items, already encoded, are ``body``."""
    size = len(body)
    if size < 256:
        return _LIST_HEAD[size] + body
    length = size.to_bytes((size.bit_length() + 7) >> 3, "big")
    return bytes((0xF7 + len(length),)) + length + body


def malformed(problem: str) -> InvalidInputError:
    """The error for bytes that are no transaction."""
    return InvalidInputError(f"not an ethereum transaction: {problem}", code="input.transaction")


def check_bytes(data: object, *, most: int = MOST_BYTES) -> None:
    """InvalidInputError unless ``data`` is bytes, and no more of them than nodes relay."""
    if type(data) is not bytes:
        raise malformed(f"bytes are expected, not {type(data).__name__}")
    if len(data) > most:
        raise malformed(f"{len(data)} bytes are more than the {most} that nodes relay")


def starts_with_list(data: bytes) -> bool:
    """Whether ``data`` is an RLP list whose first item is a list itself."""
    if not data or data[0] < 0xC0:
        return False
    skipped = 1 + max(0, data[0] - 0xF7)
    return data[skipped : skipped + 1] >= b"\xc0"


def read_list(data: bytes, *, names: tuple[str, ...]) -> dict[str, rlp.Decoded]:
    """The items of one RLP list by name; the count must be exact and nothing may follow."""
    items = rlp.decode(data)
    if not isinstance(items, list):
        raise malformed("a list is expected, a byte string was found")
    if len(items) != len(names):
        raise malformed(f"{len(names)} fields are expected, {len(items)} were found")
    return dict(zip(names, items, strict=True))


def read_string(item: object, *, name: str) -> bytes:
    """A byte string item."""
    if not isinstance(item, bytes):
        raise malformed(f"{name} is a list, a byte string is expected")
    return item


def read_integer(item: object, *, name: str) -> int:
    """An integer item below 2^256 without leading zeros."""
    data = read_string(item, name=name)
    if data[:1] == b"\x00":
        raise malformed(f"{name} has a leading zero byte")
    if len(data) > 32:
        raise malformed(f"{name} is longer than 256 bits")
    return int.from_bytes(data, "big")
