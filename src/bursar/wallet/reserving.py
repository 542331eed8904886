"""Storing a plan: idempotency, the reservation of its coins or nonce, and the facts its warnings are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.transaction import Txid
from bursar.errors import ConflictError, InvalidInputError
from bursar.wallet.accounts import require_account
from bursar.wallet.cautions import Facts
from bursar.wallet.records import TransferState
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.blobs import drop_blobs
from bursar.wallet.store.chainstate import transaction_state
from bursar.wallet.store.labels import find_labels
from bursar.wallet.store.places import address_at, find_addresses
from bursar.wallet.store.reservations import release_transfer
from bursar.wallet.store.transfers import (
    add_transfer,
    find_idempotency_key,
    find_transfer,
    paid_addresses,
    stored_plan,
    transfer_rows,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

    from bursar.wallet.context import Context
    from bursar.wallet.plan import Plan
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow
    from bursar.wallet.transfer import Transfer

ATTEMPTS = 10  # how often a plan is made anew because another process took its coins or nonce
UNSIGNED = (TransferState.PLANNED, TransferState.APPROVED)


def known_plan(connection: Connection, transfer: Transfer, body_digest: str) -> Plan | None:
    """The plan stored under this idempotency key or id; ``ConflictError`` when it was for another body."""
    row = None
    if transfer.idempotency_key is not None:
        row = find_idempotency_key(connection, transfer.idempotency_key)
        if row is not None and row.body_digest != body_digest:
            raise ConflictError(
                f"idempotency key {transfer.idempotency_key[:80]!r} was used for another transfer ({row.id}): "
                "use a new key for a new transfer",
                code="conflict.idempotency",
            )
    if row is None:
        row = find_transfer(connection, transfer.id)
        if row is not None and row.body_digest != body_digest:
            raise ConflictError(f"transfer id {transfer.id} is taken by another transfer", code="conflict.id")
    return None if row is None else stored_plan(row)


def keyed_plan(connection: Connection, key: str | None, body_digest: str) -> Plan | None:
    """The plan stored under an idempotency key; ``ConflictError`` when the key was for something else."""
    row = None if key is None else find_idempotency_key(connection, key)
    if row is None:
        return None
    if row.body_digest != body_digest:
        raise ConflictError(
            f"idempotency key {str(key)[:80]!r} was used for something else ({row.id})", code="conflict.idempotency"
        )
    return stored_plan(row)


def find_stuck(connection: Connection, ref: str, account: str | None) -> tuple[AccountRow, str]:
    """The account and txid that a transfer's id, or the txid of an unconfirmed payment, stands for."""
    transfer = find_transfer(connection, ref)
    if transfer is not None:
        if transfer.txid is None:
            raise ConflictError(f"transfer {transfer.id} is {transfer.state}: only one that was sent can be lifted")
        return account_rows.account_by_id(connection, transfer.account_id), transfer.txid
    txid = str(Txid.from_text(ref))
    if account is not None:
        return require_account(connection, account), txid
    found = [
        row for row in account_rows.all_accounts(connection) if transaction_state(connection, row.id, txid) == "pending"
    ]
    if len(found) != 1:
        many = "no account has" if not found else "several accounts have"
        raise InvalidInputError(f"{many} the unconfirmed transaction {txid}: name the account", code="input.transfer")
    return found[0], txid


def store_plan(context: Context, connection: Connection, plan: Plan, *, account_id: int, root: str, body: str) -> None:
    """Write the plan's row and its journal line; the caller then reserves, in the same transaction."""
    plan_digest = plan.digest()
    add_transfer(connection, plan, account_id=account_id, root=root, body_digest=body, plan_digest=plan_digest)
    context.note(
        connection,
        "transfer.planned",
        id=plan.id,
        account=plan.account,
        plan=plan_digest,
        replaces=plan.replaces,
        fee=str(plan.review.fee),
        payments=[
            {"to": one.to, "amount": str(one.amount), "asset": one.asset.contract or one.asset.symbol}
            for one in plan.review.payments
        ],
    )


def require_transfer(connection: Connection, transfer_id: str) -> TransferRow:
    """The row of a transfer, or ``InvalidInputError`` (``input.transfer``)."""
    row = find_transfer(connection, transfer_id)
    if row is None:
        raise InvalidInputError(f"there is no transfer {transfer_id[:80]!r}", code="input.transfer")
    return row


def release(connection: Connection, row: TransferRow) -> None:
    """Free what an unsigned transfer was the first to hold, its change address and its blobs."""
    release_transfer(connection, row.id)
    drop_blobs(connection, row.id)
    plan = stored_plan(row)
    wanted = {change.address for change in plan.review.change}
    still = {
        change.address
        for other in transfer_rows(connection, root=row.root)
        if other.id != row.id
        for change in stored_plan(other).review.change
    }
    for branch, position in find_addresses(connection, row.account_id, wanted - still).values():
        found = address_at(connection, row.account_id, branch, position)
        if found is not None and not found.used:
            account_rows.mark_issued(connection, row.account_id, branch, position, issued=False)


def gather_facts(
    connection: Connection,
    network: str,
    payees: Sequence[str],
    *,
    contracts: Collection[str] = (),
    token_contracts: Collection[str] = (),
    unverified: Sequence[str] = (),
) -> Facts:
    """What the store knows about the payees."""
    own = account_rows.known_addresses(connection) | account_rows.own_addresses(connection, payees)
    return Facts(
        own=own,
        paid_before=paid_addresses(connection, network),
        contracts=contracts,
        token_contracts=token_contracts,
        unverified=unverified,
        labels={ref: row.label for ref, row in find_labels(connection, network, "addr", payees).items() if row.label},
    )


def check_bumpable(connection: Connection, row: TransferRow) -> list[TransferRow]:
    """All variants of the intent, when ``row`` is its newest signed one and no other replacement is under way."""
    variants = transfer_rows(connection, root=row.root)
    signed = [one for one in variants if one.raw is not None]
    if row.raw is None:
        raise ConflictError(f"transfer {row.id} is {row.state}: only a signed transfer can be replaced")
    settled = next((one for one in signed if one.state is TransferState.CONFIRMED), None)
    if settled is not None:
        raise ConflictError(f"transfer {settled.id} is in a block: it cannot be replaced")
    if row.state in (TransferState.FAILED, TransferState.SUPERSEDED):
        raise ConflictError(f"transfer {row.id} is {row.state}: it cannot be replaced")
    if signed[-1].id != row.id:
        raise ConflictError(f"transfer {row.id} was replaced by {signed[-1].id}: name that one")
    waiting = next((one for one in variants if one.state in UNSIGNED), None)
    if waiting is not None:
        raise ConflictError(f"transfer {row.id} is being replaced by {waiting.id}: finish or cancel that one first")
    return variants
