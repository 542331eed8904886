"""Types with the names of their parts, which paths follow: of a function (its fragment) and of an EIP-712 struct."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.abi.types import MOST_DEPTH, AbiType, Kind, split
from bursar.ethereum.clear_signing.texts import descriptor_error
from bursar.ethereum.typed_data_types import Kind as StructKind

if TYPE_CHECKING:
    from bursar.ethereum.typed_data_types import FieldType, StructTypes

_LONGEST: Final = 8192
_FUNCTION: Final = re.compile(r"\s*([A-Za-z_$][A-Za-z0-9_$]{0,127})\s*\(", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}", re.ASCII)
_KINDS: Final = {one: Kind.TUPLE if one is StructKind.STRUCT else Kind(one.value) for one in StructKind}


@dataclass(frozen=True, slots=True)
class Shape:
    """A type as the ABI has it, its parts by name; a part without one has its place, ``"0"``, which no path names."""

    kind: Kind
    size: int = 0
    levels: tuple[int | None, ...] = ()
    parts: tuple[tuple[str, Shape], ...] = ()

    @property
    def item(self) -> Shape:
        """The shape of one item of this array."""
        return Shape(self.kind, self.size, self.levels[:-1], self.parts)

    @property
    def abi(self) -> AbiType:
        """The same without names."""
        return AbiType(self.kind, self.size, tuple(part.abi for _, part in self.parts), self.levels)


ADDRESS: Final = Shape(Kind.ADDRESS, 20)
UINT: Final = Shape(Kind.UINT, 32)
BYTES: Final = Shape(Kind.BYTES)
STRING: Final = Shape(Kind.STRING)


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its fragment, ``transfer(address to,uint256 value)``."""

    name: str
    inputs: Shape

    @property
    def selector(self) -> bytes:
        """The four bytes a call begins with."""
        return keccak256((self.name + str(self.inputs.abi)).encode("ascii"))[:4]


def read_function(text: str) -> Function:
    """Parse a key of ``display.formats`` of a contract; spaces after commas are taken, aliases such as ``uint`` not."""
    found = _FUNCTION.match(text) if len(text) <= _LONGEST else None
    text = text.rstrip()
    if found is None or text[-1:] != ")":
        raise descriptor_error(f"formats: {text[:80]!r} is no function with its parameters")
    try:
        return Function(found[1], Shape(Kind.TUPLE, 0, (), _parts(text[found.end() : -1], MOST_DEPTH)))
    except InvalidInputError as error:
        raise descriptor_error(f"formats: {text[:80]!r}: {error.message}") from error


def struct_shape(types: StructTypes, struct: str) -> Shape:
    """The shape of a struct of typed data; a struct that is used twice has one shape, so none grows with its uses."""
    made: dict[str, Shape] = {}

    def shape(name: str) -> Shape:
        if name not in made:
            made[name] = Shape(Kind.TUPLE, 0, (), tuple((one.name, part(one.type)) for one in types.structs[name]))
        return made[name]

    def part(one: FieldType) -> Shape:
        if one.kind is StructKind.STRUCT:
            return Shape(Kind.TUPLE, 0, one.levels, shape(one.name).parts)
        return Shape(_KINDS[one.kind], one.size or 0, one.levels)

    return shape(struct)


def named(shape: Shape, value: Any) -> Any:
    """Values of the ABI with structs as mappings, as typed data has them."""
    if shape.levels:
        return tuple(named(shape.item, one) for one in value)
    if shape.kind is Kind.TUPLE:
        return {name: named(part, one) for (name, part), one in zip(shape.parts, value, strict=True)}
    return value


def _parts(text: str, depth: int) -> tuple[tuple[str, Shape], ...]:
    if not depth:
        raise descriptor_error(f"types lie deeper than {MOST_DEPTH}")
    parts: dict[str, Shape] = {}
    for place, one in enumerate(split(text)):
        name, shape = _part(one.strip(), depth)
        if name in parts:
            raise descriptor_error(f"the parameter {name} stands twice")
        parts[name or str(place)] = shape
    return tuple(parts.items())


def _part(text: str, depth: int) -> tuple[str, Shape]:
    if not text.startswith(("(", "tuple(")):
        kind, _, rest = text.partition(" ")
        found = AbiType.from_text(kind)
        if str(found) != kind:
            raise descriptor_error(f"{kind[:40]!r} is written {found}")
        return _name(rest, text), Shape(found.kind, found.size, found.levels)
    end = text.rfind(")")
    arrays, _, rest = text[end + 1 :].partition(" ")
    levels = AbiType.from_text("bool" + arrays).levels  # any type takes the same arrays
    components = _parts(text[text.index("(") + 1 : end], depth - 1)
    if not components:
        raise descriptor_error(f"{text[:40]!r} is no tuple: it has at least one component")
    return _name(rest, text), Shape(Kind.TUPLE, 0, levels, components)


def _name(rest: str, text: str) -> str:
    name = rest.strip()
    if name and not _NAME.fullmatch(name):
        raise descriptor_error(f"{text[:60]!r} is no parameter: a type and a name")
    return name
