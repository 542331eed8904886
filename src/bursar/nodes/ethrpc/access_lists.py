"""Which accounts and slots a transaction touches, by the node's word (eth_createAccessList, EIP-2930)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import ChainError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.access_list_json import MOST_ENTRIES, MOST_KEYS
from bursar.nodes.ethrpc.reply import (
    Refusal,
    garbled,
    printable,
    read_address,
    read_data,
    read_list,
    read_object,
)
from bursar.nodes.ethrpc.simulation import call_object

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.nodes.ethrpc.link import Link


def ask_access_list(link: Link, sender: Address, tx: UnsignedTransaction) -> tuple[AccessListEntry, ...] | None:
    """The entries by address, each with its slots in order; ``None`` where the node makes no lists."""
    reply = link.attempt("eth_createAccessList", call_object(sender, tx), "latest")
    if isinstance(reply, Refusal):
        return None
    body = read_object(reply, name="the access list")
    if body.get("error"):
        raise ChainError(f"the contract refuses this call: {printable(str(body['error']))}", code="chain.reverted")
    entries = tuple(_entry(one) for one in read_list(body.get("accessList"), name="the access list", most=MOST_ENTRIES))
    if len({one.address for one in entries}) != len(entries):
        raise garbled("its access list names an account twice")
    if sum(len(one.storage_keys) for one in entries) > MOST_KEYS:
        raise garbled("its access list is too long")
    return tuple(sorted(entries, key=lambda one: one.address.value))


def _entry(value: object) -> AccessListEntry:
    body = read_object(value, name="an entry of the access list")
    keys = [
        read_data(one, name="a storage key", size=32)
        for one in read_list(body.get("storageKeys"), name="the storage keys", most=MOST_KEYS)
    ]
    if len(set(keys)) != len(keys):
        raise garbled("its access list names a slot twice")
    return AccessListEntry(read_address(body.get("address"), name="an address"), tuple(sorted(keys)))
