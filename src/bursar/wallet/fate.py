"""What becomes of a transfer once the chain has spoken: states re-evaluated from facts, reorganisations included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.wallet.records import TransferState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bursar.chain.protocols import BlockRef
    from bursar.wallet.store.transfers import TransferRow

BURIED = 6  # confirmations after which what a transfer held beside its own inputs is free again
WATCHED = 12  # confirmations until which a settled transfer's fate is asked again at every sync

_OPEN = (TransferState.PLANNED, TransferState.APPROVED)
_ASKED = (TransferState.SIGNED, TransferState.SENT, TransferState.SUPERSEDED)
_ENDED = (TransferState.DENIED, TransferState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Fate:
    """One transaction as the node sees it; ``block`` is ``None`` in the mempool."""

    block: BlockRef | None
    succeeded: bool = True
    fee: int | None = None  # what was really paid, where the chain tells


@dataclass(frozen=True, slots=True)
class Settled:
    """Where one transfer stands after all."""

    state: TransferState
    block: BlockRef | None = None
    fee: int | None = None
    reason: str | None = None


def settle(
    variants: Sequence[TransferRow],
    fates: Mapping[str, Fate],
    *,
    superseded: Collection[str] = (),
    ended: TransferState = TransferState.FAILED,
) -> dict[str, Settled]:
    """The new standing of every transfer of one intent, by id, for those that change.

    ``variants`` is the intent and its bumps, oldest first. ``fates`` holds the transactions the node knows, by txid;
    ``superseded`` the txids that can never be mined, because something foreign spent their coin or nonce, which
    ``ended`` them.
    """
    signed = [row for row in variants if row.raw is not None and row.txid is not None]
    result: dict[str, Settled] = {}
    mined = [row for row in signed if (fate := fates.get(row.txid or "")) is not None and fate.block is not None]
    if mined:
        winner = mined[0]
        fate = fates[winner.txid or ""]
        state, reason = (TransferState.CONFIRMED, None) if fate.succeeded else (TransferState.FAILED, "reverted")
        result[winner.id] = Settled(state, fate.block, fate.fee, reason)
        for row in variants:
            if row in signed and row is not winner:
                result[row.id] = Settled(TransferState.REPLACED)
            elif row.state in _OPEN:
                result[row.id] = Settled(TransferState.CANCELLED, reason="the transfer it would replace is in a block")
    else:
        result.update(_unmined(signed, fates, superseded, ended))
    return {row.id: result[row.id] for row in variants if row.id in result and _differs(row, result[row.id])}


def _unmined(
    signed: Sequence[TransferRow], fates: Mapping[str, Fate], superseded: Collection[str], ended: TransferState
) -> dict[str, Settled]:
    if not any(row.txid in fates for row in signed) and any(row.state is TransferState.SUPERSEDED for row in signed):
        return {}  # nothing but a transaction that is there again undoes this: a count that falls does not
    sent = [row for row in signed if row.state is not TransferState.SIGNED or row.txid in fates]
    if not sent:
        if signed and all(row.txid in superseded for row in signed):
            return {row.id: Settled(ended, reason="superseded") for row in signed}
        return {}
    if all(row.txid in superseded for row in signed):
        return {row.id: Settled(ended, reason="superseded") for row in signed}
    # The newest, whichever of them a node still has: a payment that one forgot to replace must not come back.
    current = sent[-1]
    return {row.id: Settled(TransferState.SENT if row is current else TransferState.REPLACED) for row in sent}


def _differs(row: TransferRow, settled: Settled) -> bool:
    block = settled.block
    height, block_hash = (None, None) if block is None else (block.height, block.hash)
    return row.state is not settled.state or row.height != height or row.block_hash != block_hash


def wants_fate(variants: Sequence[TransferRow], *, tip_height: int | None, reorged: int | None = None) -> bool:
    """Whether the node must be asked about this intent: it is open, freshly settled, or its block was replaced."""
    if not any(row.raw is not None for row in variants):
        return False
    heights = [row.height for row in variants if row.height is not None]
    if not heights:
        return any(row.state in _ASKED for row in variants)
    if reorged is not None and max(heights) >= reorged:
        return True
    return tip_height is None or tip_height - max(heights) + 1 < WATCHED
