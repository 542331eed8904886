"""Rows of transfers and of what each pays."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, insert, or_, select, update

from bursar.errors import ConflictError
from bursar.policy.review import Asset
from bursar.wallet.canonical import canonical_json
from bursar.wallet.plan import Plan
from bursar.wallet.records import TransferState
from bursar.wallet.store.accounts import MOST_IN
from bursar.wallet.store.schema import accounts, spends, transfers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Row

    from bursar.policy.review import Payment


@dataclass(frozen=True, slots=True)
class TransferRow:
    """A transfer as stored. ``signing`` is set from the moment a signer was asked: a signature may exist."""

    position: int
    id: str
    account_id: int
    root: str
    replaces: str | None
    state: TransferState
    idempotency_key: str | None
    body_digest: str
    plan: str
    plan_digest: str
    approval: dict[str, Any] | None
    approved: int | None
    signing: bool
    txid: str | None
    raw: bytes | None
    fee: int
    height: int | None
    block_hash: str | None
    block_time: int | None
    reason: str | None
    created: int


@dataclass(frozen=True, slots=True)
class SpendRow:
    """One payment of a transfer that may have moved money, for policies and warnings."""

    transfer_id: str
    root: str
    state: TransferState
    time: int
    asset: Asset
    payee: str
    amount: int
    fee: int


def stored_plan(row: TransferRow) -> Plan:
    """The plan a row holds."""
    return Plan.from_json(json.loads(row.plan))


def add_transfer(
    connection: Connection,
    plan: Plan,
    *,
    account_id: int,
    root: str,
    body_digest: str,
    plan_digest: str,
) -> None:
    connection.execute(
        insert(transfers).values(
            id=plan.id,
            account_id=account_id,
            root=root,
            replaces=plan.replaces,
            state=TransferState.PLANNED.value,
            idempotency_key=plan.transfer.idempotency_key,
            body_digest=body_digest,
            plan=canonical_json(plan.to_json()).decode("ascii"),
            plan_digest=plan_digest,
            signing=0,
            fee=str(plan.review.fee),
            created=plan.created,
        )
    )
    review = plan.review
    for position, payment in enumerate(review.spending):
        kind = "payment" if position < len(review.payments) else "allowance"
        connection.execute(insert(spends).values(transfer_id=plan.id, position=position, kind=kind, **_spend(payment)))


def find_transfer(connection: Connection, transfer_id: str) -> TransferRow | None:
    row = connection.execute(select(transfers).where(transfers.c.id == transfer_id)).one_or_none()
    return None if row is None else _row(row)


def find_idempotency_key(connection: Connection, key: str) -> TransferRow | None:
    row = connection.execute(select(transfers).where(transfers.c.idempotency_key == key)).one_or_none()
    return None if row is None else _row(row)


def transfer_rows(
    connection: Connection,
    *,
    account_id: int | None = None,
    root: str | None = None,
    states: Iterable[TransferState] = (),
) -> list[TransferRow]:
    """Transfers by age, narrowed by what is given."""
    query = select(transfers)
    if account_id is not None:
        query = query.where(transfers.c.account_id == account_id)
    if root is not None:
        query = query.where(transfers.c.root == root)
    wanted = [state.value for state in states]
    if wanted:
        query = query.where(transfers.c.state.in_(wanted))
    return [_row(row) for row in connection.execute(query.order_by(transfers.c.position))]


@dataclass(frozen=True, slots=True)
class OpenTransfer:
    """What is asked of many open transfers at once."""

    id: str
    root: str
    state: TransferState
    plan_digest: str


def open_transfers(connection: Connection, account_id: int, *, states: Iterable[TransferState]) -> list[OpenTransfer]:
    """The account's transfers in ``states`` by age, without their plans."""
    query = select(transfers.c.id, transfers.c.root, transfers.c.state, transfers.c.plan_digest).where(
        transfers.c.account_id == account_id, transfers.c.state.in_([state.value for state in states])
    )
    return [
        OpenTransfer(row.id, row.root, TransferState(row.state), row.plan_digest)
        for row in connection.execute(query.order_by(transfers.c.position))
    ]


