"""Questions about an account's addresses that do not read them all: edges of branches, places of scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, or_, select

from bursar.wallet.store.accounts import MOST_IN, AddressRow
from bursar.wallet.store.schema import addresses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Row

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a branch goes: how many addresses are derived, the last one used, the last one used or issued."""

    derived: int = 0
    last_used: int = -1
    last: int = -1


def edges(connection: Connection, account_id: int) -> dict[int, Edge]:
    """The edge of every branch that has addresses."""
    used = case((addresses.c.used == 1, addresses.c.position), else_=-1)
    known = case((or_(addresses.c.used == 1, addresses.c.issued == 1), addresses.c.position), else_=-1)
    query = (
        select(addresses.c.branch, func.count(), func.max(used), func.max(known))
        .where(addresses.c.account_id == account_id)
        .group_by(addresses.c.branch)
    )
    return {row[0]: Edge(row[1], row[2], row[3]) for row in connection.execute(query)}


def first_free(connection: Connection, account_id: int, branch: int) -> int | None:
    """The lowest place of a branch neither used nor issued."""
    query = select(func.min(addresses.c.position)).where(
        and_(addresses.c.account_id == account_id, addresses.c.branch == branch),
        and_(addresses.c.used == 0, addresses.c.issued == 0),
    )
    return connection.execute(query).scalar()


def address_at(connection: Connection, account_id: int, branch: int, position: int) -> AddressRow | None:
    """One derived address."""
    where = and_(addresses.c.account_id == account_id, addresses.c.branch == branch, addresses.c.position == position)
    row = connection.execute(select(addresses).where(where)).one_or_none()
    return None if row is None else _row(row)


def shown_rows(connection: Connection, account_id: int) -> list[AddressRow]:
    """The addresses issued or used, by branch and index."""
    query = (
        select(addresses)
        .where(addresses.c.account_id == account_id, or_(addresses.c.issued == 1, addresses.c.used == 1))
        .order_by(addresses.c.branch, addresses.c.position)
    )
    return [_row(row) for row in connection.execute(query)]


def script_columns(connection: Connection, account_id: int) -> Iterator[tuple[int, bytes, bool, bool]]:
    """Branch, script, used and issued of every derived address, by branch and index."""
    query = (
        select(addresses.c.branch, addresses.c.script, addresses.c.used, addresses.c.issued)
        .where(addresses.c.account_id == account_id)
        .order_by(addresses.c.branch, addresses.c.position)
    )
    for branch, script, used, issued in connection.execute(query):
        yield branch, script, bool(used), bool(issued)


def find_places(connection: Connection, account_id: int, scripts: Collection[bytes]) -> dict[bytes, Place]:
    """Branch and index of those of ``scripts`` that are the account's."""
    found: dict[bytes, Place] = {}
    for part in _parts(list(scripts)):
        query = select(addresses.c.script, addresses.c.branch, addresses.c.position).where(
            addresses.c.script.in_(part), addresses.c.account_id == account_id
        )
        for row in connection.execute(query):
            place = (row.branch, row.position)
            found[row.script] = min(found.get(row.script, place), place)
    return found


def find_addresses(connection: Connection, account_id: int, texts: Collection[str]) -> dict[str, Place]:
    """Branch and index of those addresses that are the account's."""
    found: dict[str, Place] = {}
    for part in _parts(list(texts)):
        query = select(addresses.c.address, addresses.c.branch, addresses.c.position).where(
            addresses.c.address.in_(part), addresses.c.account_id == account_id
        )
        found.update({row.address: (row.branch, row.position) for row in connection.execute(query)})
    return found


def owners(connection: Connection, scripts: Collection[bytes]) -> set[int]:
    """The accounts one of whose derived scripts is among ``scripts``."""
    found: set[int] = set()
    for part in _parts(list(scripts)):
        query = select(addresses.c.account_id).distinct().where(addresses.c.script.in_(part))
        found.update(connection.execute(query).scalars())
    return found


def _parts(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), MOST_IN):
        yield values[start : start + MOST_IN]


def _row(row: Row[tuple[object, ...]]) -> AddressRow:
    return AddressRow(row.branch, row.position, row.address, row.script, bool(row.issued), bool(row.used))
