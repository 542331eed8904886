"""Transactions as versioned JSON data: amounts as decimal text, bytes as 0x text, nothing unknown accepted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import SignedAuthorization
from bursar.ethereum.transaction.kinds import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE
from bursar.ethereum.units import Wei

_AMOUNTS = ("value", "gas_price", "max_fee_per_gas", "max_priority_fee_per_gas", "max_fee_per_blob_gas")
_NAMES = ("type", "chain_id", "nonce", "to", "value", "data", "gas_limit", *_AMOUNTS[1:4], "access_list")
FIELD_NAMES: dict[int, tuple[str, ...]] = {
    LEGACY: _NAMES,
    ACCESS_LIST: _NAMES,
    FEE_MARKET: _NAMES,
    BLOB: (*_NAMES, "max_fee_per_blob_gas", "blob_versioned_hashes"),
    SET_CODE: (*_NAMES, "authorization_list"),
}
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_BYTES = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)


def _wrong(problem: str, *, code: str = "input.transaction") -> InvalidInputError:
    return InvalidInputError(f"not a stored ethereum transaction: {problem}", code=code)


def _members(data: object, *, names: tuple[str, ...]) -> dict[str, Any]:
    """The members of a JSON object that must have version 1 and exactly ``names``."""
    if not isinstance(data, dict):
        raise _wrong(f"an object is expected, not {type(data).__name__}")
    if data.get("version") != 1 or type(data["version"]) is not int:
        raise _wrong("its version is not 1")
    if "chain_id" in names and data.get("chain_id") is None:
        raise _wrong("the chain id is missing (EIP-155)", code="input.chain-id")
    missing = [name for name in names if name not in data]
    unknown = [name for name in data if name not in names and name != "version"]
    if missing or unknown:
        raise _wrong(f"missing {', '.join(missing) or 'nothing'}, unknown {ascii(', '.join(unknown)) or 'nothing'}")
    return {name: data[name] for name in names}


def _bytes_from(text: object, *, name: str) -> bytes:
    if not isinstance(text, str) or not _BYTES.fullmatch(text):
        raise _wrong(f"{name} is 0x and lower-case hexadecimal digits")
    return bytes.fromhex(text[2:])


def _address_from(text: object) -> Address:
    if not isinstance(text, str):
        raise _wrong("an address is a text")
    return Address.from_text(text)


def fields_to_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an unsigned transaction as JSON data."""
    amounts = {name: None if fields[name] is None else str(fields[name]) for name in _AMOUNTS if name in fields}
    lists: dict[str, Any] = {}
    if "blob_versioned_hashes" in fields:
        lists["blob_versioned_hashes"] = ["0x" + one.hex() for one in fields["blob_versioned_hashes"]]
    if "authorization_list" in fields:
        lists["authorization_list"] = [one.to_json() for one in fields["authorization_list"]]
    entries = [
        {"address": str(entry.address), "storage_keys": ["0x" + key.hex() for key in entry.storage_keys]}
        for entry in fields["access_list"]
    ]
    to = fields["to"]
    return {
        **fields,
        **amounts,
        **lists,
        "to": None if to is None else str(to),
        "data": "0x" + fields["data"].hex(),
        "access_list": entries,
    }


def fields_from_json(data: object) -> dict[str, Any]:
    """The keyword arguments of an unsigned transaction from JSON data."""
    kind = data.get("type") if isinstance(data, dict) else None
    fields = _members(data, names=FIELD_NAMES.get(kind, _NAMES) if type(kind) is int else _NAMES)
    for name in _AMOUNTS:
        text = fields.get(name)
        if text is None and name != "value":
            continue
        if not isinstance(text, str) or not _DECIMAL.fullmatch(text):
            raise _wrong(f"{name} is a decimal text")
        fields[name] = Wei(int(text))
    fields["to"] = None if fields["to"] is None else _address_from(fields["to"])
    fields["data"] = _bytes_from(fields["data"], name="data")
    if not isinstance(fields["access_list"], list):
        raise _wrong("access_list is a list")
    fields["access_list"] = tuple(_entry_from_json(entry) for entry in fields["access_list"])
    for name, read in (
        ("blob_versioned_hashes", _hash_from_json),
        ("authorization_list", SignedAuthorization.from_json),
    ):
        if name in fields:
            if not isinstance(fields[name], list):
                raise _wrong(f"{name} is a list")
            fields[name] = tuple(read(one) for one in fields[name])
    return fields


def _hash_from_json(data: object) -> bytes:
    return _bytes_from(data, name="a versioned hash")


def _entry_from_json(data: object) -> AccessListEntry:
    if not isinstance(data, dict) or set(data) != {"address", "storage_keys"}:
        raise _wrong("an access list entry has address and storage_keys")
    keys = data["storage_keys"]
    if not isinstance(keys, list):
        raise _wrong("storage_keys is a list")
    return AccessListEntry(
        _address_from(data["address"]), tuple(_bytes_from(key, name="a storage key") for key in keys)
    )


def signed_parts_from_json(data: object) -> tuple[bytes, object]:
    """The raw bytes and the unsigned part of a signed transaction's JSON data."""
    members = _members(data, names=("raw", "unsigned"))
    return _bytes_from(members["raw"], name="raw"), members["unsigned"]
