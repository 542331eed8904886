"""The types of typed data (EIP-712): parsed once, in their one canonical form, none undefined, cyclic or unused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError

DOMAIN: Final = "EIP712Domain"
MOST_STRUCTS: Final = 100
MOST_FIELDS: Final = 200  # of one struct
MOST_ITEMS: Final = 65_535  # of one array
MOST_DEPTH: Final = 24  # structs and arrays inside one another

_DOMAIN_FIELDS: Final = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
    "salt": "bytes32",
}
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}", re.ASCII)
_TYPE = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]{0,127})((?:\[[0-9]*\])*)", re.ASCII)
_LEVEL = re.compile(r"\[([0-9]*)\]", re.ASCII)
_SIZED = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})", re.ASCII)
# what Solidity calls a type or might: a struct of such a name would be read as something else
_RESERVED = re.compile(r"u?int[0-9]*|bytes[0-9]*|byte|u?fixed[0-9x]*|address|bool|string|function|tuple", re.ASCII)


class Kind(Enum):
    """What a value is once its arrays are taken away."""

    UINT = "uint"
    INT = "int"
    FIXED_BYTES = "bytesN"
    BYTES = "bytes"
    STRING = "string"
    BOOL = "bool"
    ADDRESS = "address"
    STRUCT = "struct"


_PLAIN: Final = {"bytes": Kind.BYTES, "string": Kind.STRING, "bool": Kind.BOOL, "address": Kind.ADDRESS}
_SIZES: Final = {"uint": Kind.UINT, "int": Kind.INT, "bytes": Kind.FIXED_BYTES}


@dataclass(frozen=True, slots=True)
class FieldType:
    """A type as EIP-712 writes it: ``name`` without the arrays, ``size`` in bytes of integers and ``bytesN``.

    ``levels`` are the arrays, innermost first, each its length or ``None`` for one of any length: ``uint8[2][]`` is
    ``(2, None)``.
    """

    kind: Kind
    name: str
    size: int | None = None
    levels: tuple[int | None, ...] = ()

    @classmethod
    def from_text(cls, text: object, *, where: str = "type") -> Self:
        """Parse ``uint256``, ``Person[]``, …; ``uint`` and other forms that hash differently elsewhere are refused."""
        found = _TYPE.fullmatch(text) if isinstance(text, str) and len(text) <= 256 else None
        if found is None:
            raise typed_data_error(f"{where}: {text!r:.60} is no type of EIP-712")
        name, arrays = found.groups()
        levels = tuple(_array_size(size, where) for size in _LEVEL.findall(arrays))
        if name in _PLAIN:
            return cls(_PLAIN[name], name, None, levels)
        sized = _SIZED.fullmatch(name)
        if sized is not None:
            kind, number = _SIZES[sized[1]], int(sized[2])
            bits = number if kind is not Kind.FIXED_BYTES else 8 * number
            if bits % 8 == 0 and bits <= 256:
                return cls(kind, name, bits // 8, levels)
        if name in ("uint", "int"):
            raise typed_data_error(f"{where}: {name} is written with its size, as {name}256")
        if _RESERVED.fullmatch(name):
            raise typed_data_error(f"{where}: {name} is no type of EIP-712")
        return cls(Kind.STRUCT, name, None, levels)

    @property
    def item(self) -> FieldType:
        """The type of one item of this array."""
        return FieldType(self.kind, self.name, self.size, self.levels[:-1])

    def __str__(self) -> str:
        return self.name + "".join("[]" if level is None else f"[{level}]" for level in self.levels)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct."""

    name: str
    type: FieldType


@dataclass(frozen=True, slots=True)
class StructTypes:
    """Every struct by its name, ``EIP712Domain`` among them, its fields in order. Whatever exists is sound."""

    structs: Mapping[str, tuple[Field, ...]]
    compiled: dict[str, Any] = dataclasses.field(init=False, repr=False, compare=False, default_factory=dict)
    """How each struct is checked and hashed, kept by ``typed_data_values`` once it was worked out."""
    domains: dict[tuple[Any, ...], bytes] = dataclasses.field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """The hashes of domains by their values, the last few: one contract is signed for many times."""
    _primaries: set[str] = dataclasses.field(init=False, repr=False, compare=False, default_factory=set)

    def __post_init__(self) -> None:
        if DOMAIN not in self.structs:
            raise typed_data_error(f"types: {DOMAIN} is missing")
        if len(self.structs) > MOST_STRUCTS:
            raise typed_data_error(f"types: {len(self.structs)} structs, {MOST_STRUCTS} are read")
        for name, fields in self.structs.items():
            _check_struct(name, fields, self.structs)
        _check_domain(self.structs[DOMAIN])
        _check_depth(self.structs)
        object.__setattr__(self, "structs", MappingProxyType(dict(self.structs)))

    @classmethod
    def of(cls, types: Mapping[str, Sequence[tuple[str, str]]]) -> Self:
        """From pairs of a field's name and its type, ``{"Person": [("name", "string")], …}``."""
        return cls(
            {
                struct: tuple(
                    Field(name, FieldType.from_text(text, where=f"types.{struct!s:.60}.{name!s:.60}"))
                    for name, text in fields
                )
                for struct, fields in types.items()
            }
        )

    def needed_by(self, struct: str) -> tuple[str, ...]:
        """``struct`` and then, sorted, all that it refers to (the order of ``encode_type``)."""
        found: set[str] = set()
        waiting = [struct]
        while waiting:
            for name in _references(self.structs[waiting.pop()]):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return (struct, *sorted(found))

    def encode_type(self, struct: str) -> str:
        """``Mail(Person from,string contents)Person(string name)``: what the type hash is the hash of."""
        return "".join(
            f"{name}({','.join(f'{field.type} {field.name}' for field in self.structs[name])})"
            for name in self.needed_by(struct)
        )

    def type_hash(self, struct: str) -> bytes:
        """The Keccak-256 of ``encode_type``."""
        return keccak256(self.encode_type(struct).encode("ascii"))

    def check_primary(self, primary: object) -> None:
        """``primary`` must be a struct here other than the domain, and every other struct must serve it."""
        if isinstance(primary, str) and primary in self._primaries:
            return
        if not isinstance(primary, str) or primary not in self.structs or primary == DOMAIN:
            raise typed_data_error(f"primaryType: {primary!r:.60} is no struct of the types that can be signed")
        unused = sorted(self.structs.keys() - {DOMAIN} - set(self.needed_by(primary)))
        if unused:
            raise typed_data_error(f"types.{unused[0]}: {primary} has no use for it, so it would not be signed")
        self._primaries.add(primary)


