"""Rows of what the chain last said: coins, transactions, Ethereum holdings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from bursar.wallet.store.accounts import MOST_IN
from bursar.wallet.store.schema import addresses, coins, holdings, transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Row

_COIN = (coins.c.txid, coins.c.vout, coins.c.value, coins.c.script, coins.c.height, coins.c.coinbase)


@dataclass(frozen=True, slots=True)
class CoinRow:
    """A confirmed unspent output at the account's tip; ``txid`` is display hex."""

    txid: str
    vout: int
    value: int
    script: bytes
    height: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction that touches the account; ``state`` is pending, confirmed or missing."""

    txid: str
    raw: bytes
    state: str
    height: int | None
    block_hash: str | None
    block_time: int | None
    seen: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What one Ethereum address held of one asset at ``height``; ``contract`` is empty for ether."""

    address: str
    contract: str
    amount: int
    height: int


def update_coins(connection: Connection, account_id: int, rows: Iterable[CoinRow], *, complete: bool) -> None:
    """Make the stored coins these; unless ``complete``, coins that are not among ``rows`` stay."""
    query = select(coins.c.txid, coins.c.vout, coins.c.height).where(coins.c.account_id == account_id)
    known = {(row.txid, row.vout): row.height for row in connection.execute(query)}
    wanted = {(row.txid, row.vout): row for row in rows}
    fresh = [row for key, row in wanted.items() if known.get(key) != row.height]
    gone = [key for key in known if key not in wanted] if complete else []
    gone += [(row.txid, row.vout) for row in fresh if (row.txid, row.vout) in known]
    if gone:
        where = and_(
            coins.c.account_id == account_id, coins.c.txid == bindparam("gone"), coins.c.vout == bindparam("at")
        )
        connection.execute(delete(coins).where(where), [{"gone": txid, "at": vout} for txid, vout in gone])
    if fresh:
        connection.execute(
            insert(coins),
            [
                {
                    "account_id": account_id,
                    "txid": row.txid,
                    "vout": row.vout,
                    "value": row.value,
                    "script": row.script,
                    "height": row.height,
                    "coinbase": int(row.coinbase),
                }
                for row in fresh
            ],
        )


def coin_rows(connection: Connection, account_id: int) -> list[CoinRow]:
    """The confirmed coins at the account's tip."""
    query = select(*_COIN).where(coins.c.account_id == account_id).order_by(coins.c.txid, coins.c.vout)
    return [
        CoinRow(txid, vout, value, script, height, bool(coinbase))
        for txid, vout, value, script, height, coinbase in connection.execute(query)
    ]


def placed_coin_rows(connection: Connection, account_id: int) -> list[tuple[CoinRow, int, int, str]]:
    """The same, each with branch, index and address of its script."""
    same = and_(addresses.c.script == coins.c.script, addresses.c.account_id == coins.c.account_id)
    query = (
        select(*_COIN, addresses.c.branch, addresses.c.position, addresses.c.address)
        .join(addresses, same)
        .where(coins.c.account_id == account_id)
        .order_by(coins.c.txid, coins.c.vout)
    )
    return [
        (CoinRow(txid, vout, value, script, height, bool(coinbase)), branch, position, address)
        for txid, vout, value, script, height, coinbase, branch, position, address in connection.execute(query)
    ]


def put_transactions(connection: Connection, account_id: int, rows: Iterable[TransactionRow]) -> int:
    """Insert or update by txid; how many were new. ``seen`` keeps its first value."""
    given = {row.txid: row for row in rows}
    known = find_transactions(connection, account_id, given)
    fresh = [row for txid, row in given.items() if txid not in known]
    if fresh:
        connection.execute(
            insert(transactions), [{**_values(row), "account_id": account_id, "txid": row.txid} for row in fresh]
        )
    for txid, before in known.items():
        row = given[txid]
        if replace(row, seen=before.seen) != before:
            where = and_(transactions.c.account_id == account_id, transactions.c.txid == txid)
            values = _values(row)
            del values["seen"]
            connection.execute(update(transactions).where(where).values(**values))
    return len(fresh)


def _values(row: TransactionRow) -> dict[str, object]:
    return {
        "raw": row.raw,
        "state": row.state,
        "height": row.height,
        "block_hash": row.block_hash,
        "block_time": row.block_time,
        "seen": row.seen,
    }


def transaction_rows(
    connection: Connection, account_id: int, *, states: Iterable[str] = (), above: int | None = None
) -> list[TransactionRow]:
    """The account's transactions; with ``states`` or ``above``, those in one of these or in a block above a height."""
    query = select(transactions).where(transactions.c.account_id == account_id)
    wanted = list(states)
    if wanted or above is not None:
        higher = transactions.c.height > (1 << 62 if above is None else above)
        query = query.where(or_(transactions.c.state.in_(wanted), higher))
    return [_transaction(row) for row in connection.execute(query.order_by(transactions.c.seen, transactions.c.txid))]


def find_transactions(connection: Connection, account_id: int, txids: Iterable[str]) -> dict[str, TransactionRow]:
    """Those of ``txids`` the account knows."""
    found: dict[str, TransactionRow] = {}
    wanted = list(txids)
    for start in range(0, len(wanted), MOST_IN):
        part = wanted[start : start + MOST_IN]
        query = select(transactions).where(transactions.c.account_id == account_id, transactions.c.txid.in_(part))
        found.update({row.txid: _transaction(row) for row in connection.execute(query)})
    return found


def mined_transactions(connection: Connection, account_id: int) -> list[tuple[str, str]]:
    """The txid and block hash of every confirmed transaction."""
    query = select(transactions.c.txid, transactions.c.block_hash).where(
        transactions.c.account_id == account_id, transactions.c.state == "confirmed"
    )
    return [(row.txid, row.block_hash) for row in connection.execute(query)]


def _transaction(row: Row[tuple[object, ...]]) -> TransactionRow:
    return TransactionRow(row.txid, row.raw, row.state, row.height, row.block_hash, row.block_time, row.seen)


def transaction_state(connection: Connection, account_id: int, txid: str) -> str | None:
    where = and_(transactions.c.account_id == account_id, transactions.c.txid == txid)
    return connection.execute(select(transactions.c.state).where(where)).scalar()


def replace_holdings(connection: Connection, account_id: int, rows: Sequence[Holding]) -> None:
    connection.execute(delete(holdings).where(holdings.c.account_id == account_id))
    if rows:
        connection.execute(
            insert(holdings),
            [
                {
                    "account_id": account_id,
                    "address": row.address,
                    "contract": row.contract,
                    "amount": str(row.amount),
                    "height": row.height,
                }
                for row in rows
            ],
        )


def holding_rows(connection: Connection, account_id: int) -> list[Holding]:
    query = select(holdings).where(holdings.c.account_id == account_id)
    return [Holding(row.address, row.contract, int(row.amount), row.height) for row in connection.execute(query)]
