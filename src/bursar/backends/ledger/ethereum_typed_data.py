"""Typed data (EIP-712) streamed to Ledger's Ethereum app, which hashes it itself: definitions, then values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.ledger.apdu import MOST_DATA, OK, Command
from bursar.backends.ledger.ethereum import BLIND_REMEDY, blind, configuration, message_signature
from bursar.backends.ledger.ethereum_key import CLA, path_bytes
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.keys.path import DerivationPath

_SIGN, _DEFINE, _GIVE = 0x0C, 0x1A, 0x1C
_NAME, _ARRAY, _FIELD = 0x00, 0x0F, 0xFF
_PARTIAL, _COMPLETE = 0x01, 0x00
_STREAMED = 0x01
_DOMAIN: Final = "EIP712Domain"
_ARRAY_LEVEL = re.compile(r"\[(0|[1-9][0-9]{0,2})?\]", re.ASCII)
_TYPE = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]*)((?:\[[0-9]*\])*)", re.ASCII)
_SIZED = re.compile(r"(u?int|bytes)([1-9][0-9]*)?", re.ASCII)
_KINDS: Final = {"int": 1, "uint": 2, "address": 3, "bool": 4, "string": 5}
_STRUCT, _FIXED_BYTES, _BYTES = 0, 6, 7
_IS_ARRAY, _IS_SIZED = 0x80, 0x40
_MOST_ITEMS, _MOST_VALUE, _MOST_DEPTH = 255, 0xFFFF, 16


@dataclass(frozen=True, slots=True)
class TypedData:
    """A message as EIP-712 describes it: ``types`` maps each struct to its fields, (name, type) in order.

    Values are integers, booleans, text, bytes or ``Address``, sequences for arrays and mappings for structs.
    """

    types: Mapping[str, Sequence[tuple[str, str]]]
    primary_type: str
    domain: Mapping[str, Any]
    message: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Type:
    kind: int
    name: str
    size: int | None
    levels: tuple[int | None, ...]


def sign_typed_data(path: DerivationPath, typed: TypedData) -> Exchange[EcdsaSignature]:
    """Have a human confirm typed data on the device, and take its signature by the key at ``path``.

    Without the vendor's signed filters the app wants blind signing on, though models with a large screen then show
    every field (the small ones show the two hashes).
    """
    start = path_bytes(path)
    commands = [*_definitions(typed), *_values(typed)]  # all of it before the first is sent: nothing half done
    settings = yield from configuration()
    if not settings.blind_signing:
        raise blind("typed data")
    for command in commands:
        reply = yield command
        if reply.status != OK:
            raise ethereum_refusal(reply, "the typed data", remedy=BLIND_REMEDY)
        if reply.data:
            raise SignerMisbehavedError("the ledger answered before it had heard all of the typed data")
    confirm = "Read the typed data on the Ledger, or compare its hashes there, and confirm."
    reply = yield Command(CLA, _SIGN, 0, _STREAMED, start, confirm)
    if reply.status != OK:
        raise ethereum_refusal(reply, "the typed data", remedy=BLIND_REMEDY)
    return message_signature(reply.data, "the typed data")


def _definitions(typed: TypedData) -> Iterator[Command]:
    if _DOMAIN not in typed.types or typed.primary_type not in typed.types or typed.primary_type == _DOMAIN:
        raise _invalid(f"its types must define {_DOMAIN} and the primary type {typed.primary_type!r:.60}")
    for struct, fields in typed.types.items():
        yield _short(_DEFINE, _NAME, _text(struct))
        names = [name for name, _ in fields]
        if len(set(names)) != len(names):
            raise _invalid(f"a field of {struct} stands twice")
        for name, written in fields:
            yield _short(_DEFINE, _FIELD, _definition(_parsed(written, typed), name))


def _definition(kind: _Type, name: str) -> bytes:
    flags = (_IS_ARRAY if kind.levels else 0) | (_IS_SIZED if kind.size is not None else 0)
    data = bytes((flags | kind.kind,))
    if kind.kind == _STRUCT:
        data += _counted(_text(kind.name))
    if kind.size is not None:
        data += bytes((kind.size,))
    if kind.levels:
        data += bytes((len(kind.levels),))
        data += b"".join(b"\x00" if level is None else bytes((1, level)) for level in kind.levels)
    return data + _counted(_text(name))


def _values(typed: TypedData) -> Iterator[Command]:
    for struct, values in ((_DOMAIN, typed.domain), (typed.primary_type, typed.message)):
        yield _short(_GIVE, _NAME, _text(struct))
        yield from _struct(struct, values, typed, struct, 1)


def _struct(struct: str, values: object, typed: TypedData, where: str, depth: int) -> Iterator[Command]:
    fields = typed.types[struct]
    if not isinstance(values, Mapping) or set(values) != {name for name, _ in fields}:
        raise _invalid(f"{where} does not have exactly the fields of {struct}")
    if depth > _MOST_DEPTH:
        raise _invalid(f"{where} lies deeper than {_MOST_DEPTH} structs, which a ledger does not follow")
    for name, written in fields:
        kind = _parsed(written, typed)
        yield from _value(kind, kind.levels, values[name], typed, f"{where}.{name}", depth)


def _value(
    kind: _Type, levels: tuple[int | None, ...], value: object, typed: TypedData, where: str, depth: int
) -> Iterator[Command]:
    if levels:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise _invalid(f"{where} is an array, and its value is none")
        if len(value) > _MOST_ITEMS or levels[-1] not in (None, len(value)):
            raise _invalid(
                f"{where} has {len(value)} items: a ledger takes the type's number, and {_MOST_ITEMS} at most"
            )
        yield _short(_GIVE, _ARRAY, bytes((len(value),)))
        for number, item in enumerate(value):
            yield from _value(kind, levels[:-1], item, typed, f"{where}[{number}]", depth)
    elif kind.kind == _STRUCT:
        yield from _struct(kind.name, value, typed, where, depth + 1)
    else:
        raw = _encoded(kind, value, where)
        payload = len(raw).to_bytes(2, "big") + raw
        for at in range(0, len(payload), MOST_DATA):
            part = _COMPLETE if at + MOST_DATA >= len(payload) else _PARTIAL
            yield Command(CLA, _GIVE, part, _FIELD, payload[at : at + MOST_DATA], patient=True)


def _encoded(kind: _Type, value: object, where: str) -> bytes:
    match kind.kind, value:
        case 1 | 2, int() if type(value) is int and kind.size is not None:
            return _integer(value, 8 * kind.size, signed=kind.kind == 1, where=where)
        case 3, Address():
            return value.value
        case 4, bool():
            return bytes((value,))
        case 5, str():
            return _bounded(value.encode("utf-8"), where)
        case 6, bytes() if len(value) == kind.size:
            return value
        case 7, bytes():
            return _bounded(value, where)
    raise _invalid(f"{where} is a {type(value).__name__}, which is no value of its type")


def _integer(value: int, bits: int, *, signed: bool, where: str) -> bytes:
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not least <= value <= most:
        raise _invalid(f"{where} does not fit its type of {bits} bits")
    if value < 0:
        return value.to_bytes(bits // 8, "big", signed=True)
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _parsed(written: str, typed: TypedData) -> _Type:
    found = _TYPE.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise _invalid(f"{written!r:.60} is no type")
    name, arrays = found.groups()
    marks = _ARRAY_LEVEL.findall(arrays)
    levels = tuple(int(mark) if mark else None for mark in marks)
    if len(marks) != arrays.count("[") or any(level is not None and not 0 < level <= _MOST_ITEMS for level in levels):
        raise _invalid(f"{written!r:.60} has an array size that a ledger does not take")
    if name in typed.types:
        return _Type(_STRUCT, name, None, levels)
    if name in ("address", "bool", "string"):
        return _Type(_KINDS[name], name, None, levels)
    sized = _SIZED.fullmatch(name)
    if sized is None:
        raise _invalid(f"{written!r:.60} is neither a struct of these types nor a type of EIP-712")
    base, digits = sized.groups()
    number = int(digits or 0)
    if base == "bytes":
        if number > 32:
            raise _invalid(f"{name} is longer than a type of EIP-712")
        return _Type(_FIXED_BYTES, name, number, levels) if digits else _Type(_BYTES, name, None, levels)
    if number % 8 or not 8 <= number <= 256:
        raise _invalid(f"{name} is no integer of EIP-712: write the size, as in {base}256")
    return _Type(_KINDS[base], name, number // 8, levels)


def _short(ins: int, part: int, data: bytes) -> Command:
    if len(data) > MOST_DATA:
        raise _invalid("a name in it is too long for a ledger")
    return Command(CLA, ins, 0, part, data, patient=ins == _GIVE)


def _counted(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def _text(name: str) -> bytes:
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or not 0 < len(name) <= 200:
        raise _invalid(f"{name!r:.60} is no name of a struct or field: 1 to 200 printable ascii characters")
    return name.encode("ascii")


def _bounded(raw: bytes, where: str) -> bytes:
    if len(raw) > _MOST_VALUE:
        raise _invalid(f"{where} has {len(raw)} bytes, a ledger takes {_MOST_VALUE}")
    return raw


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError(f"typed data for a ledger: {problem}", code="input.message")
