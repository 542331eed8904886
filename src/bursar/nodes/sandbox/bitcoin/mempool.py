"""The memory pool as data: entries, who spends what, ancestors and descendants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import OutPoint, Transaction, Txid


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction waiting for a block; fee in satoshi, size in virtual bytes after signature operations."""

    tx: Transaction
    txid: Txid
    wtxid: Txid
    fee: int
    vsize: int
    time: int
    height: int
    parents: dict[Txid, Entry] = field(default_factory=dict, repr=False)
    children: dict[Txid, Entry] = field(default_factory=dict, repr=False)

    def ancestors(self) -> dict[Txid, Entry]:
        """Every unconfirmed transaction this one needs, itself left out."""
        return reach(self.parents.values(), up=True)

    def descendants(self) -> dict[Txid, Entry]:
        """Every transaction that needs this one, itself left out."""
        return reach(self.children.values(), up=False)


def reach(start: Iterable[Entry], *, up: bool) -> dict[Txid, Entry]:
    """``start`` and everything reached from it, towards parents or towards children."""
    found: dict[Txid, Entry] = {}
    waiting = list(start)
    while waiting:
        entry = waiting.pop()
        if entry.txid not in found:
            found[entry.txid] = entry
            waiting.extend((entry.parents if up else entry.children).values())
    return found


class Mempool:
    """Entries in the order they came, so parents always stand before their children."""

    def __init__(self) -> None:
        self.entries: dict[Txid, Entry] = {}
        self._spenders: dict[OutPoint, Entry] = {}
        self._wtxids: dict[Txid, Entry] = {}
        self.sequence = 1

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def spender(self, outpoint: OutPoint) -> Entry | None:
        """Who spends an output, if anybody here does."""
        return self._spenders.get(outpoint)

    def has_wtxid(self, wtxid: Txid) -> bool:
        """Whether this very transaction is here, witness included."""
        return wtxid in self._wtxids

    def parents_of(self, tx: Transaction) -> dict[Txid, Entry]:
        """The entries whose outputs a transaction spends."""
        found: dict[Txid, Entry] = {}
        for source in tx.inputs:
            entry = self.entries.get(source.outpoint.txid)
            if entry is not None:
                found[entry.txid] = entry
        return found

    def add(self, entry: Entry) -> None:
        """Take an entry in; its conflicts must be gone already."""
        entry.parents = self.parents_of(entry.tx)
        for parent in entry.parents.values():
            parent.children[entry.txid] = entry
        self.entries[entry.txid] = entry
        self._wtxids[entry.wtxid] = entry
        for source in entry.tx.inputs:
            self._spenders[source.outpoint] = entry
        self.sequence += 1

    def remove(self, entry: Entry) -> None:
        """Take one entry out, leaving its children in (as when it is mined)."""
        for parent in entry.parents.values():
            parent.children.pop(entry.txid, None)
        for child in entry.children.values():
            child.parents.pop(entry.txid, None)
        del self.entries[entry.txid]
        del self._wtxids[entry.wtxid]
        for source in entry.tx.inputs:
            del self._spenders[source.outpoint]
        self.sequence += 1

    def remove_with_descendants(self, entry: Entry) -> None:
        """Take an entry out with everything that needs it."""
        for child in entry.descendants().values():
            self.remove(child)
        self.remove(entry)

    def clear(self) -> list[Entry]:
        """Take everything out; the entries in the order they came."""
        entries = list(self)
        self.entries.clear()
        self._spenders.clear()
        self._wtxids.clear()
        self.sequence += 1
        return entries

    def take_block(self, transactions: Iterable[Transaction]) -> None:
        """Drop what a block confirmed, and what it made impossible."""
        for tx in transactions:
            confirmed = self.entries.get(tx.txid)
            if confirmed is not None:
                self.remove(confirmed)
            for source in tx.inputs:
                conflict = self._spenders.get(source.outpoint)
                if conflict is not None:
                    self.remove_with_descendants(conflict)
