"""Calldata as a contract reads it: values by their offsets, each byte once, every value in its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.abi.types import AbiType, Kind
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.texts import data_error

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES: Final = 1 << 20


@dataclass(slots=True)
class _Reading:
    """One decoding: ``left`` bytes may still be read, so that offsets to the same place make nothing grow."""

    data: bytes
    left: int
    end: int = 0

    def take(self, place: int, size: int) -> bytes:
        self.left -= size
        end = place + size
        if end > len(self.data) or self.left < 0:
            raise data_error(f"the call has {len(self.data)} bytes of arguments, too few for its values")
        self.end = max(self.end, end)
        return self.data[place:end]

    def number(self, place: int) -> int:
        return int.from_bytes(self.take(place, 32), "big")


def read_arguments(types: Sequence[AbiType], data: bytes) -> tuple[tuple[Any, ...], bytes]:
    """The values that the contract's decoder finds, and the bytes behind the last of them.

    Unlike ``abi.decode``, offsets need not be in order, as they are not in calls that other contracts compose; but no
    byte serves two values. A number or an address that does not fit its type is ``input.clear-signing.data``.
    """
    if len(data) > MOST_BYTES:
        raise data_error(f"at most {MOST_BYTES} bytes of arguments are read")
    reading = _Reading(data, len(data))
    values = _sequence(types, reading, 0)
    end = -(-reading.end // 32) * 32  # the padding of the last value belongs to it
    if data[reading.end : end].strip(b"\0"):
        end = reading.end
    return values, data[end:]


def _sequence(types: Sequence[AbiType], reading: _Reading, base: int) -> tuple[Any, ...]:
    values = []
    place = base
    for one in types:
        if one.dynamic:
            offset = reading.number(place)
            if offset > len(reading.data):
                raise data_error(f"the offset at byte {place} leads out of the call")
            values.append(_dynamic(one, reading, base + offset))
        else:
            values.append(_static(one, reading, place))
        place += one.head_size
    return tuple(values)


def _dynamic(one: AbiType, reading: _Reading, place: int) -> Any:
    if one.levels:
        count = one.levels[-1]
        if count is None:
            count = reading.number(place)
            place += 32
        if count * one.item.head_size > reading.left:
            raise data_error(f"the array at byte {place} claims {count} items, more than the call holds")
        return _sequence((one.item,) * count, reading, place)
    if one.kind is Kind.TUPLE:
        return _sequence(one.components, reading, place)
    content = reading.take(place + 32, min(reading.number(place), MOST_BYTES + 1))
    if one.kind is Kind.BYTES:
        return content
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise data_error(f"the text at byte {place} is no utf-8") from error


def _static(one: AbiType, reading: _Reading, place: int) -> Any:
    if one.levels:
        size = one.item.head_size
        return tuple(_static(one.item, reading, place + size * at) for at in range(one.levels[-1] or 0))
    if one.kind is Kind.TUPLE:
        values = []
        for part in one.components:
            values.append(_static(part, reading, place))
            place += part.head_size
        return tuple(values)
    return _word(one, reading.take(place, 32), place)


def _word(one: AbiType, word: bytes, place: int) -> Any:
    if one.kind is Kind.FIXED_BYTES:
        value, padding = word[: one.size], word[one.size :]
    else:
        value, padding = word[32 - one.size :], word[: 32 - one.size]
    negative = one.kind is Kind.INT and value[0] & 0x80
    if padding.strip(b"\xff" if negative else b"\0") or (one.kind is Kind.BOOL and word[31] > 1):
        raise data_error(f"the word at byte {place} is no {one}")
    match one.kind:
        case Kind.ADDRESS:
            return Address(value)
        case Kind.BOOL:
            return word[31] == 1
        case Kind.FIXED_BYTES:
            return value
        case Kind.INT:
            return int.from_bytes(value, "big", signed=True)
        case Kind.UINT:
            return int.from_bytes(value, "big")
    raise InvalidInputError(f"abi: {one} is no word", code="input.abi")
