"""Typed data (EIP-712) streamed to Ledger's Ethereum app, which hashes it itself: definitions, then values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.ledger.apdu import MOST_DATA, OK, Command
from bursar.backends.ledger.ethereum import BLIND_REMEDY, blind, configuration, message_signature, sign_typed_hashes
from bursar.backends.ledger.ethereum_key import CLA, path_bytes
from bursar.backends.ledger.ethereum_status import ethereum_refusal
from bursar.backends.ledger.filtered_fields import FilteredFields, Step, UnfitFiltersError
from bursar.backends.ledger.typed_data_filters import NOWHERE, activate, orders, schema_hash
from bursar.backends.ledger.vendor_keys import PRODUCTION, VendorKeys
from bursar.errors import SignerMisbehavedError
from bursar.ethereum.typed_data_types import DOMAIN, FieldType, Kind

if TYPE_CHECKING:
    from bursar.backends.ledger.apdu import Exchange
    from bursar.backends.ledger.ethereum_token import TokenDescriptor, TokenSource
    from bursar.backends.ledger.typed_data_filters import Filters
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import TypedData
    from bursar.keys.path import DerivationPath

_SIGN, _DEFINE, _GIVE = 0x0C, 0x1A, 0x1C
_NAME, _ARRAY, _FIELD = 0x00, 0x0F, 0xFF
_PARTIAL, _COMPLETE = 0x01, 0x00
_STREAMED = 0x01
_KINDS: Final = {
    Kind.STRUCT: 0,
    Kind.INT: 1,
    Kind.UINT: 2,
    Kind.ADDRESS: 3,
    Kind.BOOL: 4,
    Kind.STRING: 5,
    Kind.FIXED_BYTES: 6,
    Kind.BYTES: 7,
}
_IS_ARRAY, _IS_SIZED = 0x80, 0x40
_MOST_ITEMS, _MOST_VALUE = 255, 0xFFFF
_WRITTEN_INTEGERS: Final = frozenset((1, 2, 4, 8, 16, 32))  # bytes
_MOST_FIELDS_DEEP, _MOST_ARRAYS_DEEP = 16, 8
_WORDS_IN_A_BLOCK: Final = 17  # Keccak-256 takes in 136 bytes at once
_MEMORY_FULL: Final = 0x6A84
_FILTERED: Final = "Read the fields that Ledger has chosen for this contract on the Ledger, and confirm them there."
_SHOWS_FIELDS: Final = frozenset({"Ledger Stax", "Ledger Flex", "Ledger Nano Gen5"})
_SHOWS_HASHES: Final = frozenset({"Ledger Nano S", "Ledger Nano X", "Ledger Nano S Plus"})


class _NoRoomError(Exception):
    """A ledger's stream or screen has no room for it; by its hashes it can still be signed."""


@dataclass(slots=True)
class _Walk:
    """The values of one root in the order of the stream, and what the app (1.22.0) hashes otherwise than the standard.

    It takes a struct for nothing whose type hash and fields fill whole blocks of Keccak, a struct right behind an empty
    array for one without type hash, and it mixes up arrays of arrays of structs.
    """

    typed: TypedData
    filtered: FilteredFields | None = None
    behind_empty: bool = False  # whether an array without items was the last value

    def struct(
        self, name: str, values: Mapping[str, Any], fields_deep: int, arrays_deep: int, path: str = ""
    ) -> Iterator[Step]:
        """The fields of a struct, which is at ``path``."""
        if fields_deep > _MOST_FIELDS_DEEP:
            raise _NoRoomError
        for field in self.typed.types.structs[name]:
            inner = f"{path}.{field.name}" if path else field.name
            yield from self.value(field.type, values[field.name], fields_deep, arrays_deep, inner)

    def value(self, kind: FieldType, value: Any, fields_deep: int, arrays_deep: int, path: str) -> Iterator[Step]:
        """A field, or an item of an array."""
        if kind.levels:
            items: Sequence[Any] = value
            if len(items) > _MOST_ITEMS or arrays_deep == _MOST_ARRAYS_DEEP:
                raise _NoRoomError
            if items and kind.kind is Kind.STRUCT and len(kind.levels) > 1:
                raise _NoRoomError
            yield Step(Command(CLA, _GIVE, 0, _ARRAY, bytes((len(items),)), patient=True))
            self.behind_empty = not items
            if not items and self.filtered is not None:
                yield from self.filtered.before_end_of(path)
            for item in items:
                yield from self.value(kind.item, item, fields_deep, arrays_deep + 1, f"{path}.[]")
        elif kind.kind is Kind.STRUCT:
            if self.behind_empty or (len(self.typed.types.structs[kind.name]) + 1) % _WORDS_IN_A_BLOCK == 0:
                raise _NoRoomError
            yield from self.struct(kind.name, value, fields_deep + 1, arrays_deep, path)
        else:
            self.behind_empty = False
            if self.filtered is not None:
                yield from self.filtered.before_value(path, kind, value)
            yield from _basic(kind, value)


