"""Rows of accounts, their addresses and the registered tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, insert, or_, select, update

from bursar.chain.protocols import BlockRef
from bursar.wallet.store.schema import accounts, addresses, tokens

MOST_IN = 500  # values in one IN (…)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as stored; ``genesis`` is pinned, ``seen_height`` the last tip heard of: confirmations count to it.

    ``scanned`` is there while its first scan is not finished: how many addresses of each branch ``tip`` holds for.
    """

    id: int
    name: str
    chain: str
    network: str
    identity: str
    body: str
    signer: str
    created: int
    tip: BlockRef | None
    genesis: str | None
    seen_height: int | None
    gap_limit: int = 20
    scanned: dict[int, int] | None = None


@dataclass(frozen=True, slots=True)
class AddressRow:
    """A derived address; ``script`` is the locking script (Bitcoin) or the 20 address bytes (Ethereum)."""

    branch: int
    position: int
    address: str
    script: bytes
    issued: bool
    used: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A registered ERC-20 token."""

    chain_id: int
    contract: str
    symbol: str
    decimals: int


def add_account(
    connection: Connection,
    *,
    name: str,
    chain: str,
    network: str,
    identity: str,
    body: str,
    signer: str,
    created: int,
    gap_limit: int,
) -> int:
    result = connection.execute(
        insert(accounts).values(
            name=name,
            chain=chain,
            network=network,
            identity=identity,
            body=body,
            signer=signer,
            created=created,
            gap_limit=gap_limit,
        )
    )
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def find_account(connection: Connection, name: str) -> AccountRow | None:
    row = connection.execute(select(accounts).where(accounts.c.name == name)).one_or_none()
    return None if row is None else _account(row)


def find_identity(connection: Connection, identity: str) -> AccountRow | None:
    row = connection.execute(select(accounts).where(accounts.c.identity == identity)).one_or_none()
    return None if row is None else _account(row)


def account_by_id(connection: Connection, account_id: int) -> AccountRow:
    return _account(connection.execute(select(accounts).where(accounts.c.id == account_id)).one())


def all_accounts(connection: Connection) -> list[AccountRow]:
    return [_account(row) for row in connection.execute(select(accounts).order_by(accounts.c.name))]


def set_tip(connection: Connection, account_id: int, tip: BlockRef, *, scanned: dict[int, int] | None = None) -> None:
    """The coins hold at ``tip``: of all addresses, or while a first scan is under way of those ``scanned``."""
    values = {
        "scanned": None if scanned is None else json.dumps(scanned),
        "tip_height": tip.height,
        "tip_hash": tip.hash,
        "tip_time": tip.time,
        "seen_height": tip.height,
    }
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))


def scan_anew(connection: Connection, account_id: int) -> None:
    """Have the next scan be a first one; what is known stays."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(scanned="{}"))


def set_account(connection: Connection, account_id: int, **values: object) -> None:
    """Change columns of one account."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(**values))


def set_seen_height(connection: Connection, account_id: int, height: int) -> None:
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(seen_height=height))


def set_genesis(connection: Connection, account_id: int, genesis: str) -> None:
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(genesis=genesis))


def add_addresses(connection: Connection, account_id: int, rows: Sequence[AddressRow]) -> None:
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO addresses (account_id, branch, position, address, script, issued, used) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (account_id, row.branch, row.position, row.address, row.script, int(row.issued), int(row.used))
                for row in rows
            ],
        )


def address_rows(connection: Connection, account_id: int) -> list[AddressRow]:
    query = select(addresses).where(addresses.c.account_id == account_id)
    rows = connection.execute(query.order_by(addresses.c.branch, addresses.c.position))
    return [
        AddressRow(row.branch, row.position, row.address, row.script, bool(row.issued), bool(row.used)) for row in rows
    ]


def mark_used(connection: Connection, account_id: int, keys: Iterable[tuple[int, int]]) -> None:
    _mark(connection, account_id, keys, "used")


def mark_all_issued(connection: Connection, account_id: int, keys: Iterable[tuple[int, int]]) -> None:
    _mark(connection, account_id, keys, "issued")


def _mark(connection: Connection, account_id: int, keys: Iterable[tuple[int, int]], column: str) -> None:
    places = [(account_id, branch, position) for branch, position in keys]
    if places:
        where = f"account_id = ? AND branch = ? AND position = ? AND {column} = 0"
        connection.exec_driver_sql(f"UPDATE addresses SET {column} = 1 WHERE {where}", places)  # noqa: S608


def mark_issued(connection: Connection, account_id: int, branch: int, position: int, *, issued: bool = True) -> None:
    connection.execute(update(addresses).where(_is(account_id, branch, position)).values(issued=int(issued)))


def derived_count(connection: Connection, account_id: int, branch: int) -> int:
    query = select(func.count()).select_from(addresses)
    return int(
        connection.execute(
            query.where(and_(addresses.c.account_id == account_id, addresses.c.branch == branch))
        ).scalar_one()
    )


def own_addresses(connection: Connection, texts: Sequence[str]) -> set[str]:
    """Those of ``texts`` that belong to any account of the store."""
    found: set[str] = set()
    for start in range(0, len(texts), MOST_IN):
        part = texts[start : start + MOST_IN]
        found.update(connection.execute(select(addresses.c.address).where(addresses.c.address.in_(part))).scalars())
    return found


def known_addresses(connection: Connection) -> set[str]:
    """Every address issued or used, of all accounts."""
    where = or_(addresses.c.issued == 1, addresses.c.used == 1)
    return set(connection.execute(select(addresses.c.address).where(where)).scalars())


def remove_token(connection: Connection, chain_id: int, contract: str) -> bool:
    where = and_(tokens.c.chain_id == chain_id, tokens.c.contract == contract)
    return bool(connection.execute(delete(tokens).where(where)).rowcount)


def add_token(connection: Connection, token: TokenRow) -> None:
    connection.execute(
        insert(tokens).values(
            chain_id=token.chain_id, contract=token.contract, symbol=token.symbol, decimals=token.decimals
        )
    )


def all_tokens(connection: Connection) -> list[TokenRow]:
    query = select(tokens).order_by(tokens.c.chain_id, tokens.c.symbol, tokens.c.contract)
    return [TokenRow(row.chain_id, row.contract, row.symbol, row.decimals) for row in connection.execute(query)]


def _is(account_id: int, branch: int, position: int) -> ColumnElement[bool]:
    return and_(addresses.c.account_id == account_id, addresses.c.branch == branch, addresses.c.position == position)


def _account(row: Row[tuple[object, ...]]) -> AccountRow:
    tip = None if row.tip_height is None else BlockRef(row.tip_height, row.tip_hash, row.tip_time)
    return AccountRow(
        id=row.id,
        name=row.name,
        chain=row.chain,
        network=row.network,
        identity=row.identity,
        body=row.body,
        signer=row.signer,
        created=row.created,
        tip=tip,
        genesis=row.genesis,
        seen_height=row.seen_height,
        gap_limit=row.gap_limit,
        scanned=None if row.scanned is None else {int(key): value for key, value in json.loads(row.scanned).items()},
    )
