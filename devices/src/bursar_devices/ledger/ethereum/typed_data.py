"""Typed data (EIP-712) as the app takes it: definitions, then the values of domain and message, hashed as they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar_devices.ledger.apdu import Reader, RefusalError, Status

if TYPE_CHECKING:
    from bursar_devices.ledger.pages import Pair

_DOMAIN: Final = "EIP712Domain"
_NAME, _ARRAY, _FIELD = 0x00, 0x0F, 0xFF
_IS_ARRAY, _IS_SIZED, _KIND = 0x80, 0x40, 0x0F
_STRUCT, _INT, _UINT, _ADDRESS, _BOOL, _STRING, _FIXED, _BYTES = range(8)
_NAMES: Final = ("", "int", "uint", "address", "bool", "string", "bytes", "bytes")


def _fault() -> RefusalError:
    return RefusalError(Status.INCORRECT_DATA)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: int
    struct: str
    size: int | None
    levels: tuple[int | None, ...]

    @property
    def text(self) -> str:
        bits = "" if self.size is None else str(self.size * (8 if self.kind in (_INT, _UINT) else 1))
        arrays = "".join("[]" if level is None else f"[{level}]" for level in self.levels)
        return (self.struct or _NAMES[self.kind] + bits) + arrays


@dataclass(slots=True)
class _Hash:
    """A struct or an array under way: the words of its encodeData so far, and how to go on."""

    words: bytes
    members: Iterator[_Member]


@dataclass(slots=True)
class TypedData:
    """What one stream has told so far; ``feed`` methods raise what the app answers to what does not fit."""

    structs: dict[str, list[_Member]] = field(default_factory=dict)
    shown: list[Pair] = field(default_factory=list)
    hashes: dict[str, bytes] = field(default_factory=dict)
    _last: str = ""
    _root: str = ""
    _begun: bool = False
    _wanted: _Member | None = None
    _open: list[_Hash] = field(default_factory=list)
    _value: bytes = b""
    _left: int = 0

    @property
    def whole(self) -> bool:
        """Whether domain and message are both complete."""
        return len(self.hashes) == 2

    def define(self, p2: int, data: bytes) -> None:
        """A struct's name or one of its fields."""
        if self._begun:
            raise _fault()
        if p2 == _NAME:
            self._last = _ascii(data)
            self.structs[self._last] = []
        elif p2 == _FIELD and self._last:
            self.structs[self._last].append(_member(data))
        else:
            raise _fault()

    def give(self, p1: int, p2: int, data: bytes) -> None:
        """A root's name, an array's length, or (a piece of) a value."""
        self._begun = True
        if p2 == _NAME:
            self._begin(_ascii(data))
        elif p2 == _ARRAY and len(data) == 1:
            self._array(data[0])
        elif p2 == _FIELD:
            self._field(data, partial=p1 != 0)
        else:
            raise _fault()

    def _begin(self, root: str) -> None:
        expected = _DOMAIN if not self.hashes else None
        if self._wanted is not None or root not in self.structs or self.whole or (expected or root) != root:
            raise _fault()
        self._root = root
        self._enter(root)
        self._advance()

    def _enter(self, struct: str) -> None:
        if struct not in self.structs:
            raise _fault()
        type_hash = keccak256(self._encode_type(struct).encode())
        self._open.append(_Hash(type_hash, iter(self.structs[struct])))

    def _array(self, count: int) -> None:
        member = self._wanted
        if member is None or not member.levels or member.levels[-1] not in (None, count):
            raise _fault()
        item = _Member(member.name, member.kind, member.struct, member.size, member.levels[:-1])
        self._open.append(_Hash(b"", iter([item] * count)))
        self._advance()

    def _advance(self) -> None:
        """The next value that has to be given; structs and arrays that are complete are hashed on the way."""
        while self._open:
            member = next(self._open[-1].members, None)
            if member is None:
                done = keccak256(self._open.pop().words)
                if not self._open:
                    self.hashes[self._root] = done
                    self._wanted = None
                    return
                self._open[-1].words += done
            elif member.kind == _STRUCT and not member.levels:
                self._enter(member.struct)
            else:
                self._wanted = member
                return

    def _field(self, data: bytes, *, partial: bool) -> None:
        member = self._wanted
        if member is None or member.levels:
            raise _fault()
        if not self._left and not self._value:
            if len(data) < 2:
                raise _fault()
            self._left, data = int.from_bytes(data[:2], "big"), data[2:]
        if len(data) > self._left:
            raise _fault()
        self._left -= len(data)
        self._value += data
        if bool(self._left) != partial or (partial and member.kind not in (_STRING, _BYTES)):
            raise _fault()
        if partial:
            return
        value, self._value = self._value, b""
        if self._root == _DOMAIN:
            self.shown.append((member.name, _written(member, value)))
        self._open[-1].words += _word(member, value)
        self._wanted = None
        self._advance()

    def _encode_type(self, struct: str) -> str:
        found: set[str] = set()
        waiting = [struct]
        while waiting:
            for member in self.structs.get(waiting.pop(), ()):
                if member.kind == _STRUCT and member.struct not in found and member.struct in self.structs:
                    found.add(member.struct)
                    waiting.append(member.struct)
        text = ""
        for name in (struct, *sorted(found - {struct})):
            text += f"{name}({','.join(f'{member.text} {member.name}' for member in self.structs[name])})"
        return text


def _member(data: bytes) -> _Member:
    request = Reader(data)
    try:
        flags = request.byte()
        kind = flags & _KIND
        if kind > _BYTES:
            raise _fault()
        struct = _ascii(request.take(request.byte())) if kind == _STRUCT else ""
        size = request.byte() if flags & _IS_SIZED else None
        levels: list[int | None] = []
        if flags & _IS_ARRAY:
            for _ in range(request.byte()):
                fixed = request.byte()
                if fixed > 1:
                    raise _fault()
                levels.append(request.byte() if fixed else None)
        name = _ascii(request.take(request.byte()))
    except EOFError:
        raise _fault() from None
    if request.left or (kind in (_INT, _UINT, _FIXED)) != (size is not None):
        raise _fault()
    return _Member(name, kind, struct, size, tuple(levels))


def _word(member: _Member, value: bytes) -> bytes:
    match member.kind:
        case 5 | 7:  # text and bytes of any length
            return keccak256(value)
        case 6:
            return value.ljust(32, b"\0")
    if len(value) > 32 or (member.kind == _INT and not value):
        raise _fault()
    negative = member.kind == _INT and len(value) == member.size and value[0] & 0x80
    return value.rjust(32, b"\xff" if negative else b"\0")


def _written(member: _Member, value: bytes) -> str:
    match member.kind:
        case 5:
            return value.decode("utf-8", "replace")
        case 3 if len(value) == 20:
            return str(Address(value))
        case 2:
            return str(int.from_bytes(value, "big"))
        case 4:
            return "true" if any(value) else "false"
    return "0x" + value.hex()


def _ascii(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise _fault() from None
