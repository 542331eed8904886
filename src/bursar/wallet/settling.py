"""Writes what the chain decided about transfers, and frees what they no longer need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.wallet.fate import BURIED, settle
from bursar.wallet.records import TransferState
from bursar.wallet.store.blobs import drop_settled
from bursar.wallet.store.reservations import OutPointKey, release_coins, release_transfer
from bursar.wallet.store.transfers import TransferRow, change_transfer, transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from bursar.wallet.context import Context
    from bursar.wallet.fate import Fate, Settled


def by_root(rows: Sequence[TransferRow]) -> dict[str, list[TransferRow]]:
    """Transfers grouped by intent, oldest first."""
    groups: dict[str, list[TransferRow]] = {}
    for row in rows:
        groups.setdefault(row.root, []).append(row)
    return groups


def apply_fates(
    context: Context,
    connection: Connection,
    account_id: int,
    fates: Mapping[str, Fate],
    *,
    asked: Collection[str],
    superseded: Collection[str],
    tip_height: int,
    inputs: Callable[[bytes], list[OutPointKey]] | None,
) -> tuple[str, ...]:
    """Re-evaluate the intents whose roots are in ``asked``; the ids of transfers that moved.

    ``inputs`` gives the coins a raw transaction spends (Bitcoin only).
    """
    changed: list[str] = []
    for root, variants in by_root(transfer_rows(connection, account_id=account_id)).items():
        if root not in asked:
            continue
        # A coin that is gone makes a transaction impossible; a nonce that is used makes it one that must not be resent.
        ended = TransferState.SUPERSEDED if inputs is None else TransferState.FAILED
        settled = settle(variants, fates, superseded=superseded, ended=ended)
        for row in variants:
            if row.id in settled:
                _store(context, connection, row, settled[row.id])
                changed.append(row.id)
        if inputs is not None:
            _free_losers(connection, transfer_rows(connection, root=root), tip_height, inputs)
    if inputs is None:
        drop_settled(connection, account_id, tip_height)
    return tuple(changed)


def _store(context: Context, connection: Connection, row: TransferRow, settled: Settled) -> None:
    block = settled.block
    values: dict[str, object] = {
        "state": settled.state,
        "height": None if block is None else block.height,
        "block_hash": None if block is None else block.hash,
        "block_time": None if block is None else block.time,
        "reason": settled.reason,
    }
    if settled.fee is not None:
        values["fee"] = str(settled.fee)
    change_transfer(connection, row.id, expect=[row.state], **values)
    if settled.state is TransferState.CANCELLED:
        release_transfer(connection, row.id)
    kind = f"transfer.{settled.state.value}"
    if settled.state is TransferState.SENT and row.height is not None:
        kind = "transfer.reorganised"
    context.note(
        connection,
        kind,
        id=row.id,
        txid=row.txid,
        height=values["height"],
        block=values["block_hash"],
        reason=settled.reason,
    )


def _free_losers(
    connection: Connection,
    variants: Sequence[TransferRow],
    tip_height: int,
    inputs: Callable[[bytes], list[OutPointKey]],
) -> None:
    for row in variants:
        mined = row.state is TransferState.CONFIRMED and row.height is not None
        if mined and row.raw is not None and tip_height - (row.height or 0) + 1 >= BURIED:
            release_coins(connection, row.root, keep=inputs(row.raw))
    signed = [row for row in variants if row.raw is not None]
    if signed and all(row.state is TransferState.FAILED for row in signed):
        release_coins(connection, signed[0].root)
