"""Rows of what reached or left an account's addresses beside its own transfers, and of the blocks looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from bursar.wallet.store.accounts import MOST_IN
from bursar.wallet.store.schema import accounts, blocks_seen, deposits, holdings, spends, transfers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection

_BLOCKS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Deposit:
    """One movement: ``amount`` is negative where it left ``address``; ``sender`` is the other party, where known.

    ``log_index`` is the log's number in its block, or the position among a transaction's inner transfers or a block's
    withdrawals. ``block_hash`` is ``None`` in rows of stores older than schema 0003.
    """

    contract: str
    address: str
    sender: str | None
    txid: str | None
    amount: int
    height: int
    block_time: int
    block_hash: str | None = None
    log_index: int | None = None
    kind: str = "unexplained"
    token_id: int | None = None
    state: str = "seen"
    position: int = 0  # given by the store


def add_deposits(connection: Connection, account_id: int, rows: Sequence[Deposit]) -> None:
    """Append rows; each gets the next position."""
    highest = select(func.max(deposits.c.position)).where(deposits.c.account_id == account_id)
    last = connection.execute(highest).scalar() or 0
    values = [
        {
            "account_id": account_id,
            "position": number,
            "contract": row.contract,
            "address": row.address,
            "sender": row.sender,
            "txid": row.txid,
            "amount": str(row.amount),
            "height": row.height,
            "block_time": row.block_time,
            "block_hash": row.block_hash,
            "log_index": row.log_index,
            "kind": row.kind,
            "token_id": None if row.token_id is None else str(row.token_id),
            "state": row.state,
        }
        for number, row in enumerate(rows, last + 1)
    ]
    if values:
        connection.execute(insert(deposits), values)


def deposit_rows(
    connection: Connection, account_id: int, *, above: int | None = None, states: Collection[str] = ()
) -> list[Deposit]:
    """The account's rows, oldest first; with ``above`` or ``states`` those above a height and in one of these."""
    query = select(deposits).where(deposits.c.account_id == account_id)
    if above is not None:
        query = query.where(deposits.c.height > above)
    if states:
        query = query.where(deposits.c.state.in_(list(states)))
    return [
        Deposit(
            contract=row.contract,
            address=row.address,
            sender=row.sender,
            txid=row.txid,
            amount=int(row.amount),
            height=row.height,
            block_time=row.block_time,
            block_hash=row.block_hash,
            log_index=row.log_index,
            kind=row.kind,
            token_id=None if row.token_id is None else int(row.token_id),
            state=row.state,
            position=row.position,
        )
        for row in connection.execute(query.order_by(deposits.c.position))
    ]


def set_deposit_state(connection: Connection, account_id: int, positions: Iterable[int], state: str) -> None:
    """Move rows to ``state``; one that was reversed stays so."""
    wanted = list(positions)
    for start in range(0, len(wanted), MOST_IN):
        part = wanted[start : start + MOST_IN]
        where = deposits.c.position.in_(part), deposits.c.account_id == account_id, deposits.c.state != "reversed"
        connection.execute(update(deposits).where(*where).values(state=state))


def deposits_height(connection: Connection, account_id: int) -> int | None:
    """The last height looked through for deposits; ``None`` before the first time."""
    found: int | None = connection.execute(
        select(accounts.c.deposits_height).where(accounts.c.id == account_id)
    ).scalar()
    return found


def set_deposits_height(connection: Connection, account_id: int, height: int | None) -> None:
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(deposits_height=height))


def note_block(connection: Connection, account_id: int, height: int, block_hash: str) -> None:
    """Remember a block of the chain as it was; those above it, and all but the newest, are forgotten."""
    mine = blocks_seen.c.account_id == account_id
    connection.execute(delete(blocks_seen).where(mine, blocks_seen.c.height >= height))
    connection.execute(insert(blocks_seen).values(account_id=account_id, height=height, hash=block_hash))
    newest = select(blocks_seen.c.height).where(mine).order_by(blocks_seen.c.height.desc())
    oldest = connection.execute(newest.offset(_BLOCKS_KEPT - 1).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(blocks_seen).where(mine, blocks_seen.c.height < oldest))


def forget_blocks(connection: Connection, account_id: int, *, since: int) -> None:
    """Forget the blocks remembered from height ``since`` on, but not those in which movements stand."""
    connection.execute(delete(blocks_seen).where(blocks_seen.c.account_id == account_id, blocks_seen.c.height >= since))


def noted_blocks(connection: Connection, account_id: int) -> dict[int, str]:
    """Hashes by height: blocks remembered, and those the account's movements stand in."""
    mine = select(deposits.c.height, deposits.c.block_hash).where(
        deposits.c.account_id == account_id, deposits.c.block_hash.is_not(None), deposits.c.state != "reversed"
    )
    found = {row.height: row.block_hash for row in connection.execute(mine.distinct())}
    query = select(blocks_seen.c.height, blocks_seen.c.hash).where(blocks_seen.c.account_id == account_id)
    found.update({row.height: row.hash for row in connection.execute(query)})
    return found


def own_transactions(connection: Connection, account_id: int, txids: Collection[str]) -> list[str]:
    """The ids of the account's signed transfers among these transactions."""
    wanted = sorted(txids)
    found: list[str] = []
    for start in range(0, len(wanted), MOST_IN):
        part = wanted[start : start + MOST_IN]
        query = select(transfers.c.id).where(transfers.c.account_id == account_id, transfers.c.txid.in_(part))
        found += connection.execute(query).scalars()
    return found


def change_holdings(connection: Connection, account_id: int, rows: Iterable[Deposit], *, sign: int = 1) -> None:
    """Keep what is held in step with movements: added to it, or with ``sign`` -1 taken from it."""
    changes: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row.address, row.contract)
        changes[key] = changes.get(key, 0) + sign * row.amount
    for (address, contract), change in changes.items():
        where = (
            holdings.c.account_id == account_id,
            holdings.c.address == address,
            holdings.c.contract == contract,
        )
        held = connection.execute(select(holdings.c.amount).where(*where)).scalar()
        if held is not None:
            connection.execute(update(holdings).where(*where).values(amount=str(int(held) + change)))
        elif change:
            connection.execute(
                insert(holdings).values(
                    account_id=account_id, address=address, contract=contract, amount=str(change), height=0
                )
            )


def lower_deposit(connection: Connection, account_id: int, position: int, amount: int) -> None:
    """Write that less came than its event said."""
    where = deposits.c.account_id == account_id, deposits.c.position == position
    connection.execute(update(deposits).where(*where).values(amount=str(amount)))


def paid_addresses(connection: Connection, network: str) -> set[str]:
    """Whom transfers of this network have paid, or may have."""
    query = (
        select(spends.c.payee)
        .join(transfers, spends.c.transfer_id == transfers.c.id)
        .where(transfers.c.raw.is_not(None), spends.c.network == network)
    )
    return set(connection.execute(query).scalars())


def reverse_unexplained(connection: Connection, account_id: int, *, since: int) -> int:
    """Take back the differences noted from block ``since`` on, so that a new look may explain them; how many."""
    rows = [
        row
        for row in deposit_rows(connection, account_id, above=since - 1, states=("seen", "confirmed"))
        if row.kind == "unexplained"
    ]
    set_deposit_state(connection, account_id, [row.position for row in rows], "reversed")
    change_holdings(connection, account_id, rows, sign=-1)
    return len(rows)
