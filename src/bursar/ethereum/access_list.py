"""Access lists: the accounts and slots a transaction declares it will touch (EIP-2930)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.payload import malformed, read_string, wrapped


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.transaction")


@dataclass(frozen=True, slots=True)
class AccessListEntry:
    """An account and those of its 32-byte storage slots that will be touched."""

    address: Address
    storage_keys: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.address, Address):
            raise _invalid("an access list entry names an Address")
        if any(type(key) is not bytes or len(key) != 32 for key in self.storage_keys):
            raise _invalid("a storage key of an access list is 32 bytes")

    def encode(self) -> bytes:
        """The entry as an RLP item."""
        keys = b"".join([b"\xa0" + key for key in self.storage_keys])
        return wrapped(b"\x94" + self.address.value + wrapped(keys))

    @classmethod
    def decode(cls, item: object) -> Self:
        """The entry from an RLP item."""
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], list):
            raise malformed("an access list entry is an address and a list of storage keys")
        keys = tuple(read_string(key, name="a storage key") for key in item[1])
        return cls(Address(read_string(item[0], name="an access list address")), keys)
