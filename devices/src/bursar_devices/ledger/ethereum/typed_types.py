"""The struct types of typed data (EIP-712) as the host defines them to the app, and their type hashes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from bursar.crypto.hashes import keccak256
from bursar_devices.ledger.apdu import Reader, RefusalError, Status

_ARRAY, _SIZED, _KIND = 0x80, 0x40, 0x0F


class Kind(IntEnum):
    """The kinds of fields, by their numbers on the wire; a definition may claim others, which have no name."""

    STRUCT = 0
    INT = 1
    UINT = 2
    ADDRESS = 3
    BOOL = 4
    STRING = 5
    FIXED_BYTES = 6
    BYTES = 7


_NAMES: Final = {
    Kind.INT: b"int",
    Kind.UINT: b"uint",
    Kind.ADDRESS: b"address",
    Kind.BOOL: b"bool",
    Kind.STRING: b"string",
    Kind.FIXED_BYTES: b"bytes",
    Kind.BYTES: b"bytes",
}
_BITS_PER_BYTE: Final = {Kind.INT: 8, Kind.UINT: 8, Kind.FIXED_BYTES: 1}


def _bad() -> RefusalError:
    return RefusalError(Status.INCORRECT_DATA)


def _text(raw: bytes) -> bytes:
    """A name ends at its first zero byte."""
    return raw.split(b"\0", 1)[0]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``levels`` are the sizes of its array levels, ``None`` for any, the innermost first."""

    kind: int
    name: bytes
    size: int | None = None
    struct: bytes = b""
    levels: tuple[int | None, ...] = ()

    @classmethod
    def read(cls, data: bytes) -> Field:
        """From the data of a definition."""
        request = Reader(data)
        try:
            description = request.byte()
            kind, sized = description & _KIND, bool(description & _SIZED)
            size, struct = None, b""
            levels: tuple[int | None, ...] = ()
            if sized and kind == Kind.STRUCT:
                raise _bad()
            if sized:
                size = request.byte()
            elif kind == Kind.STRUCT:
                struct = _text(request.take(request.byte()))
            if description & _ARRAY:
                levels = cls._read_levels(request)
            name = _text(request.take(request.byte()))
        except EOFError:
            raise _bad() from None
        if request.left:
            raise _bad()
        return cls(kind, name, size, struct, levels)

    @staticmethod
    def _read_levels(request: Reader) -> tuple[int | None, ...]:
        levels: list[int | None] = []
        for _ in range(request.byte()):
            match request.byte():
                case 0:
                    levels.append(None)
                case 1:
                    levels.append(request.byte())
                case _:
                    raise _bad()
        if not levels:
            raise RefusalError(Status.PARAMETER_ERROR)
        return tuple(levels)

    @property
    def is_dynamic(self) -> bool:
        """Whether its value is hashed and may come in parts."""
        return self.kind in (Kind.STRING, Kind.BYTES)

    def type_name(self) -> bytes:
        """As it stands in the type string."""
        if self.kind == Kind.STRUCT:
            name = self.struct
        elif self.kind not in _NAMES or (self.size is not None and self.kind not in _BITS_PER_BYTE):
            raise _bad()
        else:
            kind = Kind(self.kind)
            name = _NAMES[kind]
            if self.size is not None:
                name += str(self.size * _BITS_PER_BYTE[kind]).encode()
        return name + b"".join(b"[]" if level is None else b"[%d]" % level for level in self.levels)


@dataclass(slots=True)
class Struct:
    """A struct and its fields so far."""

    name: bytes
    fields: list[Field] = field(default_factory=list)

    def type_string(self) -> bytes:
        """Its own part of the type string."""
        return self.name + b"(" + b",".join(field.type_name() + b" " + field.name for field in self.fields) + b")"


class Definitions:
    """What the host has defined."""

    def __init__(self) -> None:
        self._last: Struct | None = None
        self._structs: dict[bytes, Struct] = {}
        self._hashes: dict[bytes, bytes] = {}

    def add_struct(self, name: bytes) -> None:
        """A new struct, to which the fields that follow belong; of those with the same name only the first counts."""
        if not name:
            raise _bad()
        self._last = Struct(_text(name))
        self._structs.setdefault(self._last.name, self._last)

    def add_field(self, data: bytes) -> None:
        """A field of the last struct."""
        if self._last is None:
            raise _bad()
        self._last.fields.append(Field.read(data))

    def find(self, name: bytes) -> Struct:
        """The first struct of a name."""
        found = self._structs.get(name) if name else None
        if found is None:
            raise _bad()
        return found

    def schema_hash(self) -> bytes:
        """SHA-224 of all of them as JSON, in the order they came in."""
        written = []
        for struct in self._structs.values():
            fields = [b'{"name":"%b","type":"%b"}' % (each.name, each.type_name()) for each in struct.fields]
            written.append(b'"%b":[%b]' % (struct.name, b",".join(fields)))
        return hashlib.sha224(b"{" + b",".join(written) + b"}").digest()

    def type_hash(self, struct: Struct) -> bytes:
        """Keccak-256 of its type and of those it refers to; the app repeats a type that refers to itself."""
        known = self._hashes.get(struct.name)
        if known is not None:
            return known
        found: dict[bytes, Struct] = {}
        open_ends = [struct]
        while open_ends:
            for each in open_ends.pop().fields:
                if each.kind == Kind.STRUCT and each.struct not in found:
                    found[each.struct] = self.find(each.struct)
                    open_ends.append(found[each.struct])
        text = struct.type_string() + b"".join(found[name].type_string() for name in sorted(found))
        self._hashes[struct.name] = keccak256(text)
        return self._hashes[struct.name]
