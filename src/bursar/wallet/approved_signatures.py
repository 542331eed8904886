"""Signatures that let others take something, without a transaction of the wallet: limits count them like payments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from bursar.policy.history import HistoryEntry
from bursar.wallet.review_json import asset_from_json, asset_to_json
from bursar.wallet.store.meta import read_meta, write_meta
from bursar.wallet.store.schema import journal, journal_head

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.policy.review import Review
    from bursar.wallet.context import Context

APPROVED: Final = "signature.approved"
_LAST: Final = "last_approved_signature"  # the journal line; each names the one before it
_KEPT: Final = int(timedelta(days=367).total_seconds())  # longer than any rolling window


def note_signature(
    context: Context, connection: Connection, review: Review, *, digest: str, policy: str, rule: str
) -> None:
    """Write down that the signature of ``digest`` was approved, and what it lets others take."""
    before = read_meta(connection, _LAST)
    spends = [{"asset": asset_to_json(one.asset), "to": one.to, "amount": str(one.amount)} for one in review.spending]
    context.note(
        connection,
        APPROVED,
        account=review.account,
        digest=digest,
        policy=policy,
        rule=rule,
        spends=spends,
        before=None if before is None else int(before),
    )
    write_meta(connection, _LAST, str(connection.execute(select(journal_head.c.sequence)).scalar_one()))


def signature_entries(connection: Connection, now: int, *, without: str | None = None) -> list[HistoryEntry]:
    """What approved signatures let others take, each digest once; ``without`` is the digest being decided."""
    found: list[HistoryEntry] = []
    seen = {without}
    last = read_meta(connection, _LAST)
    place = None if last is None else int(last)
    while place is not None:
        line = connection.execute(select(journal.c.time, journal.c.body).where(journal.c.sequence == place)).one()
        if line.time < now - _KEPT:
            break
        body = json.loads(line.body)
        if body["digest"] not in seen:
            seen.add(body["digest"])
            moment = datetime.fromtimestamp(line.time, UTC)
            found += [
                HistoryEntry(moment, asset_from_json(one["asset"]), one["to"], int(one["amount"]))
                for one in body["spends"]
            ]
        place = body["before"]
    return found
