"""What the wallet tells about nonces: who holds which, what is missing, what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bursar.wallet.records import TransferState


@dataclass(frozen=True, slots=True)
class HeldNonce:
    """A nonce and the transfer that stands for it: the newest variant of the intent that holds it."""

    nonce: int
    transfer_id: str
    state: TransferState
    txid: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "nonce": self.nonce,
            "transfer_id": self.transfer_id,
            "state": self.state.value,
            "txid": self.txid,
        }


@dataclass(frozen=True, slots=True)
class NonceGap:
    """A nonce below one that was sent, which no transaction is going to use.

    ``reason`` is ``free`` (nobody holds it), ``unsigned``, ``unsent`` (signed, and no node took it) or ``dropped``
    (sent once, and the node has forgotten it).
    """

    nonce: int
    reason: str
    transfer_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"nonce": self.nonce, "reason": self.reason, "transfer_id": self.transfer_id}


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """The nonces of one sender. ``mined`` and ``pending`` are the node's counts, where one was asked.

    ``floor`` is the highest count ever believed, ``next`` what the next plan gets, ``held`` what is bound from there
    on where the chain has come to, ``alarm`` what is wrong, in words.
    """

    sender: str
    next: int
    floor: int | None
    mined: int | None
    pending: int | None
    held: tuple[HeldNonce, ...]
    gaps: tuple[NonceGap, ...]
    alarm: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "nonces",
            "version": 1,
            "sender": self.sender,
            "next": self.next,
            "floor": self.floor,
            "mined": self.mined,
            "pending": self.pending,
            "held": [one.to_json() for one in self.held],
            "gaps": [one.to_json() for one in self.gaps],
            "alarm": self.alarm,
        }
