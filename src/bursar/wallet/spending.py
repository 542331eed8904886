"""What policies see of the past: every payment that was approved and may have moved money, a fee bump counted once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bursar.policy.history import HistoryEntry
from bursar.wallet.records import TransferState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bursar.wallet.store.transfers import SpendRow

COUNTED = (
    TransferState.APPROVED,
    TransferState.SIGNED,
    TransferState.SENT,
    TransferState.CONFIRMED,
    TransferState.REPLACED,
)


def entries(rows: Sequence[SpendRow], *, settled: Collection[str], without: str | None = None) -> list[HistoryEntry]:
    """``rows`` are the payments of transfers in ``COUNTED`` states, oldest first; ``settled`` the intents one of whose
    transfers is in a block, so that the others no longer count; ``without`` is the intent being decided.

    Of an intent whose fate is open, each payee counts once, with the largest amount any of its transfers may pay.
    """
    sums: dict[tuple[str, str, str | None, str], SpendRow] = {}
    for row in rows:
        if row.root == without or (row.root in settled and row.state is not TransferState.CONFIRMED):
            continue
        one = (row.transfer_id, row.asset.network, row.asset.contract, row.payee)
        before = sums.get(one)
        sums[one] = row if before is None else replace(before, amount=before.amount + row.amount)
    found: dict[tuple[str, str, str | None, str], SpendRow] = {}
    for (_, network, contract, payee), row in sums.items():
        key = (row.root, network, contract, payee)
        known = found.get(key)
        if known is None or row.amount >= known.amount:
            found[key] = row
    return [
        HistoryEntry(
            time=datetime.fromtimestamp(row.time, UTC),
            asset=row.asset,
            to=row.payee,
            amount=row.amount,
            fee=row.fee,
        )
        for row in found.values()
    ]