def plan_texts(connection: Connection, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Digest and text of the plans of ``ids``."""
    for start in range(0, len(ids), MOST_IN):
        query = select(transfers.c.plan_digest, transfers.c.plan).where(
            transfers.c.id.in_(ids[start : start + MOST_IN])
        )
        for row in connection.execute(query):
            yield row.plan_digest, row.plan


def variants_of(connection: Connection, roots: Sequence[str]) -> list[TransferRow]:
    """All transfers of these intents, by age."""
    found: list[TransferRow] = []
    for start in range(0, len(roots), MOST_IN):
        query = select(transfers).where(transfers.c.root.in_(roots[start : start + MOST_IN]))
        found += [_row(row) for row in connection.execute(query)]
    return sorted(found, key=lambda row: row.position)


def change_transfer(
    connection: Connection, transfer_id: str, *, expect: Sequence[TransferState], **values: object
) -> None:
    """Update one transfer that still is in one of the states ``expect``; ``ConflictError`` when it moved on."""
    stored: dict[str, object] = {
        name: value.value if isinstance(value, TransferState) else value for name, value in values.items()
    }
    if isinstance(stored.get("approval"), dict):
        stored["approval"] = json.dumps(stored["approval"], sort_keys=True)
    where = and_(transfers.c.id == transfer_id, transfers.c.state.in_([state.value for state in expect]))
    if connection.execute(update(transfers).where(where).values(**stored)).rowcount != 1:
        found = connection.execute(select(transfers.c.state).where(transfers.c.id == transfer_id)).scalar()
        raise ConflictError(f"transfer {transfer_id} is {found or 'unknown'} by now")


def change_signing(connection: Connection, transfer_id: str, step: int) -> None:
    """Count the conversations with a signer that have begun and not ended in a refusal."""
    where = transfers.c.id == transfer_id
    connection.execute(update(transfers).where(where).values(signing=transfers.c.signing + step))


def spend_rows(connection: Connection, *, states: Iterable[TransferState]) -> list[SpendRow]:
    """Every payment of transfers in ``states``, oldest approval first; ``fee`` on each transfer's first payment."""
    wanted = [state.value for state in states]
    query = (
        select(spends, transfers.c.root, transfers.c.state, transfers.c.approved, transfers.c.created, transfers.c.fee)
        .join(transfers, spends.c.transfer_id == transfers.c.id)
        .where(transfers.c.state.in_(wanted))
        .order_by(transfers.c.position, spends.c.position)
    )
    return [
        SpendRow(
            transfer_id=row.transfer_id,
            root=row.root,
            state=TransferState(row.state),
            time=row.created if row.approved is None else row.approved,
            asset=Asset(row.chain, row.network, row.symbol, row.decimals, row.contract),
            payee=row.payee,
            amount=int(row.amount),
            fee=int(row.fee) if row.position == 0 else 0,
        )
        for row in connection.execute(query)
    ]


def settled_roots(connection: Connection) -> set[str]:
    """The intents one of whose transfers is in a block."""
    query = select(transfers.c.root).distinct().where(transfers.c.height.is_not(None))
    return set(connection.execute(query).scalars())


def paid_addresses(connection: Connection, network: str) -> set[str]:
    """Every address a transfer on ``network`` was signed for; who was only allowed to take something was not paid."""
    done = [state.value for state in TransferState if state.value in ("signed", "sent", "confirmed", "replaced")]
    query = (
        select(spends.c.payee)
        .distinct()
        .join(transfers, spends.c.transfer_id == transfers.c.id)
        .where(and_(spends.c.network == network, spends.c.kind == "payment", transfers.c.state.in_(done)))
    )
    return set(connection.execute(query).scalars())


def unfinished_rows(connection: Connection, *, chain: str, network: str) -> list[TransferRow]:
    """Transfers of one chain whose fate is open, oldest first."""
    open_states = ("planned", "approved", "signed", "sent")
    query = (
        select(transfers)
        .join(accounts, transfers.c.account_id == accounts.c.id)
        .where(and_(accounts.c.chain == chain, accounts.c.network == network))
        .where(or_(transfers.c.state.in_(open_states)))
        .order_by(transfers.c.position)
    )
    return [_row(row) for row in connection.execute(query)]


def _spend(payment: Payment) -> dict[str, object]:
    asset = payment.asset
    return {
        "chain": asset.chain,
        "network": asset.network,
        "symbol": asset.symbol,
        "decimals": asset.decimals,
        "contract": asset.contract,
        "payee": payment.to,
        "amount": str(payment.amount),
        "token_id": None if payment.token_id is None else str(payment.token_id),
    }


def _row(row: Row[tuple[object, ...]]) -> TransferRow:
    return TransferRow(
        position=row.position,
        id=row.id,
        account_id=row.account_id,
        root=row.root,
        replaces=row.replaces,
        state=TransferState(row.state),
        idempotency_key=row.idempotency_key,
        body_digest=row.body_digest,
        plan=row.plan,
        plan_digest=row.plan_digest,
        approval=None if row.approval is None else json.loads(row.approval),
        approved=row.approved,
        signing=bool(row.signing),
        txid=row.txid,
        raw=row.raw,
        fee=int(row.fee),
        height=row.height,
        block_hash=row.block_hash,
        block_time=row.block_time,
        reason=row.reason,
        created=row.created,
    )
