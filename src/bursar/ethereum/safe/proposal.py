"""A Safe's transaction on its way from owner to owner: the proposal in one file, an owner's answer in another."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.json_object import read_object
from bursar.ethereum.safe.confirmations import Confirmations
from bursar.ethereum.safe.signatures import OwnerSignature
from bursar.ethereum.safe.words import safe_error

if TYPE_CHECKING:
    from bursar.ethereum.safe.transaction import SafeTransaction

PROPOSAL: Final = "bursar-safe-proposal"
CONFIRMATION: Final = "bursar-safe-confirmation"
LONGEST_NOTE: Final = 500
_PROPOSAL_MEMBERS: Final = frozenset(
    ("format", "version", "note", "hashes", "transaction", "owners", "threshold", "signatures")
)
_CONFIRMATION_MEMBERS: Final = frozenset(("format", "version", "safe_tx_hash", "signature"))


@dataclass(frozen=True, slots=True)
class SafeHashes:
    """The three hashes of a Safe's transaction, 32 bytes each: what devices, other owners and the chain show."""

    domain: bytes
    message: bytes
    safe_tx: bytes

    @classmethod
    def of(cls, transaction: SafeTransaction) -> Self:
        """Computed from the transaction itself."""
        return cls(transaction.safe.domain_separator, transaction.message_hash, transaction.digest())

    def to_json(self) -> dict[str, str]:
        """As hexadecimal text by name."""
        return {name: f"0x{getattr(self, name).hex()}" for name in self.__slots__}

    def compare(self, claimed: dict[str, str], *, by: str) -> None:
        """``input.safe.hash`` unless every hash ``claimed`` is the one computed here; upper and lower case are one."""
        for name, own in self.to_json().items():
            other = claimed.get(name)
            if other is not None and (not isinstance(other, str) or other.lower() != own):
                raise InvalidInputError(
                    f"the {_NAMES[name]} is {own}, {by} says {str(other)[:70]!r}: sign nothing, one of the two is of "
                    "another transaction",
                    code="input.safe.hash",
                )


_NAMES: Final = {"domain": "domain hash", "message": "message hash", "safe_tx": "safeTxHash"}


@dataclass(frozen=True, slots=True)
class OwnerConfirmation:
    """One owner's answer to a proposal, as it travels back by itself."""

    safe_tx_hash: bytes
    signature: OwnerSignature

    def __post_init__(self) -> None:
        if type(self.safe_tx_hash) is not bytes or len(self.safe_tx_hash) != 32:
            raise safe_error("a confirmation names the safeTxHash, 32 bytes")
        self.signature.check(self.safe_tx_hash)

    def to_text(self) -> str:
        """This confirmation as a file."""
        members = {"safe_tx_hash": f"0x{self.safe_tx_hash.hex()}", "signature": self.signature.to_json()}
        return _written({"format": CONFIRMATION, "version": 1, **members})


@dataclass(frozen=True, slots=True)
class Proposal:
    """A transaction with its owners' confirmations so far, and a note that nobody signs."""

    confirmations: Confirmations
    note: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.confirmations, Confirmations) or not isinstance(self.note, str):
            raise safe_error("a proposal has Confirmations and a note")
        if len(self.note) > LONGEST_NOTE:
            raise safe_error(f"the note of a proposal has at most {LONGEST_NOTE} characters")

    @property
    def transaction(self) -> SafeTransaction:
        """What the owners are asked to sign."""
        return self.confirmations.transaction

    @property
    def hashes(self) -> SafeHashes:
        """Computed anew, never read from a file."""
        return SafeHashes.of(self.transaction)

    def add(self, signature: OwnerSignature) -> Self:
        """With one more owner's signature, or another of the same owner."""
        return replace(self, confirmations=self.confirmations.add(signature))

    def merged(self, other: Self | OwnerConfirmation) -> Self:
        """With the signatures of another copy of the same transaction, or with a single owner's answer to it."""
        own = self.transaction.digest()
        given: tuple[OwnerSignature, ...]
        if isinstance(other, OwnerConfirmation):
            found, given = other.safe_tx_hash, (other.signature,)
        else:
            found, given = other.transaction.digest(), other.confirmations.signatures
        if found != own:
            raise InvalidInputError(
                f"the signature is of the transaction 0x{found.hex()}, this proposal is 0x{own.hex()}",
                code="input.safe.hash",
            )
        held = {one.owner: one for one in self.confirmations.signatures}
        made = self
        for one in given:
            if one.owner not in held or (one.proves_itself and not held[one.owner].proves_itself):
                made = made.add(one)
        return made

    def to_text(self) -> str:
        """This proposal as a file."""
        members = {**self.confirmations.to_json(), "note": self.note, "hashes": self.hashes.to_json()}
        return _written({"format": PROPOSAL, **members})


def read_proposal(raw: bytes) -> Proposal | OwnerConfirmation:
    """What :meth:`Proposal.to_text` or :meth:`OwnerConfirmation.to_text` wrote.

    At most 1 MB; every signature is checked and every hash computed anew and compared with the one in the file
    (``input.safe.hash``); anything else that is wrong is ``input.safe``.
    """
    data = read_object(raw, name="the file", code="input.safe")
    found, version = data.get("format"), data.get("version")
    if found not in (PROPOSAL, CONFIRMATION) or type(version) is not int or version != 1:
        raise safe_error("the file is neither a Safe's proposal nor an owner's confirmation of version 1")
    return _proposal(data) if found == PROPOSAL else _confirmation(data)


def _proposal(data: dict[str, Any]) -> Proposal:
    _exactly(data, _PROPOSAL_MEMBERS)
    hashes, note = data.pop("hashes"), data.pop("note")
    del data["format"]
    made = Proposal(Confirmations.from_json(data), note)
    if not isinstance(hashes, dict) or set(hashes) != set(_NAMES):
        raise safe_error(f"the hashes of a proposal are {', '.join(_NAMES)}")
    made.hashes.compare(hashes, by="the file")
    return made


def _confirmation(data: dict[str, Any]) -> OwnerConfirmation:
    _exactly(data, _CONFIRMATION_MEMBERS)
    text = data["safe_tx_hash"]
    return OwnerConfirmation(read_hash(text), OwnerSignature.from_json(data["signature"]))


def read_hash(text: object) -> bytes:
    """32 bytes from ``0x`` and 64 hexadecimal digits."""
    if isinstance(text, str) and len(text) == 66 and text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raise safe_error("a hash is 0x and 64 hexadecimal digits")


def _exactly(data: dict[str, Any], members: frozenset[str]) -> None:
    if set(data) != members:
        raise safe_error(f"the file has exactly {', '.join(sorted(members))}")


def _written(members: dict[str, Any]) -> str:
    return json.dumps(members, indent=2) + "\n"
