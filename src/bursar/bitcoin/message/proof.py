"""The two virtual transactions of a message proof, and what its verification tells (BIP-322, version 2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import tagged_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING: Final = TxOut(Sats(0), b"\x6a")
"""The only output of what is signed: nobody can spend it."""


class MessageFormat(Enum):
    """How a proof is written; the value is its prefix."""

    LEGACY = ""
    SIMPLE = "smp"
    FULL = "ful"
    FUNDS = "pof"


@dataclass(frozen=True, slots=True)
class MessageProof:
    """A proof that was verified: it holds at lock time ``locktime`` and at age ``sequence``, both 0 for any time.

    ``coins`` are what a proof of funds claims besides the address; only if ``coins_checked`` were they held against
    coins that the verifier knows, and never does a proof say that they are all.
    """

    format: MessageFormat
    locktime: int = 0
    sequence: int = 0
    coins: tuple[tuple[OutPoint, TxOut], ...] = ()
    coins_checked: bool = False


def proof_hash(message: bytes) -> bytes:
    """What commits to the message: 32 bytes."""
    return tagged_hash("BIP0322-signed-message", message)


def to_spend(script: bytes, message: bytes) -> Transaction:
    """The transaction that pays nothing to ``script`` and that no chain can hold."""
    spending = TxIn(OutPoint(Txid(bytes(32)), 0xFFFFFFFF), b"\x00\x20" + proof_hash(message), 0)
    return Transaction(0, [spending], [TxOut(Sats(0), script)])


def to_sign(
    script: bytes,
    message: bytes,
    *,
    version: int = 0,
    locktime: int = 0,
    sequence: int = 0,
    more: Sequence[TxIn] = (),
) -> Transaction:
    """The transaction that spends it, not yet signed; ``more`` are the inputs of a proof of funds."""
    first = TxIn(OutPoint(to_spend(script, message).txid, 0), b"", sequence)
    return Transaction(version, [first, *more], [NOTHING], locktime)
