"""One value of a call or message in the format its descriptor gives it (ERC-7730)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError
from bursar.ethereum.abi.types import Kind
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.descriptor import read_address
from bursar.ethereum.clear_signing.fields import Field, MapReference, Parameter
from bursar.ethereum.clear_signing.interoperable import interoperable_name
from bursar.ethereum.clear_signing.numbers import date_text, decimal_text, duration_text, unit_text
from bursar.ethereum.clear_signing.paths import Path
from bursar.ethereum.clear_signing.resolve import Found, Scope, byte_text, constant, leaves
from bursar.ethereum.clear_signing.shapes import BYTES
from bursar.ethereum.clear_signing.texts import LONGEST_VALUE, bounded, data_error, label
from bursar.ethereum.review import Caution
from bursar.ethereum.token import is_unlimited

if TYPE_CHECKING:
    from bursar.ethereum.clear_signing.known import Known

_MOST_DECIMALS = 255
_ADDRESSES = frozenset(("token", "collection", "callee", "spender"))
_SHOWN_BY_USE = frozenset(("token", "callee", "amount"))  # as a symbol, or in the rendering of the call within


@dataclass(frozen=True, slots=True)
class Value:
    """One of the ``count`` values that ``field`` shows, in the group at ``base``; arrays in parameters go along.

    ``used`` collects the values that parameters took from the data and that the row shows by it.
    """

    field: Field
    found: Found
    base: Path
    index: int = 0
    count: int = 1
    used: list[Found] = dataclasses.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Words:
    """Formats values of one call or message; what a reader should weigh is put into ``cautions``."""

    scope: Scope
    known: Known
    chain_id: int | None
    cautions: dict[str, Caution] = dataclasses.field(default_factory=dict)
    _lowered: dict[int, Mapping[str, Any]] = dataclasses.field(default_factory=dict, repr=False)

    def text(self, it: Value) -> str:
        """The value as its field wants it shown, on one line."""
        if it.field.encrypted is not None:
            shown = f"{label(it.field.encrypted)} ({raw_text(it.found)})"
        else:
            shown = _FORMATS[it.field.format](self, it)
        text, was_cut = bounded(shown, LONGEST_VALUE)
        if was_cut:
            self.caution("cut", f"{label(it.field.label)} is longer than can be shown")
        return text

    def caution(self, code: str, text: str) -> None:
        """Something to weigh, once."""
        self.cautions.setdefault(code + text, Caution(code, text))

    def address_part(self, found: Found, what: str) -> Found:
        """The last 20 bytes of a word that holds flags in front of an address, as routers pack them; else ``found``."""
        whole = byte_text(found)
        if whole is None or isinstance(found.value, str) or len(whole) != 32 or not any(whole[:12]):
            return found
        self.caution("address-word", f"{label(what)} holds more than an address: 0x{whole.hex()}")
        start = 0 if found.taken is None else found.taken[0]
        return Found(found.place, BYTES, whole[12:], (start + 12, start + 32))

    def parameter(self, it: Value, name: str) -> Found | None:
        """A parameter, constant or at a path, as the value that belongs to this one; ``None`` where it is not set."""
        path = it.field.parameters.get(f"{name}Path")
        if isinstance(path, Path):
            values = self.scope.values(path.below(it.base))
            if len(values) not in (1, it.count):
                raise data_error(f"{path}: {len(values)} values for {it.count} of {it.field.path}")
            found = values[it.index if len(values) > 1 else 0]
            if name in _ADDRESSES:
                found = self.address_part(found, it.field.label)
            if name in _SHOWN_BY_USE:
                it.used.append(found)
            return found
        given = it.field.parameters.get(name)
        return None if given is None else self._constant(given, it.base)

    def _constant(self, given: Parameter, base: Path) -> Found:
        if isinstance(given, Path):
            return constant(self.scope.at(given))
        if isinstance(given, MapReference):
            table = self.scope.at(given.map)
            values = table.get("values") if isinstance(table, Mapping) else None
            key = self.scope.values(given.key.below(base))
            if not isinstance(values, Mapping) or len(key) != 1:
                raise data_error(f"{given.map}: no map, or no one key for it")
            return constant(self._looked_up(values, key[0], str(given.map)))
        return constant(given)

    def _listed(self, it: Value, name: str) -> list[Address]:
        given = it.field.parameters.get(name)
        listed = given if isinstance(given, tuple) else () if given is None else (given,)
        return [address_of(self._constant(each, it.base)) for each in listed]

    def _texts(self, it: Value, name: str) -> list[str] | None:
        given = it.field.parameters.get(name)
        return [str(each) for each in given] if isinstance(given, tuple) else None

    def _chain(self, it: Value) -> int | None:
        found = self.parameter(it, "chainId")
        return self.chain_id if found is None else number_of(found)

    def _raw(self, it: Value) -> str:
        return raw_text(it.found)

    def _amount(self, it: Value) -> str:
        return self.coin(number_of(it.found), self.chain_id)

    def coin(self, amount: int, chain_id: int | None) -> str:
        """An amount of the coin of a chain."""
        chain = self.known.chains.get(chain_id) if chain_id is not None else None
        return f"{decimal_text(amount, 18)} {label(chain[1]) if chain else f'(coin of chain {chain_id})'}"

    def _token_amount(self, it: Value) -> str:
        amount = number_of(it.found)
        token = self.parameter(it, "token")
        chain_id = self._chain(it)
        contract = None if token is None else address_of(token)
        threshold = self.parameter(it, "threshold")
        message = None
        if threshold is not None and amount >= number_of(threshold):
            given = self.parameter(it, "message")
            message = label("Unlimited" if given is None else raw_text(given))
            if not is_unlimited(amount):
                self.caution("amount-in-words", f"{label(it.field.label)} is {amount} base units, not without limit")
        if contract is not None and contract in self._listed(it, "nativeCurrencyAddress"):
            coin = self.coin(amount, chain_id)
            return coin if message is None else f"{message} {coin.partition(' ')[2]}"
        known = None if contract is None or chain_id is None else self.known.tokens.get((chain_id, contract))
        if known is None:
            where = "the descriptor names none" if contract is None else f"{contract} on chain {chain_id}"
            size = "" if message is None else f" and {message}"
            self.caution("unknown-token", f"{label(it.field.label)} is an amount of an unknown token{size}: {where}")
            return str(amount)
        return f"{decimal_text(amount, known.decimals) if message is None else message} {label(known.symbol)}"

    def _token_ticker(self, it: Value) -> str:
        contract, chain_id = address_of(it.found), self._chain(it)
        known = None if chain_id is None else self.known.tokens.get((chain_id, contract))
        if known is None:
            self.caution(
                "unknown-token", f"{label(it.field.label)} is an unknown token: {contract} on chain {chain_id}"
            )
        return str(contract) if known is None else label(known.symbol)

    def _nft(self, it: Value) -> str:
        token_id = number_of(it.found)
        collection = self.parameter(it, "collection")
        if collection is None or self.chain_id is None:
            return str(token_id)
        name = self.known.collections.get((self.chain_id, address_of(collection)))
        if name is None:
            return str(token_id)
        it.used.append(collection)
        return f"{label(name)} #{token_id}"

    def _date(self, it: Value) -> str:
        value = number_of(it.found)
        if it.field.parameters.get("encoding") != "blockheight":
            return date_text(value) or str(value)
        seconds = None if self.chain_id is None else self.known.block_times.get((self.chain_id, value))
        return f"block {value}" if seconds is None else date_text(seconds) or f"block {value}"

    def _duration(self, it: Value) -> str:
        return duration_text(number_of(it.found))

    def _unit(self, it: Value) -> str:
        base = self.parameter(it, "base")
        decimals = self.parameter(it, "decimals")
        prefix = self.parameter(it, "prefix")
        places = 0 if decimals is None else number_of(decimals)
        if not 0 <= places <= _MOST_DECIMALS:
            raise data_error(f"{places} decimals")
        return unit_text(
            number_of(it.found),
            base="" if base is None else label(raw_text(base)),
            decimals=places,
            prefix=prefix is not None and prefix.value is True,
        )

    def _enum(self, it: Value) -> str:
        path = it.field.parameters.get("$ref")
        table = self.scope.at(path) if isinstance(path, Path) else None
        if not isinstance(table, Mapping):
            raise data_error(f"{label(it.field.label)}: no enumeration")
        try:
            return label(str(self._looked_up(table, it.found, "the enumeration")))
        except InvalidInputError:
            self.caution(
                "unknown-enum", f"{label(it.field.label)} is none of the values that the descriptor has words for"
            )
            short = isinstance(it.found.value, bytes) and len(it.found.value) <= 32
            return str(number_of(it.found)) if short else raw_text(it.found)

    def _chain_name(self, it: Value) -> str:
        chain_id = number_of(it.found)
        chain = self.known.chains.get(chain_id)
        return f"chain {chain_id}" if chain is None else label(chain[0])

    def _address(self, it: Value) -> str:
        address = address_of(it.found)
        return self._named(it, address) or str(address)

    def _named(self, it: Value, address: Address) -> str | None:
        if address in self._listed(it, "senderAddress"):
            return "Sender"
        types = self._texts(it, "types")
        if types and not {"token", "contract"} & set(types) and (self.chain_id, address) in self.known.tokens:
            self.caution(
                "name-type", f"{label(it.field.label)} is a token's contract, where none is expected: {address}"
            )
        return self.known.name(address, self._texts(it, "sources"))

    def _interoperable(self, it: Value) -> str:
        address, text = interoperable_name(it.found.value if isinstance(it.found.value, bytes) else b"")
        return (self._named(it, address) if address is not None else None) or text

    def _looked_up(self, table: Mapping[str, Any], found: Found, where: str) -> Any:
        """What ``table`` of the descriptor has for a value; keys of numbers are decimal or hexadecimal."""
        lowered = self._lowered.get(id(table))
        if lowered is None:
            lowered = {key.lower(): value for key, value in table.items()}
            self._lowered[id(table)] = lowered
        text = raw_text(found)
        keys = [text.lower()]
        if isinstance(found.value, bytes) and len(found.value) <= 32:
            keys.append(str(int.from_bytes(found.value, "big")))
        elif type(found.value) is int:
            keys.append(hex(found.value))
        if isinstance(found.value, str):
            keys, lowered = [text], table
        for key in keys:
            if key in lowered:
                return lowered[key]
        raise data_error(f"{where}: nothing for {text[:70]}")


_FORMATS = {
    "raw": Words._raw,
    "amount": Words._amount,
    "tokenAmount": Words._token_amount,
    "tokenTicker": Words._token_ticker,
    "nftName": Words._nft,
    "date": Words._date,
    "duration": Words._duration,
    "unit": Words._unit,
    "enum": Words._enum,
    "chainId": Words._chain_name,
    "addressName": Words._address,
    "interoperableAddressName": Words._interoperable,
    "calldata": Words._raw,
}


def exact_address(it: Value, shown: object) -> str:
    """The address that ``shown`` is a name of, empty where it is none or says the address itself."""
    if it.field.encrypted is not None or it.field.format not in (
        "addressName",
        "tokenTicker",
        "interoperableAddressName",
    ):
        return ""
    if it.field.format == "interoperableAddressName":
        text = interoperable_name(it.found.value)[1]
    else:
        text = str(address_of(it.found))
    return "" if text == shown else text


def raw_text(found: Found) -> str:
    """A value as it is: numbers in decimals, bytes in hexadecimal digits, a struct's values one after the other."""
    match found.value:
        case bool():
            return "true" if found.value else "false"
        case int() | Address():
            return str(found.value)
        case bytes():
            return "0x" + found.value.hex()
        case str():
            return found.value
    return ", ".join(raw_text(one) for one in leaves(found) if one is not found) or "(empty)"


def number_of(found: Found) -> int:
    """A value that is taken as a number: also bytes, big end first, and decimal or hexadecimal texts of constants."""
    match found.value:
        case bool():
            return int(found.value)
        case int():
            return found.value
        case bytes() if len(found.value) <= 32:
            return int.from_bytes(found.value, "big")
        case str() if 0 < len(found.value) <= 80 and found.value.isascii():
            try:
                return int(found.value, 16 if found.value[:2] == "0x" else 10)
            except ValueError:
                pass
    raise data_error(f"{found.place or 'a constant'}: {raw_text(found)[:60]} is no number")


def address_of(found: Found) -> Address:
    """A value that is taken as an address: also 20 bytes, and a word of 32 whose first twelve are zero."""
    value: Any = found.value
    if isinstance(value, str):
        return read_address(value)
    if type(value) is int and found.shape.kind is Kind.UINT and value < 1 << 160:
        return Address(value.to_bytes(20, "big"))
    if isinstance(value, bytes) and len(value) in (20, 32) and not any(value[:-20]):
        return Address(value[-20:])
    if isinstance(value, Address):
        return value
    raise data_error(f"{found.place or 'a constant'}: {raw_text(found)[:70]} is no address")
