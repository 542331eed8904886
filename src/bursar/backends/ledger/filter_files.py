"""Filters of typed data in a folder: the vendor's list (eip712_v2.json), and answers of its crypto assets service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.ledger.typed_data_filters import FieldFilter, Filters, Show, filters_error
from bursar.backends.ledger.vendor_keys import PRODUCTION, TEST, VendorKeys
from bursar.errors import InvalidInputError
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bursar.ethereum.address import Address

_LIST: Final = "eip712_v2.json"
_LARGEST: Final = 16 << 20
_DEEPEST: Final = 16
_MOST_FILES: Final = 1000
_SHOWS: Final = {show.word: show for show in Show}
_CHAIN_IN_SIGNED: Final = slice(1, 9)


class FilterFolder:
    """A source of filters; what is asked for is verified.

    ``eip712_v2.json`` is the vendor's own list, ``{"<chain id>:<contract>:<hash of the types>": …}``; files
    ``evm/<chain id>/eip712/*.json`` are answers of its service to ``dapps?output=descriptors_eip712``.
    """

    def __init__(self, root: Path, *, keys: VendorKeys = PRODUCTION) -> None:
        self._root = root
        self._keys = keys
        self._list: Mapping[str, Any] | None = None

    def __call__(self, chain_id: int, contract: Address, schemas: tuple[bytes, ...]) -> Filters | None:
        """Those of the contract and one of these types, or ``None``; ``InvalidInputError`` (``input.filters``)."""
        found = self._listed(chain_id, contract, schemas) or self._answered(chain_id, contract, schemas)
        if found is not None:
            found.verify(self._keys.assets)
        return found

    def _listed(self, chain_id: int, contract: Address, schemas: tuple[bytes, ...]) -> Filters | None:
        if self._list is None:
            read = _read(self._root / _LIST)
            self._list = _mapping({} if read is None else read, _LIST)
        for schema in schemas:
            entry = self._list.get(f"{chain_id}:0x{contract.value.hex()}:{schema.hex()}")
            if entry is None:
                continue
            entry = _mapping(entry, "an entry")
            name = _mapping(entry.get("contractName"), "contractName")
            fields = tuple(_field(one, "path", "label", _signature) for one in _sequence(entry.get("fields"), "fields"))
            return Filters(chain_id, contract, schema, _text(name, "label"), _signature(name), fields)
        return None

    def _answered(self, chain_id: int, contract: Address, schemas: tuple[bytes, ...]) -> Filters | None:
        folder = self._root / "evm" / str(chain_id) / "eip712"
        for number, path in enumerate(sorted(folder.glob("*.json"))):
            if number == _MOST_FILES:
                raise _unread(f"{folder} holds more than {_MOST_FILES} files")
            for one in _sequence(_read(path), path.name):
                of_contracts = _mapping(_mapping(one, path.name).get("descriptors_eip712", {}), "descriptors_eip712")
                of_types = _mapping(of_contracts.get(f"0x{contract.value.hex()}", {}), "a contract")
                for schema in schemas:
                    entry = of_types.get(schema.hex())
                    found = None if entry is None else self._answer(chain_id, contract, schema, entry)
                    if found is not None:
                        return found
        return None

    def _answer(self, chain_id: int, contract: Address, schema: bytes, entry: Any) -> Filters | None:
        label, signature, fields = "", b"", []
        for each in _sequence(_mapping(entry, "an entry").get("instructions"), "instructions"):
            one = _mapping(each, "an instruction")
            if "field_path" in one:
                fields.append(_field(one, "field_path", "display_name", self._chosen))
            elif "field_mappers_count" in one:
                if int.from_bytes(_hexadecimal(one, "descriptor")[_CHAIN_IN_SIGNED], "big") != chain_id:
                    return None
                label, signature = _text(one, "display_name"), self._chosen(one)
            else:
                raise filters_error("they hold instructions for calls inside typed data, which are not passed on")
        return Filters(chain_id, contract, schema, label, signature, tuple(fields))

    def _chosen(self, one: Mapping[str, Any]) -> bytes:
        """The signature by the keys that count here; the service gives one by the keys of test builds as well."""
        return _hexadecimal(_mapping(one.get("signatures"), "signatures"), "test" if self._keys == TEST else "prod")


def _field(each: Any, path: str, label: str, signature: Callable[[Mapping[str, Any]], bytes]) -> FieldFilter:
    one = _mapping(each, "a field")
    show = _SHOWS.get(_text(one, "format"))
    if show is None:
        raise filters_error(f"a field is shown as {one['format']!r:.40}, which is not known here")
    token = one.get("coin_ref")
    if token is not None and type(token) is not int:
        raise filters_error("coin_ref is no number")
    types = sources = b""
    if show is Show.NAME:
        counts = tuple(len(_sequence(one.get(name), name)) for name in ("name_types", "name_sources"))
        named = _hexadecimal(one, "descriptor")
        if sum(counts) >= len(named) or not all(counts):
            raise filters_error("a trusted name is not described")
        types, sources = named[-sum(counts) : -counts[1]], named[-counts[1] :]
    return FieldFilter(show, _text(one, path), _text(one, label), signature(one), token, types, sources)


def _signature(one: Mapping[str, Any]) -> bytes:
    return _hexadecimal(one, "signature")


def _read(path: Path) -> Any:
    try:
        if not path.exists():
            return None
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unread(f"{path} cannot be read ({error.strerror})") from error
    if len(data) > _LARGEST:
        raise _unread(f"{path} is larger than {_LARGEST} bytes")
    if nested_deeply(data, most=_DEEPEST):
        raise _unread(f"{path} is nested too deeply")
    try:
        return json.loads(data)
    except ValueError as error:
        raise _unread(f"{path} is no JSON") from error


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise filters_error(f"{name} is no object")
    return value


def _sequence(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise filters_error(f"{name} is no list")
    return value


def _text(one: Mapping[str, Any], name: str) -> str:
    value = one.get(name)
    if not isinstance(value, str):
        raise filters_error(f"{name} is no text")
    return value


def _hexadecimal(one: Mapping[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_text(one, name))
    except ValueError as error:
        raise filters_error(f"{name} is not hexadecimal") from error


def _unread(reason: str) -> InvalidInputError:
    return InvalidInputError(f"{reason}: put the vendor's file there anew, or remove it", code="input.filters")
