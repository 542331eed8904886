"""The app's walk through the values of typed data, hashing as they come, with the mistakes it makes on the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.crypto.hashes import keccak256
from bursar_devices.ledger.apdu import RefusalError, Status
from bursar_devices.ledger.ethereum.typed_types import Field, Kind, Struct

if TYPE_CHECKING:
    from bursar_devices.ledger.ethereum.typed_types import Definitions

DOMAIN: Final = b"EIP712Domain"
_MOST_DEPTHS, _MOST_ARRAYS, _MOST_HASHES = 16, 8, 100
_MOST_STEPS: Final = 1 << 17
_KECCAK_BLOCK: Final = 136
NO_HASH: Final = bytes(32)


class Root(Enum):
    """The struct whose values are coming."""

    NONE = "none"
    DOMAIN = "domain"
    MESSAGE = "message"


@dataclass(slots=True)
class _Array:
    """An open array: at which depth its field is, how many items it has, which is next."""

    depth: int
    size: int
    index: int = 0


class Walk:
    """Where the values have got to.

    As measured, the app hashes some values wrongly, and so does this: a struct in a struct or array whose type hash and
    fields fill whole Keccak blocks is left out (16 fields, 33, ...); a struct that begins right behind an empty array
    has no type hash; arrays of arrays of structs are mixed up; a type that contains itself is named twice.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.root = Root.NONE
        self.domain_hash = self.message_hash = NO_HASH
        self._definitions = definitions
        self._struct: Struct | None = None
        self._depths: list[int] = []
        self._arrays: list[_Array] = []
        self._hashes: list[bytearray] = []
        self._left_empty: list[Field] = []

    def enter(self, name: bytes) -> None:
        """The values of a struct follow: the domain's, then the message's."""
        struct = self._definitions.find(name)
        if struct is self._struct:
            raise RefusalError(Status.PARAMETER_ERROR)
        type_hash = self._definitions.type_hash(struct)
        self._struct = struct
        self._push_hash(type_hash)
        self._depths, self._arrays = [0], []
        if name == DOMAIN:
            if self.root is not Root.NONE:
                raise RefusalError(Status.PARAMETER_ERROR)
            self.root = Root.DOMAIN
        elif self.root is Root.DOMAIN:
            self.root = Root.MESSAGE
        else:
            raise RefusalError(Status.PARAMETER_ERROR)
        self._descend(skip_if_array=True, stop_at_array=True, with_type=True)

    def field(self) -> Field | None:
        """The field whose value is next; ``None`` when all have come."""
        return self._at(len(self._depths))[0]

    def path(self) -> bytes:
        """Where it is, in the words that filters use."""
        return _path_text(self._fields())

    def was_left_empty(self, path: bytes) -> bool:
        """Whether ``path`` names something below the array that was the last without items."""
        start = _path_text(self._left_empty)
        if not self._left_empty or not path.startswith(start):
            return False
        field, steps = self._left_empty[-1], path[len(start) :].split(b".")
        if steps.pop(0):
            return False
        for step in steps:
            if step == b"[]":
                if not field.levels:
                    return False
                continue
            if field.kind != Kind.STRUCT:
                return False
            found = next((one for one in self._definitions.find(field.struct).fields if one.name == step), None)
            if found is None:
                return False
            field = found
        return True

    def _fields(self) -> list[Field]:
        return [found for depth in range(len(self._depths)) if (found := self._at(depth + 1)[0]) is not None]

    def give(self, encoded: bytes) -> None:
        """The encoded value of the next field."""
        if self._hashes:
            self._hashes[-1] += encoded
        self._advance(with_type=True)

    def open_array(self, size: int) -> None:
        """An array of ``size`` items is next."""
        before = len(self._hashes)
        if not size:
            self._left_empty = self._fields()
            while len(self._left_empty) > 1 and not self._left_empty[-1].levels:
                self._left_empty.pop()
        if not self._descend(skip_if_array=False, stop_at_array=size > 0, with_type=size > 0):
            raise RefusalError(Status.PARAMETER_ERROR)
        arrays = len(self._arrays)
        field = self._push_array(size)
        if not self._push_hash(b""):
            raise RefusalError(Status.PARAMETER_ERROR)
        if field.kind == Kind.STRUCT:
            if not before:
                raise RefusalError(Status.PARAMETER_ERROR)
            # the array's hash belongs below those of the struct (and of structs in it) begun by the descent
            moved = self._hashes[before:-1] if size else [bytearray() for _ in self._hashes[before:-1]]
            self._hashes[before:] = [bytearray(), *moved]
        if not size:
            steps = 0
            while True:  # the app counts an index of eight bits from 1 until it is 0
                self._advance(with_type=False)
                steps += 1
                if len(self._arrays) <= arrays:
                    break
                if steps > _MOST_STEPS:
                    raise RefusalError(Status.PARAMETER_ERROR)

    def _push_array(self, size: int) -> Field:
        levels = 0
        for depth in range(len(self._depths)):
            field = self._at(depth + 1)[0]
            if field is None:
                break
            levels += len(field.levels)
            if levels > len(self._arrays):
                expected = field.levels[levels - len(self._arrays) - 1]
                if expected not in (None, size) or len(self._arrays) == _MOST_ARRAYS:
                    break
                self._arrays.append(_Array(depth, size))
                return field
        raise RefusalError(Status.INCORRECT_DATA)

    def _at(self, depths: int) -> tuple[Field | None, int]:
        """The field at a depth of the path, and how many its struct has."""
        struct, field, count = self._struct, None, 0
        for index in self._depths[:depths]:
            if struct is None or index >= len(struct.fields):
                return None, count
            field, count = struct.fields[index], len(struct.fields)
            if field.kind == Kind.STRUCT:
                struct = self._definitions.find(field.struct)
        return field, count

    def _push_hash(self, begin: bytes) -> bool:
        if len(self._hashes) == _MOST_HASHES:
            return False
        self._hashes.append(bytearray(begin))
        return True

    def _pop_hash(self) -> tuple[bytes, bool]:
        """The finished hash, and whether the app thinks that anything was hashed: it looks at the last block."""
        if not self._hashes:
            return NO_HASH, False
        data = bytes(self._hashes.pop())
        return keccak256(data), len(data) % _KECCAK_BLOCK > 0

    def _descend(self, *, skip_if_array: bool, stop_at_array: bool, with_type: bool) -> bool:
        """From a struct down to its first field, until that is no struct."""
        start = field = self.field()
        if field is None:
            return False
        while field.kind == Kind.STRUCT:
            stop = skip_if_array if field is start else stop_at_array
            if stop and field.levels and not self._is_open(field):
                break
            struct = self._definitions.find(field.struct)
            if not struct.fields or not self._push_hash(self._definitions.type_hash(struct) if with_type else b""):
                return False
            field = struct.fields[0]
            if len(self._depths) < _MOST_DEPTHS:
                self._depths.append(0)
        return True

    def _is_open(self, field: Field) -> bool:
        """Whether it is the field of the innermost open array."""
        return bool(self._arrays) and self._at(self._arrays[-1].depth + 1)[0] is field

    def _advance(self, *, with_type: bool) -> None:
        while self._advance_in_array() and self._advance_in_struct():
            pass
        self._descend(skip_if_array=True, stop_at_array=True, with_type=with_type)

    def _advance_in_array(self) -> bool:
        while self._arrays and self._arrays[-1].depth == len(self._depths) - 1:
            array = self._arrays[-1]
            array.index = (array.index + 1) & 0xFF
            if array.index != array.size:
                return False
            hashed, _ = self._pop_hash()
            if not self._hashes:
                return False
            self._hashes[-1] += hashed
            self._arrays.pop()
        return True

    def _advance_in_struct(self) -> bool:
        field, count = self._at(len(self._depths))
        if field is None:
            return False
        self._depths[-1] += 1
        if self._depths[-1] < count:
            return False
        self._depths.pop()
        hashed, to_feed = self._pop_hash()
        if not self._depths:
            if self.root is Root.DOMAIN:
                self.domain_hash = hashed
            else:
                self.message_hash = hashed
        elif to_feed and self._hashes:
            self._hashes[-1] += hashed
        return True


def _path_text(fields: list[Field]) -> bytes:
    return b".".join(each.name + b".[]" * len(each.levels) for each in fields)
