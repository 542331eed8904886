"""Access lists as JSON: what eth_createAccessList answers, and what people keep in files (EIP-2930)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.json_text import read_strictly

MOST_ENTRIES: Final = 512
MOST_KEYS: Final = 4_096  # in all
LONGEST: Final = 1024 * 1024
_KEY: Final = re.compile("0x[0-9a-fA-F]{64}", re.ASCII)


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.access-list")


def access_list_to_json(entries: Sequence[AccessListEntry]) -> list[dict[str, Any]]:
    """The list as JSON-RPC writes it."""
    return [
        {"address": str(entry.address), "storageKeys": ["0x" + key.hex() for key in entry.storage_keys]}
        for entry in entries
    ]


def access_list_from_json(data: object) -> tuple[AccessListEntry, ...]:
    """The list of :func:`access_list_to_json`; an answer of eth_createAccessList, which holds one, is taken too.

    ``InvalidInputError`` (``input.access-list``) for anything else, and for an account or a slot named twice: both
    would be paid for and gain nothing.
    """
    if isinstance(data, dict) and set(data) <= {"accessList", "gasUsed"}:
        data = data.get("accessList")
    if not isinstance(data, list):
        raise _invalid("an access list is a list of objects with address and storageKeys")
    return checked(tuple(_entry(one) for one in data[: MOST_ENTRIES + 1]))


def checked(entries: tuple[AccessListEntry, ...]) -> tuple[AccessListEntry, ...]:
    """The same list, if it is one a transaction may carry; ``InvalidInputError`` (``input.access-list``) otherwise."""
    if type(entries) is not tuple or any(type(one) is not AccessListEntry for one in entries):
        raise _invalid("an access list is a tuple of AccessListEntry")
    keys = sum(len(one.storage_keys) for one in entries)
    if len(entries) > MOST_ENTRIES or keys > MOST_KEYS:
        raise _invalid(f"an access list has at most {MOST_ENTRIES} accounts and {MOST_KEYS} slots")
    if len({one.address for one in entries}) != len(entries):
        raise _invalid("an access list names an account twice")
    if any(len(set(one.storage_keys)) != len(one.storage_keys) for one in entries):
        raise _invalid("an access list names a slot twice")
    return entries


def read_access_list(text: bytes) -> tuple[AccessListEntry, ...]:
    """The list in the bytes of a JSON file."""
    if len(text) > LONGEST:
        raise _invalid("a file with an access list is JSON of at most 1 MiB")
    try:
        data = read_strictly(text, deepest=8)
    except ValueError as error:  # also UnicodeDecodeError
        raise _invalid(f"the file with the access list is not JSON: {str(error)[:120]}") from error
    return access_list_from_json(data)


def _entry(data: object) -> AccessListEntry:
    if not isinstance(data, dict) or set(data) != {"address", "storageKeys"}:
        raise _invalid("an entry of an access list has address and storageKeys")
    address, keys = data["address"], data["storageKeys"]
    if not isinstance(address, str) or not isinstance(keys, list) or len(keys) > MOST_KEYS:
        raise _invalid("the address of an entry is a text, its storageKeys are a list")
    if any(not isinstance(key, str) or not _KEY.fullmatch(key) for key in keys):
        raise _invalid("a storage key is 0x and 64 hexadecimal digits")
    return AccessListEntry(
        Address.from_text(address, allow_lowercase=True), tuple(bytes.fromhex(key[2:]) for key in keys)
    )
