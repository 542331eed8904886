"""A Safe by chain, address and version of its contract, which decides what its domain (EIP-712) says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.safe.words import safe_error, word

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION = re.compile(r"(0|[1-9][0-9]?)\.([0-9]|[1-9][0-9])\.([0-9]|[1-9][0-9])(?:\+[A-Za-z0-9]{1,16})?", re.ASCII)
_MEMBERS: Final = frozenset(("chain_id", "address", "version", "any_chain"))


@dataclass(frozen=True, slots=True, order=True)
class SafeVersion:
    """A version of the contract, as its ``VERSION`` says: ``1.4.1``; what follows a plus sign changes no hash."""

    major: int
    minor: int
    patch: int

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``1.3.0`` or ``1.4.1+L2``; versions this package has no rules for are refused."""
        found = _VERSION.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise safe_error(f"{text!r:.40} is no version of a Safe: it looks like 1.4.1")
        version = cls(*map(int, found.groups()))
        if not cls(0, 0, 2) <= version < cls(1, 6, 0):
            raise safe_error(f"Safe {version} is not known here: 0.0.2 to 1.5 are")
        return version

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


_CHAIN_IN_DOMAIN: Final = SafeVersion(1, 3, 0)
_BASE_GAS: Final = SafeVersion(1, 0, 0)
_PASSKEYS: Final = SafeVersion(1, 5, 0)


@dataclass(frozen=True, slots=True)
class Safe:
    """One Safe. Before 1.3.0 the contract leaves the chain out of what is signed: ``any_chain`` has to accept that.

    A signature for such a Safe counts on every chain where a Safe stands at the same address.
    """

    chain_id: int
    address: Address
    version: SafeVersion
    any_chain: bool = False

    def __post_init__(self) -> None:
        check_chain_id(self.chain_id)
        if not isinstance(self.address, Address) or self.address.is_zero:
            raise safe_error("a Safe is at an address other than zero")
        if not isinstance(self.version, SafeVersion) or type(self.any_chain) is not bool:
            raise safe_error("a Safe has a SafeVersion, and any_chain is True or False")
        if self.binds_chain and self.any_chain:
            raise safe_error(f"Safe {self.version} binds signatures to its chain: leave any_chain out")
        if not self.binds_chain and not self.any_chain:
            raise safe_error(
                f"signatures for Safe {self.version} name no chain and count on every one where a Safe has this "
                "address: upgrade it to 1.3.0 or later, or accept that with any_chain"
            )

    @property
    def binds_chain(self) -> bool:
        """Whether the domain names the chain (1.3.0 and later)."""
        return self.version >= _CHAIN_IN_DOMAIN

    @property
    def gas_field(self) -> str:
        """What the contract calls the gas paid beside the call: ``baseGas``, ``dataGas`` before 1.0.0."""
        return "baseGas" if self.version >= _BASE_GAS else "dataGas"

    @property
    def takes_passkeys(self) -> bool:
        """Whether owners may sign on the curve P-256 (1.5.0 and later)."""
        return self.version >= _PASSKEYS

    @property
    def domain_types(self) -> list[tuple[str, str]]:
        """The fields of the domain by name and type."""
        chain = [("chainId", "uint256")] if self.binds_chain else []
        return [*chain, ("verifyingContract", "address")]

    @property
    def domain(self) -> Mapping[str, Any]:
        """The values of the domain."""
        chain = {"chainId": self.chain_id} if self.binds_chain else {}
        return {**chain, "verifyingContract": self.address}

    @property
    def domain_separator(self) -> bytes:
        """What the contract answers to ``domainSeparator()``, 32 bytes."""
        kind = "EIP712Domain(" + ",".join(f"{kind} {name}" for name, kind in self.domain_types) + ")"
        chain = word(self.chain_id) if self.binds_chain else b""
        return keccak256(keccak256(kind.encode("ascii")) + chain + word(self.address))

    def to_json(self) -> dict[str, Any]:
        """This Safe as JSON data."""
        return {
            "chain_id": self.chain_id,
            "address": str(self.address),
            "version": str(self.version),
            "any_chain": self.any_chain,
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The Safe of :meth:`to_json`."""
        if not isinstance(data, dict) or set(data) != _MEMBERS or not isinstance(data["address"], str):
            raise safe_error(f"a stored Safe has exactly {', '.join(sorted(_MEMBERS))}")
        version = SafeVersion.from_text(data["version"])
        return cls(check_chain_id(data["chain_id"]), Address.from_text(data["address"]), version, data["any_chain"])
