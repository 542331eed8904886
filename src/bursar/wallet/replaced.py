"""The signed transaction that a plan replaces, for signers that show what changes instead of a new payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.signing.replacements import original_of
from bursar.wallet.reserving import require_transfer
from bursar.wallet.store.transfers import stored_plan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.wallet.plan import Plan


def replaced_by(connection: Connection, plan: Plan) -> Psbt | None:
    """What ``plan`` replaces, as it was signed; ``None`` where it replaces nothing, or nothing signed here."""
    if plan.replaces is None or plan.psbt is None:
        return None
    row = require_transfer(connection, plan.replaces)
    before = stored_plan(row).psbt
    if row.raw is None or before is None:
        return None
    return original_of(Psbt.from_text(before), Transaction.parse(row.raw))
