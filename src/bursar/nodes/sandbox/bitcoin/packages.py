"""Packages: a child with its unconfirmed parents, judged together where one alone pays too little (Core 28's rules)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.errors import BroadcastRejectedError
from bursar.nodes.sandbox.bitcoin.admission import MIN_RELAY, TRUC
from bursar.nodes.sandbox.bitcoin.rules import MISSING
from bursar.nodes.sandbox.bitcoin.standard import package_fault

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction, Txid
    from bursar.bitcoin.units import FeeRate
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
    from bursar.nodes.sandbox.bitcoin.mempool import Entry

FAILED: Final = "transaction failed"
_RETRIED: Final = ("insufficient fee", "bad-txns-inputs-missingorspent")
_POOR: Final = "min relay fee not met"


@dataclass(slots=True)
class Verdict:
    """What became of one transaction: its entry, the reason it was refused, or another witness that waits already."""

    entry: Entry | None = None
    error: str | None = None
    other: Txid | None = None
    together: tuple[Entry, ...] = ()  # whose fees and sizes were counted as one; none where it waited already


@dataclass(slots=True)
class Outcome:
    """The verdict on a package, on its transactions by wtxid, and what they replaced."""

    message: str
    verdicts: dict[Txid, Verdict] = field(default_factory=dict)
    replaced: list[Txid] = field(default_factory=list)


def is_child_with_parents(transactions: Sequence[Transaction]) -> bool:
    """Whether all but the last are parents of the last, and none is a parent of another."""
    *parents, child = transactions
    names = {parent.txid for parent in parents}
    spent = {source.outpoint.txid for source in child.inputs}
    return names <= spent and not any(source.outpoint.txid in names for tx in parents for source in tx.inputs)


def submit_package(chain: RegtestChain, transactions: Sequence[Transaction], *, most: FeeRate | None) -> Outcome:
    """Take what can be taken: each alone first, then those together that alone pay too little."""
    fault = package_fault(transactions)
    if fault is not None:
        return Outcome(fault)
    parents = {tx.txid for tx in transactions[:-1]}
    if not all(
        source.outpoint.txid in parents or source.outpoint in chain.index.coins for source in transactions[-1].inputs
    ):
        return Outcome("package-not-child-with-unconfirmed-parents")
    outcome = Outcome("success")
    again: list[Transaction] = []
    for tx in transactions:
        waiting = chain.mempool.entries.get(tx.txid)
        if waiting is not None:
            same = waiting.wtxid == tx.wtxid
            outcome.verdicts[tx.wtxid] = Verdict(waiting) if same else Verdict(other=waiting.wtxid)
            continue
        verdict, evicted = _alone(chain, tx, most)
        outcome.verdicts[tx.wtxid] = verdict
        outcome.replaced += evicted
        if verdict.error is not None:
            outcome.message = FAILED
            if verdict.error.startswith((*_RETRIED, _POOR) if tx.version == TRUC else _RETRIED):
                again.append(tx)
    refused = [verdict for verdict in outcome.verdicts.values() if verdict.error is not None]
    if again and len(again) == len(refused):
        _together(chain, again, outcome, most)
    return outcome


def _alone(chain: RegtestChain, tx: Transaction, most: FeeRate | None) -> tuple[Verdict, list[Txid]]:
    try:
        admissible = chain.examine(tx)
        if most is not None and admissible.entry.fee > most.fee(admissible.entry.vsize):
            return Verdict(error="max feerate exceeded"), []
        chain.submit(tx)
    except BroadcastRejectedError as error:
        missing = error.node_code == MISSING
        return Verdict(error="bad-txns-inputs-missingorspent" if missing else error.message), []
    entry = chain.mempool.entries[tx.txid]
    return Verdict(entry, together=(entry,)), [evicted.txid for evicted in admissible.evicted]


def _together(chain: RegtestChain, transactions: Sequence[Transaction], outcome: Outcome, most: FeeRate | None) -> None:
    """Judge the rest as one: the floor is asked of all fees over all sizes."""
    entries: list[Entry] = []
    kept = False
    now = int(time.time())
    try:
        for tx in transactions:
            entry = chain.examine_in_package(tx, now=now)
            if most is not None and entry.fee > most.fee(entry.vsize):
                outcome.verdicts = {tx.wtxid: Verdict(error="max feerate exceeded")}
                return
            chain.mempool.add(entry)
            entries.append(entry)
        fee, size = sum(entry.fee for entry in entries), sum(entry.vsize for entry in entries)
        if fee < MIN_RELAY.fee(size):
            error = f"{_POOR}, {fee} < {MIN_RELAY.fee(size)}"
            outcome.verdicts[transactions[-1].wtxid] = Verdict(error=error)
            return
        kept = True
    except BroadcastRejectedError as error:
        reason = "bad-txns-inputs-missingorspent" if error.node_code == MISSING else error.message
        outcome.verdicts[transactions[len(entries)].wtxid] = Verdict(error=reason)
        return
    finally:
        if not kept:
            for entry in reversed(entries):
                chain.mempool.remove(entry)
                chain.mempool.sequence -= 2
    chain.keep(entries)
    outcome.message = "success"
    outcome.verdicts |= {entry.wtxid: Verdict(entry, together=tuple(entries)) for entry in entries}
