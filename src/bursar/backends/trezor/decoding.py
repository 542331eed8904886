"""Bytes of a device to protobuf messages: a message costs no more memory and time than its own length."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

_MOST: Final = {"uint32": 1 << 32, "uint64": 1 << 64}
_SIGNED: Final = {"sint32": 1 << 32, "sint64": 1 << 64}
_LONGEST_VARINT: Final = 10
_VARINT, _LENGTH = 0, 2


class _Field(NamedTuple):
    name: str
    kind: type[Any]
    proto: str
    repeated: bool
    wire: int


class _Plan(NamedTuple):
    fields: dict[int, _Field]
    required: frozenset[str]


_plans: dict[type[Any], _Plan] = {}


def decode(kind: type[Any], data: bytes) -> Any:
    """What trezorlib's ``load_message`` reads; ``ValueError`` where a length or a number does not fit.

    The vendor's reader makes a million zero bytes of a field of four that says it has so many, and a number as long
    as the message.
    """
    return _message(kind, data, 0, len(data))


def _message(kind: type[Any], data: bytes, at: int, end: int) -> Any:
    plan = _plans.get(kind) or _planned(kind)
    found: dict[str, Any] = {}
    while at < end:
        key, at = _varint(data, at, end)
        wire = key & 7
        value, at = _varint(data, at, end)
        start = at
        if wire == _LENGTH:
            at += value
            if at > end:
                raise ValueError("a field is longer than its message")
        elif wire != _VARINT:
            raise ValueError(f"wire type {wire}")
        field = plan.fields.get(key >> 3)
        if field is None:
            continue
        if wire != field.wire:
            if not field.repeated or wire != _LENGTH:
                raise ValueError(f"the field {field.name} has another type")
            found.setdefault(field.name, []).extend(_packed(field, data, start, at))
            continue
        one = _number(field, value) if wire == _VARINT else _content(field.kind, data, start, at)
        if field.repeated:
            found.setdefault(field.name, []).append(one)
        else:
            found[field.name] = one
    if not plan.required <= found.keys():
        raise ValueError(f"{kind.__name__} lacks {min(plan.required - found.keys())}")
    return kind(**found)


def _planned(kind: type[Any]) -> _Plan:
    fields = {}
    for tag, field in kind.FIELDS.items():
        known = field.py_type
        length = hasattr(known, "FIELDS") or issubclass(known, bytes | str)
        wire = _LENGTH if length else _VARINT
        fields[tag] = _Field(field.name, known, field.proto_type, field.repeated, wire)
    required = frozenset(field.name for field in kind.FIELDS.values() if field.required)
    _plans[kind] = _Plan(fields, required)
    return _plans[kind]


def _packed(field: _Field, data: bytes, at: int, end: int) -> list[Any]:
    values = []
    while at < end:
        value, at = _varint(data, at, end)
        values.append(_number(field, value))
    return values


def _number(field: _Field, value: int) -> Any:
    kind = field.kind
    if issubclass(kind, bool):
        return bool(value)
    if issubclass(kind, IntEnum):
        try:
            return kind(value)
        except ValueError:
            return value  # newer firmware has more of them
    if value >= (_MOST.get(field.proto) or _SIGNED[field.proto]):
        raise ValueError(f"the number in {field.name} does not fit")
    if field.proto in _SIGNED:
        return value >> 1 if not value & 1 else ~(value >> 1)
    return value


def _content(kind: type[Any], data: bytes, at: int, end: int) -> Any:
    if hasattr(kind, "FIELDS"):
        return _message(kind, data, at, end)
    return data[at:end] if issubclass(kind, bytes) else data[at:end].decode()


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    if at >= end:
        raise ValueError("a number is cut off")
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = shift = 0
    for place in range(at, min(end, at + _LONGEST_VARINT)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, place + 1
        shift += 7
    raise ValueError("a number is cut off, or has more than 64 bits")