def sign_typed_data(
    path: DerivationPath,
    typed: TypedData,
    *,
    model: str = "",
    filters: Filters | None = None,
    tokens: TokenSource | None = None,
    keys: VendorKeys = PRODUCTION,
) -> Exchange[EcdsaSignature]:
    """Have a human confirm typed data on the device, and take its signature by the key at ``path``.

    With the vendor's signed ``filters`` the app shows the fields they choose, and nothing else; ``tokens`` finds the
    descriptors they need. Without, or where they do not fit, the app wants blind signing on, though models with a large
    screen then show every field; the small ones show the domain and the message's hash, which the human is told. What
    the stream or the device's memory has no room for (arrays of more than 255 items, values of more than 65535 bytes,
    structs deeper than 16), what its screen cannot write (``int24`` and other odd sizes), and what the app hashes
    wrongly (arrays of arrays of structs, a struct of 16 fields inside another, a struct right behind an empty array) is
    signed by its two hashes.
    """
    start = path_bytes(path)
    unfit = ""
    try:
        steps: list[Step] | None = None  # all of it before the first is sent: nothing half done
        if filters is not None:
            filters.verify(keys.assets)
            try:
                steps = _filtered(typed, filters, _verified(tokens, keys))
            except UnfitFiltersError as error:
                unfit = f"; the vendor's filters for it do not fit, {error}"
        shown = steps is not None
        steps = steps or [*_definitions(typed, typed.types.structs), *_values(typed)]
    except _NoRoomError:
        return (yield from _by_hashes(path, typed))
    if not shown:
        settings = yield from configuration()
        if not settings.blind_signing:
            raise blind("typed data", instead=unfit)
    remedy = "" if shown else BLIND_REMEDY
    for step in steps:
        reply = yield step.command
        if reply.status == _MEMORY_FULL and not shown:
            return (yield from _by_hashes(path, typed))
        if reply.status != OK:
            raise ethereum_refusal(reply, "the typed data", remedy=remedy)
        if reply.data != step.reply:
            raise SignerMisbehavedError("the ledger answered before it had heard all of the typed data")
    confirm = _FILTERED if shown else _what_to_confirm(typed, model)
    reply = yield Command(CLA, _SIGN, 0, _STREAMED, start, confirm)
    if reply.status != OK:
        raise ethereum_refusal(reply, "the typed data", remedy=remedy)
    return message_signature(reply.data, "the typed data")


def _filtered(typed: TypedData, filters: Filters, tokens: TokenSource | None) -> list[Step]:
    order = next((one for one in orders(typed.types) if schema_hash(typed.types, one) == filters.schema), None)
    if order is None or filters.chain_id != (typed.chain_id or 0):
        raise UnfitFiltersError("they are of other types or of another chain")
    if filters.contract != (typed.verifying_contract or NOWHERE):
        raise UnfitFiltersError(f"they are of the contract {filters.contract}")
    fields = FilteredFields(filters, typed, tokens)
    steps = [*_definitions(typed, order), Step(activate())]
    steps += _root(DOMAIN, _Walk(typed), typed.domain)
    steps.append(Step(filters.command()))
    steps += _root(typed.primary_type, _Walk(typed, fields), typed.message)
    fields.check_all_used()
    return steps


