"""Protobuf messages to bytes in one pass; the vendor's writer goes through a nested message twice for every level."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

Writer = Callable[[Any], bytes]

_MOST: Final = {"uint32": 1 << 32, "uint64": 1 << 64}
_VARINT, _LENGTH = 0, 2
_plans: dict[type[Any], list[tuple[str, bytes, Writer, bool]]] = {}


def encode(message: Any) -> bytes:
    """The bytes trezorlib's ``dump_message`` writes; ``ValueError`` for a value that does not fit its field."""
    kind = type(message)
    plan = _plans.get(kind)
    if plan is None:
        plan = _plans[kind] = [_step(tag, field) for tag, field in kind.FIELDS.items()]
    parts: list[bytes] = []
    for name, key, write, repeated in plan:
        value = getattr(message, name, None)
        if value is None:
            continue
        for one in value if repeated else (value,):
            parts += (key, write(one))
    return b"".join(parts)


def _step(tag: int, field: Any) -> tuple[str, bytes, Writer, bool]:
    kind = field.py_type
    length = hasattr(kind, "FIELDS") or issubclass(kind, bytes | str)
    return field.name, _varint(tag << 3 | (_LENGTH if length else _VARINT)), _writer(field, kind), field.repeated


def _writer(field: Any, kind: type[Any]) -> Writer:
    def wrong(value: Any) -> ValueError:
        return ValueError(f"{type(value).__name__} value does not fit the field {field.name} ({field.proto_type})")

    def nested(value: Any) -> bytes:
        if not isinstance(value, kind):
            raise wrong(value)
        return _sized(encode(value))

    def data(value: Any) -> bytes:
        if not isinstance(value, bytes | bytearray):
            raise wrong(value)
        return _sized(bytes(value))

    def text(value: Any) -> bytes:
        if not isinstance(value, str):
            raise wrong(value)
        return _sized(value.encode())

    def member(value: Any) -> bytes:
        if value not in members:
            raise wrong(value)
        return _varint(int(value))

    def number(value: Any) -> bytes:
        if not isinstance(value, int) or not 0 <= value < most:
            raise wrong(value)
        return _varint(value)

    if hasattr(kind, "FIELDS"):
        return nested
    if issubclass(kind, bytes):
        return data
    if issubclass(kind, str):
        return text
    if issubclass(kind, IntEnum):
        members = frozenset(kind)
        return member
    most = 2 if issubclass(kind, bool) else _MOST.get(field.proto_type, 0)  # signed fields are in none we send
    return number


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
