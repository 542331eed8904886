"""The reservation ledger: each coin and each nonce belongs to at most one intent, by unique keys of the store."""

# An intent is named by its root, the first transfer of a chain of fee bumps. A row is deleted only when no signature
# over that coin or nonce can exist, or when the intent's fate is buried in the chain.

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, insert, select, update

from bursar.errors import ConflictError
from bursar.wallet.store.schema import held_coins, held_nonces, nonce_floors, transfers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection

OutPointKey = tuple[str, int]  # display txid, output index


def hold_coins(
    connection: Connection, network: str, coins: Iterable[OutPointKey], *, root: str, transfer_id: str
) -> None:
    """Bind coins to an intent; ``ConflictError`` when one belongs to another. ``transfer_id`` is who took it first."""
    for txid, vout in coins:
        owner = coin_owner(connection, network, (txid, vout))
        if owner is None:
            connection.execute(
                insert(held_coins).values(network=network, txid=txid, vout=vout, root=root, transfer_id=transfer_id)
            )
        elif owner != root:
            raise ConflictError(f"coin {txid}:{vout} is reserved for transfer {owner}: plan again")


def coin_owner(connection: Connection, network: str, coin: OutPointKey) -> str | None:
    where = and_(held_coins.c.network == network, held_coins.c.txid == coin[0], held_coins.c.vout == coin[1])
    return connection.execute(select(held_coins.c.root).where(where)).scalar()


def held_coin_roots(connection: Connection, network: str) -> dict[OutPointKey, str]:
    """Every coin held on ``network`` and its intent."""
    query = select(held_coins.c.txid, held_coins.c.vout, held_coins.c.root).where(held_coins.c.network == network)
    return {(row.txid, row.vout): row.root for row in connection.execute(query)}


def hold_nonce(connection: Connection, chain_id: int, sender: str, nonce: int, *, root: str, transfer_id: str) -> None:
    """Bind a nonce to an intent; ``ConflictError`` when it is bound already."""
    connection.execute(
        insert(held_nonces).values(chain_id=chain_id, sender=sender, nonce=nonce, root=root, transfer_id=transfer_id)
    )


def next_nonce(connection: Connection, chain_id: int, sender: str, *, least: int) -> int:
    """The lowest free nonce from ``least`` (and the persisted floor) on."""
    nonce = max(least, nonce_floor(connection, chain_id, sender) or 0)
    query = select(held_nonces.c.nonce).where(_of(chain_id, sender)).where(held_nonces.c.nonce >= nonce)
    for taken in connection.execute(query.order_by(held_nonces.c.nonce)).scalars():
        if taken != nonce:
            break
        nonce += 1
    return nonce


def nonce_owner(connection: Connection, chain_id: int, sender: str, nonce: int) -> str | None:
    where = and_(_of(chain_id, sender), held_nonces.c.nonce == nonce)
    return connection.execute(select(held_nonces.c.root).where(where)).scalar()


def held_nonce_roots(connection: Connection, chain_id: int, sender: str, *, least: int) -> dict[int, str]:
    """The nonces from ``least`` on that are bound, in order, and to which intents."""
    query = select(held_nonces.c.nonce, held_nonces.c.root).where(_of(chain_id, sender), held_nonces.c.nonce >= least)
    return {row.nonce: row.root for row in connection.execute(query.order_by(held_nonces.c.nonce))}


def held_states(connection: Connection, chain_id: int, sender: str, *, least: int) -> dict[int, set[str]]:
    """The nonces from ``least`` on that are bound, and the states of the transfers of their intents."""
    query = (
        select(held_nonces.c.nonce, transfers.c.state)
        .join(transfers, transfers.c.root == held_nonces.c.root)
        .where(_of(chain_id, sender), held_nonces.c.nonce >= least)
    )
    found: dict[int, set[str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.nonce, set()).add(row.state)
    return found


def expected_nonce(connection: Connection, chain_id: int, sender: str) -> int:
    """The next nonce by what this store knows, whatever a node says."""
    highest = highest_held_nonce(connection, chain_id, sender)
    return max(nonce_floor(connection, chain_id, sender) or 0, 0 if highest is None else highest + 1)


def highest_held_nonce(connection: Connection, chain_id: int, sender: str) -> int | None:
    query = select(held_nonces.c.nonce).where(_of(chain_id, sender)).order_by(held_nonces.c.nonce.desc()).limit(1)
    return connection.execute(query).scalar()


def nonce_floor(connection: Connection, chain_id: int, sender: str) -> int | None:
    """The highest transaction count ever believed for this address; ``None`` before the first look."""
    where = and_(nonce_floors.c.chain_id == chain_id, nonce_floors.c.sender == sender)
    return connection.execute(select(nonce_floors.c.floor).where(where)).scalar()


def raise_nonce_floor(connection: Connection, chain_id: int, sender: str, floor: int) -> None:
    """Remember ``floor`` if it is higher than before."""
    if floor > (nonce_floor(connection, chain_id, sender) or -1):
        set_nonce_floor(connection, chain_id, sender, floor)


def set_nonce_floor(connection: Connection, chain_id: int, sender: str, floor: int) -> None:
    """Remember ``floor`` whatever was known before: for an operator's word only."""
    where = and_(nonce_floors.c.chain_id == chain_id, nonce_floors.c.sender == sender)
    if not connection.execute(update(nonce_floors).where(where).values(floor=floor)).rowcount:
        connection.execute(insert(nonce_floors).values(chain_id=chain_id, sender=sender, floor=floor))


def release_transfer(connection: Connection, transfer_id: str) -> None:
    """Free what this transfer was the first to take; what it inherited by a bump stays with the intent."""
    connection.execute(delete(held_coins).where(held_coins.c.transfer_id == transfer_id))
    connection.execute(delete(held_nonces).where(held_nonces.c.transfer_id == transfer_id))


def release_nonces_above(connection: Connection, root: str, nonce: int) -> None:
    """Free what an intent held beyond its transaction's nonce: its replacement does not use that up."""
    connection.execute(delete(held_nonces).where(and_(held_nonces.c.root == root, held_nonces.c.nonce > nonce)))


def release_coins(connection: Connection, root: str, *, keep: Iterable[OutPointKey] = ()) -> None:
    """Free an intent's coins except ``keep``."""
    kept = set(keep)
    query = select(held_coins.c.network, held_coins.c.txid, held_coins.c.vout).where(held_coins.c.root == root)
    for row in connection.execute(query).all():
        if (row.txid, row.vout) not in kept:
            where = and_(
                held_coins.c.network == row.network, held_coins.c.txid == row.txid, held_coins.c.vout == row.vout
            )
            connection.execute(delete(held_coins).where(where))


def _of(chain_id: int, sender: str) -> ColumnElement[bool]:
    return and_(held_nonces.c.chain_id == chain_id, held_nonces.c.sender == sender)