def typed_data_error(message: str) -> InvalidInputError:
    """The error for typed data that cannot be signed; ``message`` begins with the place."""
    return InvalidInputError(f"typed data, {message}", code="input.typed-data")


def chain_error(message: str) -> InvalidInputError:
    """The error for typed data of another chain."""
    return InvalidInputError(f"typed data, domain.chainId: {message}", code="input.typed-data.chain")


def _array_size(text: str, where: str) -> int | None:
    if not text:
        return None
    if text[0] == "0" or len(text) > 5 or int(text) > MOST_ITEMS:
        raise typed_data_error(f"{where}: an array has 1 to {MOST_ITEMS} items, written without leading zeros")
    return int(text)


def _check_struct(name: object, fields: tuple[Field, ...], structs: Mapping[str, tuple[Field, ...]]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise typed_data_error(f"types: {name!r:.60} is no name of a struct: letters, digits, _ and $")
    if _RESERVED.fullmatch(name):
        raise typed_data_error(f"types.{name}: a struct cannot be called like a type of Solidity")
    if not 0 < len(fields) <= MOST_FIELDS:
        raise typed_data_error(f"types.{name}: a struct has 1 to {MOST_FIELDS} fields, this one {len(fields)}")
    seen: set[str] = set()
    for field in fields:
        if not isinstance(field.name, str) or not _NAME.fullmatch(field.name):
            raise typed_data_error(f"types.{name}: {field.name!r:.60} is no name of a field: letters, digits, _ and $")
        if field.name in seen:
            raise typed_data_error(f"types.{name}: the field {field.name} stands twice")
        seen.add(field.name)
        if field.type.kind is Kind.STRUCT and (field.type.name == DOMAIN or field.type.name not in structs):
            raise typed_data_error(f"types.{name}.{field.name}: the type {field.type.name} is not defined")


def _check_domain(fields: tuple[Field, ...]) -> None:
    order = list(_DOMAIN_FIELDS)
    names = [field.name for field in fields]
    for field in fields:
        if str(field.type) != _DOMAIN_FIELDS.get(field.name):
            raise typed_data_error(
                f"types.{DOMAIN}: {field.type} {field.name} does not belong to it: only "
                + ", ".join(f"{kind} {name}" for name, kind in _DOMAIN_FIELDS.items())
            )
    if names != sorted(names, key=order.index):
        raise typed_data_error(f"types.{DOMAIN}: its fields stand in the order {', '.join(order)}")


def _check_depth(structs: Mapping[str, tuple[Field, ...]]) -> None:
    """No struct within itself, and nothing deeper than ``MOST_DEPTH``: a struct's depth is known once its parts' is."""
    depths: dict[str, int] = {}
    open_structs: list[tuple[str, Iterator[str]]] = []
    inside: set[str] = set()
    for root in structs:
        if root in depths:
            continue
        open_structs.append((root, _references(structs[root])))
        inside.add(root)
        while open_structs:
            name, parts = open_structs[-1]
            part = next((one for one in parts if one not in depths), None)
            if part is None:
                open_structs.pop()
                inside.discard(name)
                depths[name] = 1 + max((_depth(field.type, depths) for field in structs[name]), default=0)
                if depths[name] > MOST_DEPTH:
                    raise typed_data_error(f"types.{name}: structs and arrays lie deeper than {MOST_DEPTH}")
            elif part in inside:
                raise typed_data_error(f"types.{part}: a struct cannot hold itself, here by way of {name}")
            else:
                open_structs.append((part, _references(structs[part])))
                inside.add(part)


def _depth(kind: FieldType, depths: Mapping[str, int]) -> int:
    return len(kind.levels) + (depths[kind.name] if kind.kind is Kind.STRUCT else 0)


def _references(fields: tuple[Field, ...]) -> Iterator[str]:
    return (field.type.name for field in fields if field.type.kind is Kind.STRUCT)
