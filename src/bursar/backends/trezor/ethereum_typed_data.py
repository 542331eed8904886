"""Typed data (EIP-712) signed by a Trezor: asked for field by field, or on a Trezor One by its two hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor.ethereum_paths import check_ethereum_path
from bursar.backends.trezor.exchange import Exchange, expect, one
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.typed_data_types import DOMAIN, FieldType, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.backends.trezor.abilities import Firmware
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.path import DerivationPath

_OPERATION: Final = "sign_typed_data"
_TYPES: Final = {
    Kind.UINT: "UINT",
    Kind.INT: "INT",
    Kind.FIXED_BYTES: "BYTES",
    Kind.BYTES: "BYTES",
    Kind.STRING: "STRING",
    Kind.BOOL: "BOOL",
    Kind.ADDRESS: "ADDRESS",
    Kind.STRUCT: "STRUCT",
}
# a struct is asked for once, a value once to be hashed and now and then once more to be shown
_MOST_ASKED_AGAIN: Final = 4


def sign_typed_data(
    messages: Any, path: DerivationPath, typed: TypedData, *, firmware: Firmware, strict: bool = True
) -> Exchange[EcdsaSignature]:
    """The signature of typed data by the key at ``path``.

    A Trezor One shows and signs the two hashes only (``shows_hashes_only``): its human is to be told first. The others
    ask for every struct and value and show them. ``UnsupportedError`` for firmware without it, and for arrays of
    arrays where the device hashes itself.
    """
    check_ethereum_path(path, strict=strict)
    if not firmware.typed_data:
        raise firmware.cannot("this firmware signs no typed data: update it", _OPERATION)
    if shows_hashes_only(firmware):
        return (yield from _by_hashes(messages, path, typed))
    _check(typed, firmware)
    shown = typed.message_hash if firmware.message_hash_shown else None
    reply = yield messages.EthereumSignTypedData(
        address_n=list(path.indexes),
        primary_type=typed.primary_type,
        metamask_v4_compat=True,  # arrays of structs hashed as the standard says
        show_message_hash=shown,
    )
    left = _most_questions(typed)
    while not isinstance(reply, messages.EthereumTypedDataSignature):
        left -= 1
        if left < 0:
            raise _misbehaved("it asks for more than the typed data holds")
        if isinstance(reply, messages.EthereumTypedDataStructRequest):
            reply = yield _struct(messages, typed, reply.name)
        else:
            expect(reply, messages.EthereumTypedDataValueRequest)
            reply = yield messages.EthereumTypedDataValueAck(value=_value_at(typed, reply.member_path))
    return _signature(reply)


def shows_hashes_only(firmware: Firmware) -> bool:
    """Whether the device shows nothing of typed data but its two hashes."""
    return firmware.legacy


def _by_hashes(messages: Any, path: DerivationPath, typed: TypedData) -> Exchange[EcdsaSignature]:
    request = messages.EthereumSignTypedHash(
        address_n=list(path.indexes), domain_separator_hash=typed.domain_separator, message_hash=typed.message_hash
    )
    reply = yield from one(request, messages.EthereumTypedDataSignature)
    return _signature(reply)


def _check(typed: TypedData, firmware: Firmware) -> None:
    for struct, fields in typed.types.structs.items():
        for field in fields:
            if len(field.type.levels) > 1:
                raise firmware.cannot(
                    f"it signs no arrays of arrays, as {struct}.{field.name} is one: use another signer", _OPERATION
                )


def _most_questions(typed: TypedData) -> int:
    values = sum(
        _count(FieldType(Kind.STRUCT, struct), value, typed)
        for struct, value in ((DOMAIN, typed.domain), (typed.primary_type, typed.message))
    )
    return _MOST_ASKED_AGAIN * (len(typed.types.structs) + values)


def _count(kind: FieldType, value: Any, typed: TypedData) -> int:
    if kind.levels:
        return 1 + sum(_count(kind.item, item, typed) for item in value)
    if kind.kind is not Kind.STRUCT:
        return 1
    return 1 + sum(_count(field.type, value[field.name], typed) for field in typed.types.structs[kind.name])


def _struct(messages: Any, typed: TypedData, name: object) -> Any:
    fields = typed.types.structs.get(name) if isinstance(name, str) else None
    if fields is None:
        raise _misbehaved("it asks for a struct that the typed data does not have")
    return messages.EthereumTypedDataStructAck(
        members=[
            messages.EthereumStructMember(type=_field_type(messages, field.type, typed), name=field.name)
            for field in fields
        ]
    )


def _field_type(messages: Any, kind: FieldType, typed: TypedData) -> Any:
    types = messages.EthereumDataType
    if kind.levels:
        entry = _field_type(messages, kind.item, typed)
        return messages.EthereumFieldType(data_type=types.ARRAY, size=kind.levels[-1], entry_type=entry)
    if kind.kind is Kind.STRUCT:
        size = len(typed.types.structs[kind.name])
        return messages.EthereumFieldType(data_type=types.STRUCT, size=size, struct_name=kind.name)
    return messages.EthereumFieldType(data_type=types[_TYPES[kind.kind]], size=kind.size)


def _value_at(typed: TypedData, path: Sequence[int]) -> bytes:
    """The value at ``path``: 0 for the domain or 1 for the message, then numbers of fields and of items."""
    roots: tuple[tuple[str, Mapping[str, Any]], ...] = (DOMAIN, typed.domain), (typed.primary_type, typed.message)
    if not path or path[0] > 1:
        raise _misbehaved("it asks for a value of neither the domain nor the message")
    struct = roots[path[0]][0]
    value: Any = roots[path[0]][1]
    kind = FieldType(Kind.STRUCT, struct)
    for index in path[1:]:
        if kind.levels and index < len(value):
            kind, value = kind.item, value[index]
        elif not kind.levels and kind.kind is Kind.STRUCT and index < len(typed.types.structs[kind.name]):
            field = typed.types.structs[kind.name][index]
            kind, value = field.type, value[field.name]
        else:
            raise _misbehaved("it asks for a value that the typed data does not have")
    if kind.levels:
        return len(value).to_bytes(2, "big")
    if kind.kind is Kind.STRUCT:
        raise _misbehaved("it asks for a struct where a value is due")
    return _encoded(kind, value)


def _encoded(kind: FieldType, value: Any) -> bytes:
    match kind.kind:
        case Kind.UINT | Kind.INT:
            return int(value).to_bytes(kind.size or 0, "big", signed=kind.kind is Kind.INT)
        case Kind.BOOL:
            return bytes((bool(value),))
        case Kind.STRING:
            return str(value).encode("utf-8")
        case _:
            return bytes(value)


def _signature(reply: Any) -> EcdsaSignature:
    raw = reply.signature
    if len(raw) != 65:
        raise _misbehaved(f"its signature has {len(raw)} bytes, not 65")
    parity = raw[64] - 27 if raw[64] >= 27 else raw[64]
    try:
        return EcdsaSignature.from_compact(raw[:64], y_parity=parity, allow_high_s=True)
    except InvalidInputError as error:
        raise _misbehaved(error.message) from error


def _misbehaved(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(
        f"the trezor misbehaved while signing typed data: {reason}; do not trust it until you know why"
    )
