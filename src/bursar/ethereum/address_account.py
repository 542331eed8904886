"""An account of one address: a key imported by itself, or an address that is only watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.keys.path import DerivationPath

_MEMBERS = frozenset(("version", "kind", "chain_id", "address"))


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.account")


@dataclass(frozen=True, slots=True)
class AddressAccount:
    """One address on one chain, with the members of ``EthereumAccount`` that make sense: its only index is 0.

    The path is ``m``, which a signer of a single key takes; whoever only watches has no signer.
    """

    chain_id: int
    only: Address

    def __post_init__(self) -> None:
        check_chain_id(self.chain_id)
        if not isinstance(self.only, Address) or self.only.is_zero:
            raise _invalid("an account is of an address other than zero")

    def path(self, index: int) -> DerivationPath:
        """``m``: the key itself."""
        self._check(index)
        return DerivationPath(())

    def address(self, index: int = 0) -> Address:
        """The address; there is none but index 0."""
        self._check(index)
        return self.only

    def addresses(self, start: int, count: int) -> list[str]:
        """Its EIP-55 text where the range holds index 0; no other."""
        return [str(self.only)] if start == 0 and count > 0 else []

    def _check(self, index: int) -> None:
        if type(index) is not int or index != 0:
            raise _invalid(f"this account has one address, at index 0, and none at {index!r}")

    def to_json(self) -> dict[str, Any]:
        """This account as JSON data."""
        return {"version": 1, "kind": "ethereum-address", "chain_id": self.chain_id, "address": str(self.only)}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The account of :meth:`to_json`."""
        if not isinstance(data, dict) or set(data) != _MEMBERS:
            raise _invalid(f"a stored account of one address has exactly {', '.join(sorted(_MEMBERS))}")
        if type(data["version"]) is not int or data["version"] != 1 or data["kind"] != "ethereum-address":
            raise _invalid("this is no account of one address of version 1")
        if not isinstance(data["address"], str):
            raise _invalid("the address of a stored account is a text")
        return cls(check_chain_id(data["chain_id"]), Address.from_text(data["address"]))
