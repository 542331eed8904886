"""Typed data (EIP-712) as JSON: read strictly, so that no two readers can hash it differently, and written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data_types import Field, FieldType, Kind, StructTypes, typed_data_error
from bursar.ethereum.typed_data_values import check_fields, check_length
from bursar.json_text import nested_deeply

MOST_BYTES: Final = 1_000_000
_MOST_NESTING: Final = 64
_EXACT: Final = (1 << 53) - 1
_MEMBERS: Final = ("types", "primaryType", "domain", "message")
_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,77}", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


class _Doubled(dict[str, Any]):
    """An object of which JSON wrote a member twice; ``name`` is the member."""

    name = ""


class _Inexact:
    """A number that is no integer, as it was written."""

    def __init__(self, text: str) -> None:
        self.text = text[:40]


def read_json(data: str | bytes) -> dict[str, Any]:
    """The four members of one JSON text; anything a parser could read in two ways stays to be refused in its place."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if len(raw) > MOST_BYTES:
        raise typed_data_error(f"the whole: {len(raw)} bytes, at most {MOST_BYTES} are read")
    if nested_deeply(raw, most=_MOST_NESTING):
        raise typed_data_error(f"the whole: nested deeper than {_MOST_NESTING}")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_Inexact,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except ValueError as error:  # also UnicodeDecodeError
        raise typed_data_error(f"the whole: no JSON, {str(error)[:120]}") from error
    members = _members(value, "the whole")
    for name in _MEMBERS:
        if name not in members:
            raise typed_data_error(f"the whole: {name} is missing")
    for name in members:
        if name not in _MEMBERS:
            raise typed_data_error(f"the whole: {name!r:.60} has no meaning here, so it would not be signed")
    return members


def read_types(value: object) -> StructTypes:
    """The member ``types``: lists of ``{"name", "type"}`` by struct."""
    structs: dict[str, tuple[Field, ...]] = {}
    for struct, fields in _members(value, "types").items():
        shown = f"types.{struct:.60}" if struct.isprintable() else "types"
        if not isinstance(fields, list):
            raise typed_data_error(f"{shown}: the fields are a list")
        structs[struct] = tuple(_field(field, f"{shown}[{number}]") for number, field in enumerate(fields))
    return StructTypes(structs)


def read_struct(value: object, struct: str, types: StructTypes, where: str) -> dict[str, Any]:
    """A value of ``struct``, its leaves turned from JSON's forms into those of their types."""
    members = _members(value, where)
    check_fields(members, struct, types, where)
    return {
        field.name: _read(members[field.name], field.type, types, f"{where}.{field.name}")
        for field in types.structs[struct]
    }


def written(value: Any) -> Any:
    """A value in the form that every reader takes the same way: integers as decimal text, bytes in hexadecimal."""
    match value:
        case bool() | str():
            return value
        case int():
            return str(value)
        case bytes():
            return "0x" + value.hex()
        case Address():
            return str(value)
        case Mapping():
            return {name: written(one) for name, one in value.items()}
        case _:
            return [written(one) for one in value]


def _read(value: object, kind: FieldType, types: StructTypes, where: str) -> Any:
    if isinstance(value, _Inexact):
        raise typed_data_error(f"{where}: {value.text} is not written as a whole number")
    if kind.levels:
        if not isinstance(value, list):
            raise typed_data_error(f"{where}: {_named(value)} is no value of the array {kind}")
        check_length(len(value), kind, where)
        item = kind.item
        return [_read(one, item, types, f"{where}[{number}]") for number, one in enumerate(value)]
    match kind.kind:
        case Kind.STRUCT:
            return read_struct(value, kind.name, types, where)
        case Kind.UINT | Kind.INT:
            return _whole(value, kind, where)
        case Kind.BYTES | Kind.FIXED_BYTES:
            if not isinstance(value, str) or not _BYTES.fullmatch(value):
                raise typed_data_error(f"{where}: {kind} is written as 0x and an even number of hexadecimal digits")
            return bytes.fromhex(value[2:])
        case Kind.ADDRESS:
            return _address(value, where)
        case Kind.BOOL if not isinstance(value, bool):
            raise typed_data_error(f"{where}: a bool is true or false, not {_named(value)}")
        case Kind.STRING if not isinstance(value, str):
            raise typed_data_error(f"{where}: a string is text, not {_named(value)}")
        case _:
            return value


def _whole(value: object, kind: FieldType, where: str) -> int:
    if type(value) is int:
        if abs(value) > _EXACT:
            raise typed_data_error(
                f"{where}: {str(value)[:80]} is more than 2^53-1, which some readers round: write it as text"
            )
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value)
    if isinstance(value, str) and kind.kind is Kind.UINT and _HEXADECIMAL.fullmatch(value):
        return int(value, 16)
    also = " or 0x and hexadecimal digits" if kind.kind is Kind.UINT else ""
    raise typed_data_error(f"{where}: {kind} is a whole number or its decimal digits as text{also}")


def _address(value: object, where: str) -> Address:
    if not isinstance(value, str):
        raise typed_data_error(f"{where}: an address is text, not {_named(value)}")
    try:
        return Address.from_text(value, allow_lowercase=True)
    except InvalidInputError as error:
        raise typed_data_error(f"{where}: {error.message}") from error


def _field(value: object, where: str) -> Field:
    members = _members(value, where)
    if set(members) != {"name", "type"}:
        raise typed_data_error(f"{where}: a field has a name and a type and nothing else")
    name = members["name"]
    if not isinstance(name, str):
        raise typed_data_error(f"{where}: the name is text, not {_named(name)}")
    return Field(name, FieldType.from_text(members["type"], where=where))


def _members(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise typed_data_error(f"{where}: {_named(value)} where an object is due")
    if isinstance(value, _Doubled):
        raise typed_data_error(f"{where}: {value.name!r:.60} stands twice")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    names = [name for name, _ in pairs]
    doubled = _Doubled(members)
    doubled.name = next(name for name in names if names.count(name) > 1)
    return doubled


def _integer(text: str) -> int | _Inexact:
    return int(text) if len(text) <= 80 and text != "-0" else _Inexact(text)


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _named(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", _Inexact: "a number", str: "text", list: "a list"}
    return names.get(type(value), "an object")
