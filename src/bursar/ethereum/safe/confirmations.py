"""Owners' signatures of one transaction of a Safe as they come in, until there are enough to execute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

from bursar.ethereum.address import Address
from bursar.ethereum.safe.delegates import KNOWN_DELEGATES
from bursar.ethereum.safe.signatures import OwnerSignature, encode_signatures
from bursar.ethereum.safe.transaction import SafeTransaction
from bursar.ethereum.safe.words import safe_error

_MEMBERS: Final = frozenset(("version", "transaction", "owners", "threshold", "signatures"))


@dataclass(frozen=True, slots=True)
class Confirmations:
    """A transaction, the owners of its Safe, how many of them have to agree, and the signatures so far by owner."""

    transaction: SafeTransaction
    owners: frozenset[Address]
    threshold: int
    signatures: tuple[OwnerSignature, ...] = ()

    def __post_init__(self) -> None:
        if not self.owners or type(self.threshold) is not int or not 0 < self.threshold <= len(self.owners):
            raise safe_error(f"a Safe needs 1 to {len(self.owners)} of its owners, not {self.threshold!r}")
        digest = self.transaction.digest()
        for one in self.signatures:
            if one.owner not in self.owners:
                raise safe_error(f"{one.owner} is no owner of the Safe {self.transaction.safe.address}")
            one.check(digest)
        ordered = tuple(sorted(self.signatures, key=lambda one: one.owner.value))
        if len({one.owner for one in ordered}) != len(ordered):
            raise safe_error("two signatures are of the same owner: the Safe counts each owner once")
        object.__setattr__(self, "signatures", ordered)

    def add(self, signature: OwnerSignature) -> Self:
        """With ``signature``, in the place of an earlier one of the same owner."""
        others = tuple(one for one in self.signatures if one.owner != signature.owner)
        return type(self)(self.transaction, self.owners, self.threshold, (*others, signature))

    @property
    def missing(self) -> int:
        """How many owners still have to agree."""
        return max(self.threshold - len(self.signatures), 0)

    def execution(self, *, delegates: frozenset[Address] = KNOWN_DELEGATES) -> bytes:
        """Calldata for the Safe, once enough owners agreed; delegate calls are checked as before signing."""
        if self.missing:
            raise safe_error(f"{self.missing} more of the owners have to sign before the Safe executes this")
        return self.transaction.execution(encode_signatures(self.signatures), delegates=delegates)

    def to_json(self) -> dict[str, Any]:
        """These confirmations as JSON data, to be carried from owner to owner."""
        return {
            "version": 1,
            "transaction": self.transaction.to_json(),
            "owners": [str(one) for one in sorted(self.owners, key=lambda one: one.value)],
            "threshold": self.threshold,
            "signatures": [one.to_json() for one in self.signatures],
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The confirmations of :meth:`to_json`, every signature checked again."""
        if not isinstance(data, dict) or set(data) != _MEMBERS or type(data["version"]) is not int:
            raise safe_error(f"stored confirmations have exactly {', '.join(sorted(_MEMBERS))}")
        owners, signatures = data["owners"], data["signatures"]
        if data["version"] != 1 or not isinstance(owners, list) or not isinstance(signatures, list):
            raise safe_error("these are no stored confirmations of version 1")
        if not all(isinstance(one, str) for one in owners):
            raise safe_error("the owners of stored confirmations are texts")
        return cls(
            SafeTransaction.from_json(data["transaction"]),
            frozenset(Address.from_text(one) for one in owners),
            data["threshold"],
            tuple(OwnerSignature.from_json(one) for one in signatures),
        )
