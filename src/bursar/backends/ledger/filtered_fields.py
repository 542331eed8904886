"""Which filters go before which values of typed data (EIP-712), and which tokens before the filters that join them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.ledger.apdu import Command
from bursar.backends.ledger.ethereum_key import CLA
from bursar.backends.ledger.typed_data_filters import TOKEN_OF_DOMAIN, Show, discarded_path
from bursar.ethereum.typed_data_types import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.backends.ledger.ethereum_token import TokenDescriptor, TokenSource
    from bursar.backends.ledger.typed_data_filters import FieldFilter, Filters
    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import TypedData
    from bursar.ethereum.typed_data_types import FieldType

_PROVIDE_TOKEN: Final = 0x0A
_MOST_TOKENS: Final = 5
_LATEST: Final = 253_402_300_799  # the last second of the year 9999
_ITEM: Final = "[]"
_KINDS: Final = {
    Show.NAME: Kind.ADDRESS,
    Show.TOKEN: Kind.ADDRESS,
    Show.AMOUNT: Kind.UINT,
    Show.DATE_TIME: Kind.UINT,
}


class UnfitFiltersError(Exception):
    """By these filters the device would show something else than what is signed, or refuse it; the text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a stream, and the data its reply must have."""

    command: Command
    reply: bytes = b""


class FilteredFields:
    """The filters of one message, each given before its values; ``UnfitFiltersError`` where that cannot be."""

    def __init__(self, filters: Filters, typed: TypedData, tokens: TokenSource | None) -> None:
        self._typed = typed
        self._tokens = tokens
        self._chain = filters.chain_id
        self._by_path = {one.path: one for one in filters.fields}
        self._unused = set(self._by_path)
        self._joined = self._addresses(filters)
        self._known: dict[int, TokenDescriptor] = {}

    def before_value(self, path: str, kind: FieldType, value: Any) -> Iterator[Step]:
        """What comes before the value of the field at ``path``."""
        one = self._by_path.get(path)
        if one is None:
            return
        wanted = _KINDS.get(one.show)
        if wanted is not None and kind.kind is not wanted:
            raise UnfitFiltersError(f"{path} is no {wanted.value}")
        if one.show is Show.DATE_TIME and value > _LATEST and value != (1 << 8 * (kind.size or 0)) - 1:
            raise UnfitFiltersError(f"{path} is no time that is written with a date")
        self._unused.discard(path)
        yield from self._token(one)
        yield Step(one.command())

    def before_end_of(self, path: str) -> Iterator[Step]:
        """What takes the place of the fields in the array at ``path``, which has no items."""
        for one in self._by_path.values():
            if one.path.startswith(f"{path}.{_ITEM}"):
                if one.show is not Show.RAW:  # the app (1.22.0) would show the next field in its manner
                    raise UnfitFiltersError(f"{one.path} is in an array without items")
                self._unused.discard(one.path)
                yield Step(discarded_path(one.path))
                yield Step(one.command(discarded=True))

    def check_all_used(self) -> None:
        """The device counts them."""
        if self._unused:
            raise UnfitFiltersError(f"there is no field {min(self._unused)}")

    def _addresses(self, filters: Filters) -> dict[int, set[Address]]:
        joined: dict[int, set[Address]] = {}
        for one in filters.fields:
            if one.show is Show.TOKEN and one.token is not None:
                joined.setdefault(one.token, set()).update(_values_at(self._typed.message, one.path.split(".")))
        if self._typed.verifying_contract is not None:
            joined[TOKEN_OF_DOMAIN] = {self._typed.verifying_contract}
        return joined

    def _token(self, one: FieldFilter) -> Iterator[Step]:
        if one.token is None or one.token in self._known:
            return
        addresses = self._joined.get(one.token, set())
        if len(addresses) != 1:
            raise UnfitFiltersError(f"the token of {one.path} is not one")
        (address,) = addresses
        token = None if self._tokens is None else self._tokens(self._chain, address)
        if token is None:
            raise UnfitFiltersError(f"the token {address} has no signed descriptor here")
        place = len(self._known)
        if place == _MOST_TOKENS or one.token not in (place, TOKEN_OF_DOMAIN):
            raise UnfitFiltersError(f"the app would look for the token {address} in another place")
        self._known[one.token] = token
        yield Step(Command(CLA, _PROVIDE_TOKEN, data=token.serialize()), bytes((place,)))


def _values_at(value: Any, steps: list[str]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    head, rest = steps[0], steps[1:]
    if head == _ITEM and isinstance(value, tuple):
        for item in value:
            yield from _values_at(item, rest)
    elif head != _ITEM and hasattr(value, "get") and head in value:
        yield from _values_at(value[head], rest)
