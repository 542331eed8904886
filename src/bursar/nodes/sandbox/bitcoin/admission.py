"""The door of the memory pool: consensus, standardness, fees, packages, replacement, scripts, in Core 28's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.bitcoin.units import FeeRate
from bursar.nodes.sandbox.bitcoin.index import ChainIndex, Unspent
from bursar.nodes.sandbox.bitcoin.kernel import failing_input
from bursar.nodes.sandbox.bitcoin.mempool import Entry, Mempool, reach
from bursar.nodes.sandbox.bitcoin.opcodes import signature_cost
from bursar.nodes.sandbox.bitcoin.relay import signature_fault
from bursar.nodes.sandbox.bitcoin.replace import check_replacement
from bursar.nodes.sandbox.bitcoin.rules import (
    MISSING,
    check_alone,
    check_inputs,
    is_final,
    reject,
    relative_locks_met,
)
from bursar.nodes.sandbox.bitcoin.standard import MAX_SIGNATURE_COST, inputs_fault, transaction_fault

MIN_RELAY: Final = FeeRate(1000)
MAX_PACKAGE: Final = 25
MAX_PACKAGE_SIZE: Final = 101_000
CARVED_OUT: Final = 10_000  # virtual bytes of the one child more that a parent may have
BYTES_PER_SIGNATURE: Final = 20
TRUC: Final = 3
TRUC_SIZE: Final = 10_000
TRUC_CHILD_SIZE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Admissible:
    """A transaction the pool would take, and the entries it would evict."""

    entry: Entry
    evicted: tuple[Entry, ...]


class Admission:
    """Examines transactions for the block after the index's tip."""

    def __init__(self, index: ChainIndex, mempool: Mempool) -> None:
        self._index = index
        self._mempool = mempool

    def examine(self, tx: Transaction, *, now: int, limits: bool = True, replacement: bool = True) -> Admissible:
        """What would happen to ``tx``; ``BroadcastRejectedError`` with Core's reason and code if it is refused.

        ``limits=False`` waives the fee floors, as for transactions of a disconnected block.
        """
        check_alone(tx)
        fault = transaction_fault(tx)
        if fault is not None:
            reject(fault)
        tip = self._index.tip
        height = tip.height + 1
        if not is_final(tx, height, tip.median_time):
            reject("non-final")
        conflicts = self._conflicts(tx, replacement=replacement)
        spent = self._spent(tx)
        if not relative_locks_met(tx, spent, height, self._index.median_time):
            reject("non-BIP68-final")
        fee = check_inputs(tx, spent, height)
        scripts = [coin.script for coin in spent]
        fault = inputs_fault(tx, scripts)
        if fault is not None:
            reject(fault)
        cost = signature_cost(tx, scripts)
        if cost > MAX_SIGNATURE_COST:
            reject("bad-txns-too-many-sigops", str(cost))
        vsize = -(-max(tx.weight, cost * BYTES_PER_SIGNATURE) // 4)
        if limits and fee < MIN_RELAY.fee(vsize):
            reject("min relay fee not met", f"{fee} < {MIN_RELAY.fee(vsize)}")
        entry = Entry(tx, tx.txid, tx.wtxid, fee, vsize, now, tip.height)
        self._check_family(entry, conflicts, carve_out=replacement)
        evicted = check_replacement(self._mempool, tx, fee, vsize, conflicts.values()) if conflicts else {}
        self._check_scripts(tx, spent)
        return Admissible(entry, tuple(evicted.values()))

    def accept(self, tx: Transaction, *, now: int, limits: bool = True, replacement: bool = True) -> Admissible:
        """Examine ``tx`` and let it in."""
        admissible = self.examine(tx, now=now, limits=limits, replacement=replacement)
        for entry in admissible.evicted:
            self._mempool.remove(entry)
        self._mempool.add(admissible.entry)
        return admissible

    def coin(self, outpoint: OutPoint) -> Unspent | None:
        """An output of the chain or the pool, spent in the pool or not."""
        coin = self._index.coins.get(outpoint)
        if coin is not None:
            return coin
        entry = self._mempool.entries.get(outpoint.txid)
        if entry is None or outpoint.vout >= len(entry.tx.outputs):
            return None
        output = entry.tx.outputs[outpoint.vout]
        return Unspent(output.value, output.script, self._index.tip.height + 1, False)

    def _conflicts(self, tx: Transaction, *, replacement: bool) -> dict[Txid, Entry]:
        if self._mempool.has_wtxid(tx.wtxid):
            reject("txn-already-in-mempool")
        if tx.txid in self._mempool.entries:
            reject("txn-same-nonwitness-data-in-mempool")
        conflicts: dict[Txid, Entry] = {}
        for source in tx.inputs:
            spender = self._mempool.spender(source.outpoint)
            if spender is not None:
                if not replacement:
                    reject("bip125-replacement-disallowed")
                conflicts[spender.txid] = spender
        return conflicts

    def _spent(self, tx: Transaction) -> list[Unspent]:
        spent: list[Unspent] = []
        for source in tx.inputs:
            coin = self.coin(source.outpoint)
            if coin is None:
                if any(OutPoint(tx.txid, vout) in self._index.coins for vout in range(len(tx.outputs))):
                    reject("txn-already-known")
                reject("bad-txns-inputs-missingorspent", node_code=MISSING)
            spent.append(coin)
        return spent

    def _check_family(self, entry: Entry, conflicts: dict[Txid, Entry], *, carve_out: bool) -> None:
        """Package limits and topology, as they will be once the conflicts and what hangs on them are gone.

        ``carve_out`` lets a small child with one ancestor exceed that ancestor's limits, so that each of two parties
        to a transaction can pay for it.
        """
        parents = self._mempool.parents_of(entry.tx)
        ancestors = reach(parents.values(), up=True)
        leaving = reach(conflicts.values(), up=False)
        spared = carve_out and len(ancestors) == 1 and entry.vsize <= CARVED_OUT and entry.tx.version != TRUC
        fault = _limit_fault(entry, ancestors, leaving)
        if fault is not None and not (spared and _limit_fault(entry, ancestors, leaving, more=1) is None):
            reject("too-long-mempool-chain", fault)
        self._check_truc(entry, ancestors, leaving)
        for txid in conflicts:
            if txid in ancestors:
                reject("bad-txns-spends-conflicting-tx", f"{entry.txid} spends conflicting transaction {txid}")

    def _check_truc(self, entry: Entry, ancestors: dict[Txid, Entry], leaving: dict[Txid, Entry]) -> None:
        """Version 3 transactions: at most one parent and one child unconfirmed, small (BIP-431)."""
        if any((ancestor.tx.version == TRUC) != (entry.tx.version == TRUC) for ancestor in ancestors.values()):
            reject("TRUC-violation", f"tx {entry.txid} and an unconfirmed ancestor are not both version=3")
        if entry.tx.version != TRUC:
            return
        limit = TRUC_CHILD_SIZE if ancestors else TRUC_SIZE
        if entry.vsize > limit:
            reject("TRUC-violation", f"version=3 tx {entry.txid} is too big: {entry.vsize} > {limit} virtual bytes")
        if len(ancestors) > 1:
            reject("TRUC-violation", f"tx {entry.txid} would have too many ancestors")
        for parent in ancestors.values():
            if any(txid not in leaving for txid in parent.children):
                reject("TRUC-violation", f"tx {parent.txid} would exceed descendant count limit")

    def _check_scripts(self, tx: Transaction, spent: Sequence[Unspent]) -> None:
        failed = failing_input(tx.serialize(), [(coin.value, coin.script) for coin in spent])
        if failed is not None:
            outpoint = tx.inputs[failed].outpoint
            reject(f"mandatory-script-verify-flag-failed (input {failed} spending {outpoint} fails its script)")
        fault = signature_fault(tx, [coin.script for coin in spent])
        if fault is not None:
            reject(f"non-mandatory-script-verify-flag ({fault})")


def _limit_fault(
    entry: Entry, ancestors: dict[Txid, Entry], leaving: dict[Txid, Entry], *, more: int = 0
) -> str | None:
    """Which limit on a transaction's family is exceeded, with room for so many ``more`` small descendants."""
    if len(ancestors) + 1 > MAX_PACKAGE:
        return f"too many unconfirmed ancestors [limit: {MAX_PACKAGE}]"
    if entry.vsize + sum(ancestor.vsize for ancestor in ancestors.values()) > MAX_PACKAGE_SIZE:
        return f"exceeds ancestor size limit [limit: {MAX_PACKAGE_SIZE}]"
    for ancestor in ancestors.values():
        staying = [other for txid, other in ancestor.descendants().items() if txid not in leaving]
        if len(staying) + 2 > MAX_PACKAGE + more:
            return f"too many descendants for tx {ancestor.txid} [limit: {MAX_PACKAGE}]"
        size = entry.vsize + ancestor.vsize + sum(other.vsize for other in staying)
        if size > MAX_PACKAGE_SIZE + more * CARVED_OUT:
            return f"exceeds descendant size limit for tx {ancestor.txid} [limit: {MAX_PACKAGE_SIZE}]"
    return None
