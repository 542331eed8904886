"""Typed data (EIP-712): what is signed so that a human can read it, its hashes, and who signed it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidSignatureError
from bursar.ethereum.message import recover_signer
from bursar.ethereum.typed_data_json import read_json, read_struct, read_types, written
from bursar.ethereum.typed_data_types import DOMAIN, StructTypes, chain_error
from bursar.ethereum.typed_data_values import hash_domain, hash_struct, struct_held_to_type

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

_set = object.__setattr__  # once for each field: permits are made by the thousand


@dataclass(frozen=True, slots=True, init=False)
class TypedData:
    """A domain and a message of ``primary_type``, each value held to its type; whatever exists is sound.

    Values are integers, booleans, text, bytes and ``Address``, tuples for arrays and read-only mappings, in the order
    of the fields, for structs. ``InvalidInputError`` (``input.typed-data``) names the place of anything else.
    """

    types: StructTypes
    primary_type: str
    domain: Mapping[str, Any]
    message: Mapping[str, Any]

    def __init__(
        self, types: StructTypes, primary_type: str, domain: Mapping[str, Any], message: Mapping[str, Any]
    ) -> None:
        types.check_primary(primary_type)
        _set(self, "types", types)
        _set(self, "primary_type", primary_type)
        _set(self, "domain", struct_held_to_type(domain, DOMAIN, types, "domain"))
        _set(self, "message", struct_held_to_type(message, primary_type, types, "message"))

    @classmethod
    def of(
        cls,
        types: Mapping[str, Sequence[tuple[str, str]]],
        primary_type: str,
        domain: Mapping[str, Any],
        message: Mapping[str, Any],
    ) -> Self:
        """From a program's own values; ``types`` are pairs of name and type, ``{"Person": [("name", "string")]}``."""
        return cls(StructTypes.of(types), primary_type, domain, message)

    @classmethod
    def from_json(cls, data: str | bytes) -> Self:
        """Parse the JSON of ``eth_signTypedData_v4``, at most 1 MB.

        Refused, naming the place: an extra, missing or doubled field, a type that is undefined, cyclic, unused or
        not canonical, a domain with other fields or another order, and every value that readers take in different
        ways: numbers with a fraction or an exponent, plain ones above 2^53-1, ``null``, text for bytes, ``bytesN`` of
        another length, an address with a wrong checksum (one in lower case has none and is taken).
        """
        members = read_json(data)
        types = read_types(members["types"])
        primary = members["primaryType"]
        types.check_primary(primary)
        domain = read_struct(members["domain"], DOMAIN, types, "domain")
        return cls(types, primary, domain, read_struct(members["message"], primary, types, "message"))

    def to_json(self) -> str:
        """The JSON of ``eth_signTypedData_v4``, every value in a form that all readers take the same way."""
        types = {
            struct: [{"name": field.name, "type": str(field.type)} for field in fields]
            for struct, fields in self.types.structs.items()
        }
        domain, message = written(self.domain), written(self.message)
        return json.dumps({"types": types, "primaryType": self.primary_type, "domain": domain, "message": message})

    @property
    def chain_id(self) -> int | None:
        """The chain the domain binds the signature to; ``None`` where it binds it to none."""
        found: int | None = self.domain.get("chainId")
        return found

    @property
    def verifying_contract(self) -> Address | None:
        """The contract the domain names."""
        found: Address | None = self.domain.get("verifyingContract")
        return found

    @property
    def domain_separator(self) -> bytes:
        """hashStruct of the domain, 32 bytes: what devices call the domain hash."""
        return hash_domain(self.domain, self.types)

    @property
    def message_hash(self) -> bytes:
        """hashStruct of the message, 32 bytes."""
        return hash_struct(self.primary_type, self.message, self.types)

    def digest(self) -> bytes:
        """The 32 bytes to sign: Keccak-256 of 0x19, 0x01 and the two hashes (EIP-191 version 0x01)."""
        domain = hash_domain(self.domain, self.types)
        return keccak256(b"\x19\x01" + domain + hash_struct(self.primary_type, self.message, self.types))

    def check_chain(self, chain_id: int, *, absent: bool = False) -> None:
        """Refuse a domain of another chain than ``chain_id``, and one of no chain unless ``absent`` accepts it.

        ``InvalidInputError`` (``input.typed-data.chain``).
        """
        found = self.chain_id
        if found is None and not absent:
            raise chain_error("it names no chain, so a signature would count on every one: accept that explicitly")
        if found is not None and found != chain_id:
            raise chain_error(f"it is for chain {found}, the account is on chain {chain_id}: use an account there")


def verify_typed_data(address: Address, typed: TypedData, signature_text: str) -> None:
    """Raise InvalidSignatureError unless the key of ``address`` signed ``typed``; returns nothing."""
    signer = recover_signer(typed.digest(), signature_text)
    if signer != address:
        raise InvalidSignatureError(f"the typed data was signed by {signer}, not by {address}")
