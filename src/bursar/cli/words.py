"""Amounts, times and states in words a clerk reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bursar.policy.render import amount_text
from bursar.wallet.records import TransferState

if TYPE_CHECKING:
    from bursar.policy.review import Asset
    from bursar.wallet.records import TransferRecord


def signed_amount(value: int, asset: Asset) -> str:
    """With its sign: ``+0.5 BTC``, ``-12 USDC``."""
    return f"{'+' if value > 0 else ''}{amount_text(value, asset)}"


def moment(seconds: int) -> str:
    """Unix seconds as ``2026-11-22 03:10``, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def depth(height: int | None, confirmations: int) -> str:
    """Where a transaction stands: waiting, or its block and how many confirm it."""
    if height is None:
        return "waiting for a block"
    return f"block {height}, {confirmations} confirmation{'' if confirmations == 1 else 's'}"


def fate(record: TransferRecord) -> str:
    """One line about a transfer."""
    reason = f" ({record.reason})" if record.reason else ""
    if record.state in (TransferState.SENT, TransferState.CONFIRMED):
        return f"{record.state}, {depth(record.height, record.confirmations)}"
    return f"{record.state}{reason}"
