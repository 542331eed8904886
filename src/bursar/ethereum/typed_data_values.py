"""The values of typed data (EIP-712) held to their types, and hashed: encodeData and hashStruct."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data_types import MOST_ITEMS, FieldType, Kind, StructTypes, typed_data_error


def held_to_type(value: object, kind: FieldType, types: StructTypes, where: str) -> Any:
    """``value`` in the one form it has: an integer, boolean, text, bytes, ``Address``, tuple or read-only mapping.

    ``InvalidInputError`` (``input.typed-data``) names the place and what is wrong with it.
    """
    if kind.levels:
        return _array(value, kind, types, where)
    match kind.kind, value:
        case Kind.STRUCT, _:
            return struct_held_to_type(value, kind.name, types, where)
        case ((Kind.UINT | Kind.INT), int()) if type(value) is int:
            least, most = integer_range(kind)
            if not least <= value <= most:
                raise typed_data_error(f"{where}: the number does not fit {kind.name}")
            return value
        case Kind.FIXED_BYTES, bytes():
            if len(value) != kind.size:
                raise typed_data_error(f"{where}: {kind.name} has exactly {kind.size} bytes, here are {len(value)}")
            return value
        case (Kind.BYTES, bytes()) | (Kind.BOOL, bool()) | (Kind.ADDRESS, Address()):
            return value
        case Kind.STRING, str():
            _utf8(value, where)
            return value
    raise typed_data_error(f"{where}: {_named(value)} is no value of the type {kind}")


def struct_held_to_type(value: object, struct: str, types: StructTypes, where: str) -> Mapping[str, Any]:
    """The same for a struct: exactly its fields, in their order."""
    fields = types.structs[struct]
    if not isinstance(value, Mapping):
        raise typed_data_error(f"{where}: {_named(value)} is no value of the struct {struct}")
    check_fields(value, struct, types, where)
    return MappingProxyType(
        {field.name: held_to_type(value[field.name], field.type, types, f"{where}.{field.name}") for field in fields}
    )


def check_fields(value: Mapping[Any, object], struct: str, types: StructTypes, where: str) -> None:
    """A value has the fields of its struct, each of them and no other."""
    names = [field.name for field in types.structs[struct]]
    for name in names:
        if name not in value:
            raise typed_data_error(f"{where}: the field {name} of {struct} is missing")
    for name in value:
        if name not in names:
            raise typed_data_error(f"{where}: {name!r:.60} is no field of {struct}, so it would not be signed")


def check_length(count: int, kind: FieldType, where: str) -> None:
    """An array has as many items as its type says."""
    size = kind.levels[-1]
    if count > MOST_ITEMS or size not in (None, count):
        wanted = f"at most {MOST_ITEMS}" if size is None else str(size)
        raise typed_data_error(f"{where}: {kind} has {wanted} items, here are {count}")


def integer_range(kind: FieldType) -> tuple[int, int]:
    """The least and the largest number of an integer type."""
    bits = 8 * (kind.size or 0)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind.kind is Kind.INT else (0, (1 << bits) - 1)


def hash_struct(struct: str, value: Mapping[str, Any], types: StructTypes, known: dict[str, bytes]) -> bytes:
    """hashStruct of a value that was held to its type; ``known`` keeps type hashes from one call to the next."""
    if struct not in known:
        known[struct] = types.type_hash(struct)
    words = [_word(value[field.name], field.type, types, known) for field in types.structs[struct]]
    return keccak256(known[struct] + b"".join(words))


def _word(value: Any, kind: FieldType, types: StructTypes, known: dict[str, bytes]) -> bytes:
    """The 32 bytes that stand for a value in its struct's encodeData."""
    if kind.levels:
        item = kind.item
        return keccak256(b"".join([_word(one, item, types, known) for one in value]))
    match kind.kind:
        case Kind.STRUCT:
            return hash_struct(kind.name, value, types, known)
        case Kind.STRING:
            return keccak256(value.encode("utf-8"))
        case Kind.BYTES:
            return keccak256(value)
        case Kind.FIXED_BYTES:
            return bytes(value).ljust(32, b"\0")
        case Kind.ADDRESS:
            return bytes(value).rjust(32, b"\0")
        case _:
            return int(value).to_bytes(32, "big", signed=kind.kind is Kind.INT)


def _array(value: object, kind: FieldType, types: StructTypes, where: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
        raise typed_data_error(f"{where}: {_named(value)} is no value of the array {kind}")
    check_length(len(value), kind, where)
    item = kind.item
    return tuple(held_to_type(one, item, types, f"{where}[{number}]") for number, one in enumerate(value))


def _utf8(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise typed_data_error(f"{where}: the text holds half of a surrogate pair, which has no bytes") from None


def _named(value: object) -> str:
    return "null" if value is None else f"a value of {type(value).__name__}"
