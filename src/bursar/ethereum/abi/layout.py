"""Whether bytes are the one canonical encoding of some values: every offset, length and padding, in linear time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bursar.ethereum.abi.types import AbiType, Kind, abi_error

MOST_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(32)


def check_layout(types: Sequence[AbiType], data: bytes) -> None:
    """InvalidInputError (``input.abi``) unless ``data`` is what values of ``types`` encode to and nothing else.

    Tails stand one behind the other, so that none is read twice: no bytes make a reader do more than they are long.
    """
    if type(data) is not bytes or len(data) > MOST_BYTES:
        raise abi_error(f"at most {MOST_BYTES} bytes are read")
    end = _sequence(types, data, 0)
    if end != len(data):
        raise abi_error(f"{len(data) - end} bytes follow the values")


def _sequence(types: Sequence[AbiType], data: bytes, base: int) -> int:
    """Where values of ``types`` that begin at ``base`` end."""
    place = base
    tail = base + sum(one.head_size for one in types)
    if tail > len(data):
        raise abi_error(f"the data ends after {len(data)} bytes, the values need {tail}")
    for one in types:
        if one.dynamic:
            if _number(data, place) != tail - base:
                raise abi_error(f"the offset at byte {place} is not that of the encoding in order")
            tail = _dynamic(one, data, tail)
            place += 32
        else:
            place = _static(one, data, place)
    return tail


def _dynamic(one: AbiType, data: bytes, place: int) -> int:
    if one.levels:
        count = one.levels[-1]
        if count is None:
            count = _number(data, place)
            place += 32
        item = one.item
        if count * item.head_size > len(data) - place:
            raise abi_error(f"the array at byte {place} claims {count} items, more than the data holds")
        return _sequence((item,) * count, data, place)
    if one.kind is Kind.TUPLE:
        return _sequence(one.components, data, place)
    size = _number(data, place)
    start, end = place + 32, place + 32 + size
    padded = start + -(-size // 32) * 32
    if padded > len(data):
        raise abi_error(f"the {one.kind.value} at byte {place} claims {size} bytes, more than the data holds")
    if data[end:padded].strip(b"\0"):
        raise abi_error(f"the {one.kind.value} at byte {place} is not padded with zeros")
    if one.kind is Kind.STRING:
        try:
            data[start:end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise abi_error(f"the string at byte {place} is no utf-8") from error
    return padded


def _static(one: AbiType, data: bytes, place: int) -> int:
    if one.levels:
        for _ in range(one.levels[-1] or 0):
            place = _static(one.item, data, place)
        return place
    if one.kind is Kind.TUPLE:
        for part in one.components:
            place = _static(part, data, place)
        return place
    word = data[place : place + 32]
    padding = word[one.size :] if one.kind is Kind.FIXED_BYTES else word[: 32 - one.size]
    fill = b"\xff" if one.kind is Kind.INT and word[32 - one.size] & 0x80 else b"\0"
    if padding.strip(fill) or (one.kind is Kind.BOOL and word[31] > 1):
        raise abi_error(f"the word at byte {place} is no {one}")
    return place + 32


def _number(data: bytes, place: int) -> int:
    """An offset or a length, which never exceeds the data."""
    if place + 32 > len(data):
        raise abi_error(f"the data ends at byte {len(data)}, inside a length or an offset")
    number = int.from_bytes(data[place : place + 32], "big")
    if number > len(data):
        raise abi_error(f"the length or offset at byte {place} is beyond the data")
    return number