def _verified(tokens: TokenSource | None, keys: VendorKeys) -> TokenSource | None:
    if tokens is None:
        return None

    def find(chain_id: int, contract: Address) -> TokenDescriptor | None:
        found = tokens(chain_id, contract)
        if found is not None:
            found.verify(keys.assets)
            found.check_is_at(chain_id, contract)
        return found

    return find


def _by_hashes(path: DerivationPath, typed: TypedData) -> Exchange[EcdsaSignature]:
    domain, message = typed.domain_separator, typed.message_hash
    confirm = (
        "The Ledger cannot take all of the typed data: it shows two hashes only. Compare them, and confirm there: "
        f"domain hash 0x{domain.hex().upper()}, message hash 0x{message.hex().upper()}."
    )
    return sign_typed_hashes(path, domain, message, confirm=confirm)


def _what_to_confirm(typed: TypedData, model: str) -> str:
    if model in _SHOWS_FIELDS:
        return "Read every field of the typed data on the Ledger, and confirm it there."
    if model in _SHOWS_HASHES:
        return f"The Ledger shows the domain, and no field of the message, only its hash: {_compare(typed)}"
    return (
        f"Read every field on the Ledger; a small one shows the domain, and of the message its hash: {_compare(typed)}"
    )


def _compare(typed: TypedData) -> str:
    return f"compare 0x{typed.message_hash.hex().upper()}, and confirm there."


def _definitions(typed: TypedData, order: Iterable[str]) -> Iterator[Step]:
    for struct in order:
        yield Step(Command(CLA, _DEFINE, 0, _NAME, struct.encode("ascii")))
        for field in typed.types.structs[struct]:
            yield Step(_short(_DEFINE, _FIELD, _definition(field.type, field.name)))


def _definition(kind: FieldType, name: str) -> bytes:
    if kind.kind is Kind.INT and kind.size not in _WRITTEN_INTEGERS:
        raise _NoRoomError
    sized = kind.size is not None
    data = bytes(((_IS_ARRAY if kind.levels else 0) | (_IS_SIZED if sized else 0) | _KINDS[kind.kind],))
    if kind.kind is Kind.STRUCT:
        data += _counted(kind.name)
    if kind.size is not None:
        data += bytes((kind.size,))
    if kind.levels:
        if any(level is not None and level > _MOST_ITEMS for level in kind.levels):
            raise _NoRoomError
        data += bytes((len(kind.levels),))
        data += b"".join(b"\x00" if level is None else bytes((1, level)) for level in kind.levels)
    return data + _counted(name)


def _values(typed: TypedData) -> Iterator[Step]:
    yield from _root(DOMAIN, _Walk(typed), typed.domain)
    yield from _root(typed.primary_type, _Walk(typed), typed.message)


def _root(struct: str, walk: _Walk, values: Mapping[str, Any]) -> Iterator[Step]:
    yield Step(Command(CLA, _GIVE, 0, _NAME, struct.encode("ascii"), patient=True))
    yield from walk.struct(struct, values, 1, 0)


def _basic(kind: FieldType, value: Any) -> Iterator[Step]:
    raw = _encoded(kind, value)
    if len(raw) > _MOST_VALUE:
        raise _NoRoomError
    payload = len(raw).to_bytes(2, "big") + raw
    for at in range(0, len(payload), MOST_DATA):
        part = _COMPLETE if at + MOST_DATA >= len(payload) else _PARTIAL
        yield Step(Command(CLA, _GIVE, part, _FIELD, payload[at : at + MOST_DATA], patient=True))


def _encoded(kind: FieldType, value: Any) -> bytes:
    match kind.kind:
        case Kind.UINT | Kind.INT:
            number = int(value)
            if number < 0:
                return number.to_bytes(kind.size or 0, "big", signed=True)
            return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
        case Kind.BOOL:
            return bytes((bool(value),))
        case Kind.STRING:
            return str(value).encode("utf-8")
        case _:
            return bytes(value)


def _short(ins: int, part: int, data: bytes) -> Command:
    if len(data) > MOST_DATA:
        raise _NoRoomError
    return Command(CLA, ins, 0, part, data)


def _counted(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("ascii")
