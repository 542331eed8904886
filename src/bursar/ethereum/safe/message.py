"""Messages a Safe signs as a contract (EIP-1271): what its owners sign, through its fallback handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe.contract import Safe
from bursar.ethereum.safe.words import safe_error
from bursar.ethereum.typed_data import TypedData

MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class SafeMessage:
    """``message`` is what the contract is asked about: the 32-byte digest of a message or of typed data, or, by the
    older call ``isValidSignature(bytes,bytes)``, bytes of any length.
    """

    safe: Safe
    message: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.safe, Safe) or type(self.message) is not bytes:
            raise safe_error("the message of a Safe has a Safe and bytes")
        if len(self.message) > MOST_BYTES:
            raise safe_error(f"the message of a Safe has at most {MOST_BYTES} bytes")

    @classmethod
    def of_personal(cls, safe: Safe, message: bytes) -> Self:
        """For a personal message (EIP-191 version 0x45) in the name of the Safe."""
        return cls(safe, personal_digest(message))

    @classmethod
    def of_typed_data(cls, safe: Safe, typed: TypedData) -> Self:
        """For typed data in the name of the Safe; it must be for the Safe's chain."""
        typed.check_chain(safe.chain_id)
        return cls(safe, typed.digest())

    def typed_data(self) -> TypedData:
        """What each owner signs."""
        types = {"EIP712Domain": self.safe.domain_types, "SafeMessage": [("message", "bytes")]}
        return TypedData.of(types, "SafeMessage", self.safe.domain, {"message": self.message})

    def digest(self) -> bytes:
        """The 32 bytes the owners sign: what the handler answers to ``getMessageHashForSafe``."""
        return self.typed_data().digest()
