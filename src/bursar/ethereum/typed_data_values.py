"""The values of typed data (EIP-712) held to their types, and hashed: encodeData and hashStruct."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar.ethereum.typed_data_types import DOMAIN, MOST_ITEMS, FieldType, Kind, StructTypes, typed_data_error

_PADDING = bytes(12)
_MOST_DOMAINS: Final = 64
_PLAIN: Final[Mapping[Kind, type]] = {
    Kind.UINT: int,
    Kind.ADDRESS: Address,
    Kind.BOOL: bool,
    Kind.BYTES: bytes,
    Kind.FIXED_BYTES: bytes,
    Kind.STRING: str,
}


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
    if value.__class__ is not dict and not isinstance(value, Mapping):
        raise typed_data_error(f"{where}: {_named(value)} is no value of the struct {struct}")
    quick = _quickly(value, types.compiled.get(struct) or _plan(struct, types))
    if quick is not None:
        return MappingProxyType(quick)
    fields = types.structs[struct]
    check_fields(value, struct, types, where)
    return MappingProxyType(
        {field.name: held_to_type(value[field.name], field.type, types, f"{where}.{field.name}") for field in fields}
    )


def _quickly(value: Mapping[Any, Any], plan: _Plan) -> dict[str, Any] | None:
    """The fields of a struct of plain values, when a look at each finds nothing wrong; whatever fails is checked at
    leisure, with reasons."""
    checks = plan.checks
    if len(value) != len(checks):
        return None
    held = {}
    get = value.get
    for name, kind, most in checks:
        one: Any = get(name)
        if one.__class__ is not kind:
            return None
        if most is None:
            pass
        elif kind is int:
            if not 0 <= one <= most:
                return None
        elif kind is str:
            if not one.isascii():
                return None
        elif len(one) != most:
            return None
        held[name] = one
    return held


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


def hash_struct(struct: str, value: Mapping[str, Any], types: StructTypes) -> bytes:
    """hashStruct of a value that was held to its type, its fields therefore in their order."""
    plan: _Plan = types.compiled.get(struct) or _plan(struct, types)
    words = [plan.type_hash]
    # the two kinds that permits and payments are made of without a call each
    for one, word in zip(value.values(), plan.words):  # noqa: B905 (slower, and lengths are equal)
        if word is _uint_word:
            words.append(one.to_bytes(32, "big"))
        elif word is _address_word:
            words.append(_PADDING + one.value)
        else:
            words.append(word(one))
    return keccak256(b"".join(words))


def hash_domain(value: Mapping[str, Any], types: StructTypes) -> bytes:
    """hashStruct of a domain that was held to its type."""
    key, known = tuple(value.values()), types.domains
    found = known.get(key)
    if found is None:
        if len(known) >= _MOST_DOMAINS:
            known.clear()
        found = known[key] = hash_struct(DOMAIN, value, types)
    return found


class _Plan:
    """How values of one struct are checked at a look, and turned into the words of encodeData."""

    __slots__ = ("checks", "type_hash", "words")

    def __init__(self, struct: str, types: StructTypes) -> None:
        fields = types.structs[struct]
        self.type_hash = types.type_hash(struct)
        self.checks: tuple[tuple[str, Any, int | None], ...] = tuple(_check(field.name, field.type) for field in fields)
        self.words = tuple(_word(field.type, types) for field in fields)


def _plan(struct: str, types: StructTypes) -> _Plan:
    found: _Plan | None = types.compiled.get(struct)
    if found is None:
        found = types.compiled[struct] = _Plan(struct, types)
    return found


class _Never:
    """The class of no value: what is not plain is never right at a look."""


def _check(name: str, kind: FieldType) -> tuple[str, type, int | None]:
    """The class of a right value and the largest number or the length it has; only kinds that a look can judge.

    ``None`` where the class is enough.
    """
    if kind.levels or kind.kind not in _PLAIN:
        return name, _Never, None
    most = {Kind.UINT: integer_range(kind)[1], Kind.FIXED_BYTES: kind.size or 0, Kind.STRING: 0}
    return name, _PLAIN[kind.kind], most.get(kind.kind)


def _word(kind: FieldType, types: StructTypes) -> Callable[[Any], bytes]:
    """The function that gives the 32 bytes which stand for a value in its struct's encodeData."""
    if kind.levels:
        item = _word(kind.item, types)
        return lambda value: keccak256(b"".join([item(one) for one in value]))
    match kind.kind:
        case Kind.STRUCT:
            struct = kind.name
            return lambda value: hash_struct(struct, value, types)
        case Kind.STRING:
            return lambda value: keccak256(value.encode("utf-8"))
        case Kind.BYTES:
            return keccak256
        case Kind.FIXED_BYTES:
            return lambda value: value.ljust(32, b"\0")
        case Kind.ADDRESS:
            return _address_word
        case Kind.INT:
            return lambda value: value.to_bytes(32, "big", signed=True)
        case _:
            return _uint_word


def _address_word(value: Address) -> bytes:
    return _PADDING + value.value


def _uint_word(value: int) -> bytes:
    return value.to_bytes(32, "big")


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
