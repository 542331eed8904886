"""Signatures of a Safe's owners as its contract takes them: 65 bytes each, owners ascending, longer ones behind."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Self

from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe.words import safe_error, word

_SIZE: Final = 65
MOST_SIGNATURES: Final = 100
MOST_BYTES: Final = 100_000
_MEMBERS: Final = frozenset(("kind", "owner", "body"))


class SignatureKind(Enum):
    """How an owner agreed; the value is the name in stored data."""

    TYPED = "typed"  # an ECDSA signature of the safeTxHash
    PERSONAL = "personal"  # one of the safeTxHash as a personal message, for wallets that sign nothing else
    APPROVED = "approved"  # by a transaction of the owner, or because the owner sends the execution itself
    CONTRACT = "contract"  # the owner is a contract that judges what is given (EIP-1271)


@dataclass(frozen=True, slots=True)
class OwnerSignature:
    """One owner's agreement. ``body`` is r, s and v of an ECDSA signature, or what the owner's contract wants to see.

    The ECDSA kinds are made by :meth:`typed` and :meth:`personal`, which find the owner in the signature itself. Of the
    others the owner is only claimed: the chain knows whether it is true.
    """

    kind: SignatureKind
    owner: Address
    body: bytes = b""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, SignatureKind) or not isinstance(self.owner, Address):
            raise safe_error("an owner's signature has a SignatureKind and an Address")
        if self.owner.is_zero:
            raise safe_error("the zero address owns no Safe")
        if type(self.body) is not bytes or len(self.body) > MOST_BYTES:
            raise safe_error(f"the body of an owner's signature is bytes, at most {MOST_BYTES}")
        if self.proves_itself:
            marks = (27, 28) if self.kind is SignatureKind.TYPED else (31, 32)
            if len(self.body) != _SIZE or self.body[64] not in marks:
                raise safe_error("an owner's ECDSA signature is r, s and v, 65 bytes")
        elif self.kind is SignatureKind.APPROVED and self.body:
            raise safe_error("an approval on chain has no bytes of its own")

    @property
    def proves_itself(self) -> bool:
        """Whether the signature itself shows that the owner made it, without a look at the chain."""
        return self.kind in (SignatureKind.TYPED, SignatureKind.PERSONAL)

    @classmethod
    def typed(cls, digest: bytes, signature: EcdsaSignature) -> Self:
        """From a signature of the typed data of a transaction or message; ``digest`` is its safeTxHash or digest."""
        return cls._recovered(SignatureKind.TYPED, digest, signature, 27)

    @classmethod
    def personal(cls, digest: bytes, signature: EcdsaSignature) -> Self:
        """From a signature of ``digest`` as a personal message (eth_sign); the contract knows it by v above 30."""
        return cls._recovered(SignatureKind.PERSONAL, digest, signature, 31)

    @classmethod
    def approved(cls, owner: Address) -> Self:
        """For an owner who approved the hash on chain, or who sends the execution itself."""
        return cls(SignatureKind.APPROVED, owner)

    @classmethod
    def contract(cls, owner: Address, signature: bytes) -> Self:
        """For an owner that is a contract, with what it wants to see (of a Safe: its owners' encoded signatures)."""
        return cls(SignatureKind.CONTRACT, owner, signature)

    @classmethod
    def _recovered(cls, kind: SignatureKind, digest: bytes, signature: EcdsaSignature, first: int) -> Self:
        if not signature.low_s or signature.y_parity is None:
            raise InvalidSignatureError("an owner's signature has a low s and carries its parity")
        hashed = digest if kind is SignatureKind.TYPED else personal_digest(digest)
        owner = Address.from_public_key(ecdsa_recover(hashed, signature))
        return cls(kind, owner, signature.compact() + bytes((first + signature.y_parity,)))

    def check(self, digest: bytes) -> None:
        """``InvalidSignatureError`` unless the owner made it for ``digest``; of claimed kinds nothing is known."""
        if not self.proves_itself:
            return
        make = OwnerSignature.typed if self.kind is SignatureKind.TYPED else OwnerSignature.personal
        first = 27 if self.kind is SignatureKind.TYPED else 31
        found = make(digest, EcdsaSignature.from_compact(self.body[:64], y_parity=self.body[64] - first))
        if found.owner != self.owner:
            raise InvalidSignatureError(f"the signature is not one by {self.owner} of this transaction")

    def to_json(self) -> dict[str, Any]:
        """This signature as JSON data."""
        return {"kind": self.kind.value, "owner": str(self.owner), "body": "0x" + self.body.hex()}

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The signature of :meth:`to_json`."""
        if (
            not isinstance(data, dict)
            or set(data) != _MEMBERS
            or not all(isinstance(one, str) for one in data.values())
        ):
            raise safe_error("a stored owner's signature has a kind, an owner and a body, each a text")
        try:
            return cls(SignatureKind(data["kind"]), Address.from_text(data["owner"]), bytes.fromhex(data["body"][2:]))
        except InvalidInputError:
            raise
        except ValueError as error:
            raise safe_error(
                "a stored owner's signature has an unknown kind or a body that is not hexadecimal"
            ) from error


def encode_signatures(signatures: Iterable[OwnerSignature]) -> bytes:
    """The bytes for the contract, sorted as it demands; two of one owner are refused."""
    ordered = sorted(signatures, key=lambda one: one.owner.value)
    if len({one.owner for one in ordered}) != len(ordered):
        raise safe_error("two signatures are of the same owner: the Safe counts each owner once")
    if len(ordered) > MOST_SIGNATURES:
        raise safe_error(f"{len(ordered)} signatures are more than the {MOST_SIGNATURES} that are sent")
    fixed, behind = b"", b""
    for one in ordered:
        if one.proves_itself:
            fixed += one.body
        elif one.kind is SignatureKind.APPROVED:
            fixed += word(one.owner) + bytes(32) + b"\x01"
        else:
            fixed += word(one.owner) + word(_SIZE * len(ordered) + len(behind)) + b"\x00"
            behind += word(len(one.body)) + one.body
    return fixed + behind


def decode_signatures(data: bytes, digest: bytes) -> tuple[OwnerSignature, ...]:
    """The owners' signatures of ``digest`` in the bytes of an execution, each ECDSA one checked against its owner.

    Only what the contract would accept, and one form of it: owners ascending, longer signatures behind one another in
    the same order and nothing else. Passkeys (v 2, Safe 1.5.0) are ``input.safe``: they are not supported here.
    """
    if len(data) > MOST_BYTES:
        raise safe_error(f"{len(data)} bytes of signatures, at most {MOST_BYTES} are read")
    found: list[OwnerSignature] = []
    count = _count(data)
    behind = count * _SIZE
    for place in range(0, count * _SIZE, _SIZE):
        one = data[place : place + _SIZE]
        mark = one[64]
        if mark == 0:
            owner, start = _owner(one[:32]), int.from_bytes(one[32:64], "big")
            size = int.from_bytes(data[behind : behind + 32], "big")
            if start != behind or len(data) < behind + 32 or size > len(data) - behind - 32:
                raise safe_error("a contract's signature is not where it should be")
            found.append(OwnerSignature.contract(owner, data[behind + 32 : behind + 32 + size]))
            behind += 32 + size
        elif mark == 1:
            found.append(OwnerSignature.approved(_owner(one[:32])))
        elif mark in (27, 28):
            found.append(OwnerSignature.typed(digest, EcdsaSignature.from_compact(one[:64], y_parity=mark - 27)))
        elif mark in (31, 32):
            found.append(OwnerSignature.personal(digest, EcdsaSignature.from_compact(one[:64], y_parity=mark - 31)))
        else:
            raise safe_error(f"a signature with v {mark} is not supported: 0, 1, 27, 28, 31 and 32 are")
    owners = [one.owner.value for one in found]
    if behind != len(data) or any(first >= second for first, second in itertools.pairwise(owners)):
        raise safe_error("the signatures are not in ascending order of their owners, or bytes follow them")
    return tuple(found)


def _count(data: bytes) -> int:
    """How many fixed parts there are: up to where the first contract's signature begins, or to the end."""
    for place in range(0, len(data), _SIZE):
        one = data[place : place + _SIZE]
        if len(one) != _SIZE:
            break
        if one[64] == 0:
            start = int.from_bytes(one[32:64], "big")
            if start % _SIZE or not place < start <= len(data):
                raise safe_error("a contract's signature is not where it should be")
            return start // _SIZE
    count, rest = divmod(len(data), _SIZE)
    if rest or not 0 < count <= MOST_SIGNATURES:
        raise safe_error(f"signatures are 65 bytes each, 1 to {MOST_SIGNATURES} of them")
    return count


def _owner(found: bytes) -> Address:
    if any(found[:12]):
        raise safe_error("an owner in the signatures is no address")
    return Address(found[12:])
