"""Approval: the policy's answer and the history it was given, in one transaction, so that limits cannot be raced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import func, select

from bursar.errors import ConflictError, InvalidInputError, PolicyDeniedError
from bursar.policy.history import History
from bursar.policy.protocols import Policy
from bursar.policy.verdict import Allow, Deny, require_allowed
from bursar.wallet.approved_signatures import note_signature, signature_entries
from bursar.wallet.plan import ApprovedPlan, Plan
from bursar.wallet.records import TransferState
from bursar.wallet.reserving import release, require_transfer
from bursar.wallet.spending import COUNTED, entries
from bursar.wallet.store.meta import read_meta, write_meta
from bursar.wallet.store.schema import journal
from bursar.wallet.store.transfers import change_transfer, settled_roots, spend_rows, stored_plan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.policy.review import Review
    from bursar.wallet.context import Context
    from bursar.wallet.store.transfers import TransferRow

POLICY_IN_FORCE = "policy_digest"
_OPEN = (TransferState.PLANNED, TransferState.APPROVED)


class DigestedPolicy(Policy, Protocol):
    """A policy with an identity: ``digest()`` changes whenever a rule does (``RulePolicy`` is one)."""

    def digest(self) -> str: ...


def approve(context: Context, plan: Plan, policy: DigestedPolicy, now: datetime | None) -> ApprovedPlan:
    """See ``Wallet.approve``."""
    policy_digest = policy.digest()
    denied: PolicyDeniedError | None = None
    with context.store.write() as connection:
        row = require_plan(connection, plan)
        if row.state is TransferState.DENIED:
            approval = row.approval or {}
            raise PolicyDeniedError(
                f"transfer {row.id} was refused: {row.reason}",
                rule=str(approval.get("rule", "")),
                reason=str(row.reason),
            )
        if row.state not in _OPEN:
            if row.approval is not None and row.raw is not None:
                return _approved(plan, row.approval)
            raise ConflictError(f"transfer {row.id} is {row.state}: plan a new one")
        _take_policy(context, connection, policy_digest)
        if row.approval is not None and row.approval["policy"] == policy_digest:
            return _approved(plan, row.approval)
        moment = ledger_time(connection, context.now() if now is None else _seconds(now))
        verdict = policy.decide(plan.review, _history(connection, moment, without=row.root))
        if isinstance(verdict, Allow):
            approval = {"policy": policy_digest, "rule": verdict.rule, "time": moment}
            change_transfer(
                connection, row.id, expect=_OPEN, state=TransferState.APPROVED, approval=approval, approved=moment
            )
            context.note(connection, "transfer.approved", id=row.id, plan=row.plan_digest, **approval)
        elif isinstance(verdict, Deny):
            denied = _deny(context, connection, row, policy_digest, verdict)
        else:
            # Parked on purpose from now on: a restart does not release it.
            change_transfer(connection, row.id, expect=_OPEN, reason=verdict.reason)
            if row.reason != verdict.reason:
                context.note(connection, "transfer.pending", id=row.id, rule=verdict.rule, need=verdict.need)
    context.passed("approve.recorded")
    if denied is not None:
        raise denied
    require_allowed(verdict)
    return _approved(plan, approval)


def approve_signature(
    context: Context, review: Review, policy: DigestedPolicy, digest: bytes, now: datetime | None
) -> None:
    """See ``Wallet.approve_signature``."""
    policy_digest = policy.digest()
    with context.store.write() as connection:
        _take_policy(context, connection, policy_digest)
        moment = ledger_time(connection, context.now() if now is None else _seconds(now))
        verdict = policy.decide(review, _history(connection, moment, without=None, signature=digest.hex()))
        if isinstance(verdict, Allow):
            note_signature(context, connection, review, digest=digest.hex(), policy=policy_digest, rule=verdict.rule)
    require_allowed(verdict)


def require_plan(connection: Connection, plan: Plan) -> TransferRow:
    """The plan's row, when the plan is byte for byte the one stored; ``ConflictError`` otherwise."""
    row = require_transfer(connection, plan.id)
    if plan.digest() != row.plan_digest:
        raise ConflictError(
            f"this plan of transfer {row.id} is not the one that was stored: plan again", code="conflict.plan"
        )
    return row


def policy_history(context: Context, now: datetime | None, signature: bytes | None) -> History:
    """See ``Wallet.policy_history``."""
    with context.store.read() as connection:
        moment = ledger_time(connection, context.now() if now is None else _seconds(now))
        return _history(connection, moment, without=None, signature=None if signature is None else signature.hex())


def ledger_time(connection: Connection, now: int) -> int:
    """Never earlier than the journal: a clock set back frees no limit."""
    last = connection.execute(select(func.max(journal.c.time))).scalar()
    return max(now, last or 0)


def _history(connection: Connection, now: int, *, without: str | None, signature: str | None = None) -> History:
    paid = entries(spend_rows(connection, states=COUNTED), settled=settled_roots(connection), without=without)
    signed = signature_entries(connection, now, without=signature)
    return History(datetime.fromtimestamp(now, UTC), [*paid, *signed])


def _deny(
    context: Context, connection: Connection, row: TransferRow, policy_digest: str, verdict: Deny
) -> PolicyDeniedError:
    approval = {"policy": policy_digest, "rule": verdict.rule}
    if row.signing:
        # A signature may exist: what it could spend stays reserved, only the approval is gone.
        change_transfer(connection, row.id, expect=_OPEN, approval=None)
    else:
        change_transfer(
            connection,
            row.id,
            expect=_OPEN,
            state=TransferState.DENIED,
            approval=approval,
            approved=None,
            reason=verdict.reason,
        )
        release(connection, row)
    context.note(connection, "transfer.denied", id=row.id, plan=row.plan_digest, reason=verdict.reason, **approval)
    try:
        require_allowed(verdict)
    except PolicyDeniedError as error:
        return error
    raise AssertionError("a refusal that does not refuse")


def _take_policy(context: Context, connection: Connection, policy_digest: str) -> None:
    before = read_meta(connection, POLICY_IN_FORCE)
    if before != policy_digest:
        write_meta(connection, POLICY_IN_FORCE, policy_digest)
        context.note(connection, "policy.changed", before=before, after=policy_digest)


def _approved(plan: Plan, approval: dict[str, Any]) -> ApprovedPlan:
    return ApprovedPlan(
        plan=plan,
        plan_digest=plan.digest(),
        policy_digest=approval["policy"],
        rule=approval["rule"],
        approved=approval["time"],
    )


def approval_of(row: TransferRow) -> ApprovedPlan | None:
    """The approval a row holds, if the transfer was not refused."""
    if row.approval is None or "time" not in row.approval:
        return None
    return _approved(stored_plan(row), row.approval)


def _seconds(now: datetime) -> int:
    if now.tzinfo is None:
        raise InvalidInputError("a moment needs a time zone")
    return int(now.timestamp())
