"""Which of our unconfirmed transactions lost a coin to another one. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bursar.wallet.store.chainstate import TransactionRow

OutPointKey = tuple[str, int]


def spent_coins(raw: bytes) -> list[OutPointKey]:
    """The coins a serialized transaction spends, as (display txid, index)."""
    return [(str(item.outpoint.txid), item.outpoint.vout) for item in Transaction.parse(raw).inputs]


def lost(stored: Sequence[TransactionRow]) -> set[str]:
    """The txids the node no longer knows and one of whose coins something it does know spends.

    What spends an output of a lost one, and is unknown to the node too, is lost with it.
    """
    taken = {key for row in stored if row.state != "missing" for key in spent_coins(row.raw)}
    unknown = {row.txid: spent_coins(row.raw) for row in stored if row.state == "missing"}
    return with_children({txid for txid, keys in unknown.items() if not taken.isdisjoint(keys)}, unknown)


def with_children(gone: Iterable[str], unknown: Mapping[str, Sequence[OutPointKey]]) -> set[str]:
    """``gone`` and those of ``unknown``, inputs by txid, that spend what one of them would have made."""
    result = set(gone)
    while more := {txid for txid, keys in unknown.items() if txid not in result and any(k[0] in result for k in keys)}:
        result |= more
    return result


def rivals(raw: bytes, stored: Iterable[TransactionRow]) -> list[TransactionRow]:
    """The stored unconfirmed transactions that cannot wait beside ``raw``: they spend one of its coins."""
    txid, wanted = str(Transaction.parse(raw).txid), set(spent_coins(raw))
    waiting = [row for row in stored if row.state == "pending" and row.txid != txid]
    return [row for row in waiting if not wanted.isdisjoint(spent_coins(row.raw))]
