"""Protobuf for the vendor's message classes: its own codec shares one buffer between threads and takes what it gets."""

from __future__ import annotations

from typing import Any

from trezorlib import mapping, protobuf

from bursar_devices.trezor.limits import LIMITS

_VARINT = 0
_BYTES = 2
_LONGEST = 10  # bytes of a varint


class MalformedError(Exception):
    """The bytes are not a message of that class; the text is what the firmware answers."""


def message_class(kind: int) -> type[protobuf.MessageType] | None:
    """The class of a wire type, or ``None``."""
    return mapping.DEFAULT_MAPPING.type_to_class.get(kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(message: protobuf.MessageType) -> bytes:
    """The message's bytes; a field that is ``None`` is left out."""
    out = bytearray()
    for tag, field in type(message).FIELDS.items():
        value = getattr(message, field.name)
        if value is None:
            continue
        for item in value if field.repeated else (value,):
            if isinstance(item, protobuf.MessageType):
                content = encode(item)
            elif isinstance(item, str):
                content = item.encode()
            elif isinstance(item, int):
                out += _varint(tag << 3 | _VARINT)
                number = (item << 1) ^ (-1 if item < 0 else 0) if field.proto_type.startswith("sint") else item
                out += _varint(number)
                continue
            else:
                content = bytes(item)
            out += _varint(tag << 3 | _BYTES) + _varint(len(content)) + content
    return bytes(out)


class _Reader:
    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int, end: int) -> None:
        self.data = data
        self.position = position
        self.end = end

    def varint(self) -> int:
        result = 0
        for count in range(_LONGEST):
            if self.position >= self.end:
                raise MalformedError("end-of-stream")
            byte = self.data[self.position]
            self.position += 1
            result |= (byte & 0x7F) << 7 * count
            if byte < 0x80:
                return result
        raise MalformedError("varint overflow")

    def take(self, *, nested: bool = False) -> tuple[int, int]:
        length = self.varint()
        start = self.position
        if length > self.end - start:
            raise MalformedError("parent stream too short" if nested else "end-of-stream")
        self.position = start + length
        return start, self.position


def _number(field: protobuf.Field, value: int) -> int:
    if field.py_type is bool:
        return bool(value)
    if field.proto_type.startswith("sint"):
        value = value >> 1 ^ -(value & 1)
    if field.proto_type in ("uint32", "uint64", "sint32", "sint64"):
        if not field.value_fits(value):
            raise MalformedError("integer too large")
        return value
    members = field.py_type
    try:
        return members(value)  # type: ignore[no-any-return]
    except ValueError:
        return value & 0xFFFFFFFF


def _content(field: protobuf.Field, reader: _Reader, limits: bool, depth: int) -> object:
    if issubclass(field.py_type, protobuf.MessageType):
        start, end = reader.take(nested=True)
        return _decode(field.py_type, reader.data, start, end, limits, depth + 1)
    start, end = reader.take()
    content = reader.data[start:end]
    if field.py_type is bytes:
        return content
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("invalid utf8") from error


def _skip(reader: _Reader, wire: int) -> None:
    if wire == _VARINT:
        reader.varint()
    elif wire == _BYTES:
        reader.take()
    elif wire in (1, 5):
        reader.position += 8 if wire == 1 else 4
        if reader.position > reader.end:
            raise MalformedError("end-of-stream")
    else:
        raise MalformedError("invalid wire_type")


def _check_limit(kind: type[protobuf.MessageType], field: protobuf.Field, found: list[object], count: int) -> None:
    """Refuse what a Trezor One has no place for."""
    items, size = LIMITS.get((kind.__name__, field.name), (None, None))
    if items is not None and count > items:
        raise MalformedError("array overflow")
    for item in found if size is not None else ():
        assert size is not None
        if isinstance(item, bytes) and len(item) > size:
            raise MalformedError("bytes overflow")
        if isinstance(item, str) and len(item.encode()) >= size:
            raise MalformedError("string overflow")


def _decode(
    kind: type[protobuf.MessageType], data: bytes, start: int, end: int, limits: bool, depth: int
) -> protobuf.MessageType:
    if depth > 8:
        raise MalformedError("nested too deep")
    values: dict[str, Any] = {
        field.name: [] if field.repeated else field.default
        for field in kind.FIELDS.values()
        if field.repeated or not field.required
    }
    reader = _Reader(data, start, end)
    while reader.position < reader.end:
        key = reader.varint()
        wire = key & 7
        field = kind.FIELDS.get(key >> 3)
        if field is None:
            _skip(reader, wire)
            continue
        found: list[object] = []
        if wire == field.wire_type == _VARINT:
            found.append(_number(field, reader.varint()))
        elif wire == field.wire_type == _BYTES:
            found.append(_content(field, reader, limits, depth))
        elif wire == _BYTES and field.repeated:
            packed = _Reader(data, *reader.take(nested=True))
            while packed.position < packed.end:
                found.append(_number(field, packed.varint()))
        else:
            raise MalformedError("wrong wire type")
        if limits:
            _check_limit(kind, field, found, len(values[field.name]) + len(found) if field.repeated else 1)
        if field.repeated:
            values[field.name] += found
        else:
            values[field.name] = found[0]
    for field in kind.FIELDS.values():
        if field.required and field.name not in values:
            raise MalformedError("missing required field")
    return kind(**values)


def decode(kind: type[protobuf.MessageType], data: bytes, *, limits: bool = False) -> protobuf.MessageType:
    """The message of that class; MalformedError when it is not one, or with ``limits`` too large for a Trezor One."""
    return _decode(kind, data, 0, len(data), limits, 0)
