"""Which waiting transactions the next block holds: all of them when they fit, else the best-paying packages first."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction, Txid
    from bursar.nodes.sandbox.bitcoin.mempool import Entry, Mempool

MAX_WEIGHT: Final = 3_996_000
RESERVED: Final = 4_000  # header, count and coinbase
MAX_VSIZE: Final = (MAX_WEIGHT - RESERVED) // 4  # vsize counts signature operations too, so it bounds both


def select(mempool: Mempool) -> list[Entry]:
    """Entries for a block, every parent before its children."""
    if sum(entry.vsize for entry in mempool) <= MAX_VSIZE:
        return list(mempool)
    room = MAX_VSIZE
    chosen: dict[Txid, Entry] = {}
    heap = [(_rate(entry, chosen), position, entry) for position, entry in enumerate(mempool)]
    order = {entry.txid: position for _, position, entry in heap}
    heapq.heapify(heap)
    while heap:
        rate, position, entry = heapq.heappop(heap)
        if entry.txid in chosen:
            continue
        current = _rate(entry, chosen)
        if current != rate:  # an ancestor was taken meanwhile
            heapq.heappush(heap, (current, position, entry))
            continue
        package = _missing(entry, chosen)
        size = sum(member.vsize for member in package)
        if size <= room:
            room -= size
            chosen.update((member.txid, member) for member in package)
    return sorted(chosen.values(), key=lambda entry: order[entry.txid])


def transactions(entries: list[Entry]) -> tuple[list[Transaction], int]:
    """The transactions of these entries and their fees together."""
    return [entry.tx for entry in entries], sum(entry.fee for entry in entries)


def _missing(entry: Entry, chosen: dict[Txid, Entry]) -> list[Entry]:
    return [entry, *(other for txid, other in entry.ancestors().items() if txid not in chosen)]


def _rate(entry: Entry, chosen: dict[Txid, Entry]) -> int:
    package = _missing(entry, chosen)
    return -(sum(member.fee for member in package) * 1000 // sum(member.vsize for member in package))
