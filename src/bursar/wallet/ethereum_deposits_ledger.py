"""Writes what a look at the chain found: movements, reversals, confirmations, holdings. One transaction at a time."""

# Invariant of every transaction: what the store says an address holds is the sum of its movements that are not
# reversed and of what its mined transfers did. A difference to what the node says is a movement of its own.

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bursar.wallet.ethereum_deposits import UNEXPLAINED, identity
from bursar.wallet.ethereum_snapshot import explained_change
from bursar.wallet.ethereum_view import ETHER
from bursar.wallet.records import SyncReport
from bursar.wallet.settling import apply_fates
from bursar.wallet.store import accounts as account_rows
from bursar.wallet.store.chainstate import Holding, holding_rows, replace_holdings
from bursar.wallet.store.deposits import (
    Deposit,
    add_deposits,
    change_holdings,
    deposit_rows,
    deposits_height,
    lower_deposit,
    note_block,
    set_deposit_state,
    set_deposits_height,
)
from bursar.wallet.store.reservations import nonce_floor, raise_nonce_floor
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from bursar.chain.protocols import BlockRef
    from bursar.wallet.context import Context
    from bursar.wallet.ethereum_snapshot import Amounts
    from bursar.wallet.fate import Fate
    from bursar.wallet.store.accounts import AccountRow, AddressRow


class OvertakenError(Exception):
    """Another process has synced the account meanwhile; ``report`` is set where it got at least as far."""

    def __init__(self, report: SyncReport | None) -> None:
        super().__init__()
        self.report = report


@dataclass(slots=True)
class Found:
    """What one look at the chain has found so far. ``new`` is not stored yet, ``everything`` is all since its start."""

    account_row: AccountRow
    since: int | None
    tip: BlockRef
    reorged: int | None
    new: list[Deposit] = field(default_factory=list)
    everything: list[Deposit] = field(default_factory=list)
    gone: list[Deposit] = field(default_factory=list)
    vouched: set[int] = field(default_factory=set)  # positions of stored rows that may be confirmed
    final: int | None = None
    ladder: list[BlockRef] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    ignored: int = 0

    def add(self, rows: Sequence[Deposit]) -> None:
        self.new += rows
        self.everything += rows


def store_part(context: Context, found: Found, end: BlockRef, *, registered: Collection[str]) -> None:
    """Commit the movements up to block ``end``: a crash later resumes above it."""
    with context.store.write() as connection:
        _guard(connection, found)
        _move(context, connection, found, registered)
        set_deposits_height(connection, found.account_row.id, end.height)
        note_block(connection, found.account_row.id, end.height, end.hash)
    found.since = end.height
    context.passed("deposits.part")


def _guard(connection: Connection, found: Found) -> None:
    now = account_rows.account_by_id(connection, found.account_row.id)
    if now.tip == found.account_row.tip and deposits_height(connection, now.id) == found.since:
        return
    report = None
    if now.tip is not None and now.tip != found.account_row.tip and now.tip.height >= found.tip.height:
        report = SyncReport(account=now.name, tip=now.tip, addresses=0, new_transactions=0)
    raise OvertakenError(report)


def _move(context: Context, connection: Connection, found: Found, registered: Collection[str]) -> None:
    """Reverse what is gone, add what is new, and keep the holdings in step."""
    row = found.account_row
    set_deposit_state(connection, row.id, [one.position for one in found.gone], "reversed")
    change_holdings(connection, row.id, found.gone, sign=-1)
    for one in found.gone:
        if one.state == "confirmed":
            found.alarms.append(f"deposit {one.position} was final in block {one.height} and is reversed")
        _note(context, connection, row, "deposit.reversed", one, registered, was=one.state)
    add_deposits(connection, row.id, found.new)
    change_holdings(connection, row.id, found.new)
    for one in found.new:
        _note(context, connection, row, "deposit.seen", one, registered)
    found.gone, found.new = [], []


def _note(
    context: Context,
    connection: Connection,
    row: AccountRow,
    kind: str,
    one: Deposit,
    registered: Collection[str],
    **more: str | int,
) -> None:
    """A journal line; none for tokens nobody registered, of which anybody can make any number."""
    if one.contract and (one.contract not in registered or not one.amount):
        return
    context.note(
        connection,
        kind,
        account=row.name,
        of=one.kind,
        contract=one.contract or None,
        token_id=None if one.token_id is None else str(one.token_id),
        address=one.address,
        party=one.sender,
        amount=str(one.amount),
        txid=one.txid,
        log_index=one.log_index,
        height=one.height,
        block=one.block_hash,
        **more,
    )


