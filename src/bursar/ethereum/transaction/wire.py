"""The fields of a transaction from its RLP items (EIP-2718), each in its range and in its one encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.ethereum import payload
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import SignedAuthorization
from bursar.ethereum.chain_id import chain_id_error, check_chain_id
from bursar.ethereum.payload import malformed
from bursar.ethereum.transaction.kinds import INTEGERS

if TYPE_CHECKING:
    from bursar.crypto.rlp import Decoded


def arguments(kind: int, items: dict[str, Decoded]) -> dict[str, Any]:
    """The keyword arguments of a transaction of type ``kind`` from its items by name; other items are left alone."""
    to = payload.read_string(items["to"], name="the recipient")
    if len(to) not in (0, 20):
        raise malformed(f"the recipient is 20 bytes or empty, not {len(to)}")
    fields: dict[str, Any] = {
        name: payload.read_integer(items[name], name=name.replace("_", " ")) for name in INTEGERS if name in items
    }
    fields["type"] = kind
    fields["to"] = Address(to) if to else None
    fields["data"] = payload.read_string(items["data"], name="the data")
    fields["access_list"] = tuple(
        AccessListEntry.decode(entry) for entry in _list(items.get("access_list", []), name="the access list")
    )
    if "blob_versioned_hashes" in items:
        hashes = _list(items["blob_versioned_hashes"], name="the list of versioned hashes")
        fields["blob_versioned_hashes"] = tuple(payload.read_string(one, name="a versioned hash") for one in hashes)
    if "authorization_list" in items:
        held = _list(items["authorization_list"], name="the authorization list")
        fields["authorization_list"] = tuple(SignedAuthorization.decode(one) for one in held)
    return fields


def _list(item: Decoded, *, name: str) -> list[Decoded]:
    if not isinstance(item, list):
        raise malformed(f"{name} is a byte string, a list is expected")
    return item


def split_v(v: int) -> tuple[int, int]:
    """The chain id and parity in a legacy v (EIP-155)."""
    if v in (27, 28):
        raise chain_id_error("a chain id is required: v 27 and 28 are valid on every chain (EIP-155)")
    if v < 35:
        raise malformed(f"v {v} is none of EIP-155")
    chain_id, parity = divmod(v - 35, 2)
    return check_chain_id(chain_id), parity