def settle_account(
    context: Context,
    found: Found,
    addresses: Sequence[AddressRow],
    *,
    contracts: Sequence[str],
    amounts: Amounts,
    nonces: Mapping[str, int],
    busy: Collection[int],
    fates: Mapping[str, Fate],
    asked: Collection[str],
    lost: Collection[str],
    registered: Collection[str],
) -> SyncReport:
    """The last transaction of a sync: everything agrees with ``found.tip`` after it."""
    row, tip = found.account_row, found.tip
    with context.store.write() as connection:
        _guard(connection, found)
        _keep_addresses(connection, row, addresses, found, busy, contracts)
        _move(context, connection, found, registered)
        before = {item.id: item for item in transfer_rows(connection, account_id=row.id)}
        changed = apply_fates(
            context, connection, row.id, fates, asked=asked, superseded=lost, tip_height=tip.height, inputs=None
        )
        after = {item.id: item for item in transfer_rows(connection, account_id=row.id)}
        moved = explained_change([before[one] for one in changed], [after[one] for one in changed])
        odd = _differences(context, connection, found, amounts, moved, registered)
        _replace(connection, row, amounts, tip)
        account_rows.set_tip(connection, row.id, tip)
        set_deposits_height(connection, row.id, tip.height)
        for block in (*sorted(found.ladder, key=lambda one: one.height), tip):
            note_block(connection, row.id, block.height, block.hash)
        _confirm(context, connection, found, odd, registered)
        chain_id = int(row.network.removeprefix("eip155:"))
        for item in addresses:
            active = item.position == 0 or item.issued or item.used or item.position in busy
            if active and nonce_floor(connection, chain_id, item.address) is None:
                raise_nonce_floor(connection, chain_id, item.address, nonces.get(item.address, 0))
        for alarm in found.alarms:
            context.note(connection, "deposits.alarm", account=row.name, text=alarm)
    context.passed("deposits.settled")
    return SyncReport(
        account=row.name,
        tip=tip,
        addresses=len(addresses),
        new_transactions=len(found.everything) + len(odd),
        reorged=found.reorged,
        changed=changed,
        unexplained=len(odd),
        ignored=found.ignored,
        alarms=tuple(found.alarms),
    )


def _keep_addresses(
    connection: Connection,
    row: AccountRow,
    addresses: Sequence[AddressRow],
    found: Found,
    busy: Collection[int],
    contracts: Collection[str],
) -> None:
    have = account_rows.derived_count(connection, row.id, 0)
    account_rows.add_addresses(connection, row.id, [item for item in addresses if item.position >= have])
    paid = {
        one.address for one in found.everything if one.amount > 0 and (not one.contract or one.contract in contracts)
    }
    used = [(0, item.position) for item in addresses if item.position in busy or item.address in paid]
    account_rows.mark_used(connection, row.id, used)


def _differences(
    context: Context,
    connection: Connection,
    found: Found,
    amounts: Amounts,
    moved: Amounts,
    registered: Collection[str],
) -> list[Deposit]:
    """What the node's balances differ by from all that is known, as movements of their own."""
    row, tip = found.account_row, found.tip
    held = {(item.address, item.contract): item.amount for item in holding_rows(connection, row.id)}
    rows: list[Deposit] = []
    for (address, contract), amount in amounts.items():
        difference = amount - held.get((address, contract), 0) - moved.get((address, contract), 0)
        if difference < 0 and contract != ETHER:
            difference += _lower(context, connection, found, address, contract, -difference)
        if difference:
            rows.append(
                Deposit(contract, address, None, None, difference, tip.height, tip.time, tip.hash, kind=UNEXPLAINED)
            )
    add_deposits(connection, row.id, rows)
    for one in rows:
        _note(context, connection, row, "deposit.unexplained", one, registered)
    return rows


def _lower(context: Context, connection: Connection, found: Found, address: str, contract: str, short: int) -> int:
    """Take what never arrived from this sync's deposits of a token, newest first; how much that was."""
    row = found.account_row
    since = found.tip.height if row.tip is None else row.tip.height
    new = {identity(one) for one in found.everything}
    taken = 0
    for one in reversed(deposit_rows(connection, row.id, states=("seen",))):
        if (one.address, one.contract) != (address, contract) or one.amount <= 0 or one.token_id is not None:
            continue
        if one.height <= since and identity(one) not in new:
            continue
        part = min(one.amount, short - taken)
        if part:
            lower_deposit(connection, row.id, one.position, one.amount - part)
            context.note(
                connection,
                "deposit.short",
                account=row.name,
                contract=contract,
                address=address,
                txid=one.txid,
                log_index=one.log_index,
                said=str(one.amount),
                came=str(one.amount - part),
            )
            found.alarms.append(
                f"of {one.amount} base units of {contract} that {one.txid} says it paid, {part} never came"
            )
            taken += part
    return taken


def _replace(connection: Connection, row: AccountRow, amounts: Amounts, tip: BlockRef) -> None:
    """What the node said; of contracts it was not asked about, what their movements add up to."""
    others = [item for item in holding_rows(connection, row.id) if (item.address, item.contract) not in amounts]
    said = [Holding(address, contract, amount, tip.height) for (address, contract), amount in amounts.items() if amount]
    replace_holdings(connection, row.id, [*said, *[item for item in others if item.amount]])


def _confirm(
    context: Context, connection: Connection, found: Found, odd: Sequence[Deposit], registered: Collection[str]
) -> None:
    """Confirm what is final and vouched for: looked at in this sync, or seen before and its receipt still there."""
    if found.final is None:
        return
    row = found.account_row
    looked = {identity(one) for one in (*found.everything, *odd)}
    rows = [
        one
        for one in deposit_rows(connection, row.id, states=("seen",))
        if one.height <= found.final
        and one.amount
        and (not one.contract or one.contract in registered)
        and (one.position in found.vouched or identity(one) in looked)
    ]
    set_deposit_state(connection, row.id, [one.position for one in rows], "confirmed")
    for one in rows:
        _note(context, connection, row, "deposit.confirmed", one, registered)
