"""One sync of a node: coins and history of the scripts, from its filters, its blocks or its set of unspent outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from bursar.chain.protocols import BlockRef, ChainCoin, ChainTransaction, ChainUpdate, SyncRequest
from bursar.errors import ChainError
from bursar.nodes.bitcoind import blocks as walking
from bursar.nodes.bitcoind.blocks import BlockReader, ChainMovedError, Start
from bursar.nodes.bitcoind.ledger import Ledger

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import OutPoint, Txid
    from bursar.nodes.bitcoind.coins import CoinScan
    from bursar.nodes.bitcoind.filters import FilterScan
    from bursar.nodes.bitcoind.lookup import Lookup
    from bursar.nodes.bitcoind.mempool import MempoolSpends
    from bursar.nodes.bitcoind_rpc import RpcClient


class Reading:
    """Chooses the cheapest way the node offers, and reads so that the answer belongs to one tip."""

    def __init__(
        self,
        rpc: RpcClient,
        *,
        blocks: BlockReader,
        filters: FilterScan,
        coins: CoinScan,
        mempool: MempoolSpends,
        lookup: Lookup,
    ) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self._filters = filters
        self._coins = coins
        self._mempool = mempool
        self._lookup = lookup

    def update(self, tip: BlockRef, request: SyncRequest) -> ChainUpdate:
        """The answer; ``ChainMovedError`` when the chain moved meanwhile in a way that spoils it."""
        scripts = tuple(dict.fromkeys(request.scripts))
        since = request.since
        start = Start(0, "", None) if since is None else self._blocks.start(since, height=tip.height)
        self._mempool.refresh()  # before the coins: what confirms in between is found twice, not missed
        known = self._carried_on(request, scripts, start)
        fresh = tuple(script for script in scripts if known is None or script not in known.scripts)
        filtered = bool(scripts) and self._filters.reach(tip.height)
        if scripts and self._filters.private and not filtered:
            raise ChainError(
                f"node {self._rpc.where} keeps no block filters: start it with -blockfilterindex=1, "
                "or let it know the scripts (private off)"
            )
        coins: dict[OutPoint, ChainCoin] = {}
        found: dict[Txid, ChainTransaction] = {}
        ledgers: list[tuple[Ledger, Collection[str]]] = []
        by_blocks = filtered and (self._filters.private or since is None or known is not None)
        scanned = bool(fresh) and not by_blocks
        end = tip
        if scanned:
            tip, unspent, births = self._coins.scan(fresh)
            end = tip
            coins = {coin.outpoint: coin for coin in unspent}
            found = {entry.tx.txid: entry for entry in births}
        else:
            end = self._end(request.stop, start, tip)
            first = min(request.birthday, end.height)
            ledgers.append((Ledger(fresh), self._filters.candidates(fresh, first, end.height) if fresh else ()))
        if known is not None:
            ledgers.append((known, self._concerned(known.scripts, start, end, filtered=filtered)))
        if scanned and since is not None:
            hashes = self._concerned(fresh, start, end, filtered=filtered)
            for entry in self._blocks.transactions(list(hashes), end, fresh, request.txids):
                found[entry.tx.txid] = entry
        self._read(ledgers, end, request.txids)
        if not scanned:
            self._hold(start, end, whole=since is None)
        for ledger, _ in ledgers:
            found |= ledger.found
            coins |= ledger.coins
        if end.height == tip.height:
            for txid, tx in self._mempool.touching(frozenset(scripts), coins.keys()).items():
                found.setdefault(txid, ChainTransaction(tx, None))
            missing = self._fates(request.txids, found, start, tip, whole=since is None)
        else:
            missing = []
        for entry in found.values():
            self._lookup.remember(entry)
        order = sorted(
            found.values(), key=lambda entry: (entry.block is None, entry.block.height if entry.block else 0)
        )
        complete = not scanned or (since is not None and known is None)
        return ChainUpdate(
            end,
            tuple(coins.values()),
            tuple(order),
            tuple(missing),
            start.reorged,
            complete,
            tip.height - end.height,
        )

    def _carried_on(self, request: SyncRequest, scripts: Sequence[bytes], start: Start) -> Ledger | None:
        """The coins the caller knows, at the block below ``start``; ``None`` when they cannot be told any more."""
        if request.coins is None or request.since is None or start.stale is None:
            return None
        ledger = Ledger((script for script in scripts if script not in request.fresh), request.coins)
        for block_hash in start.stale:
            if not ledger.disconnect(self._blocks.with_spent(block_hash)):
                return None
        return ledger

    def _end(self, stop: int | None, start: Start, tip: BlockRef) -> BlockRef:
        if stop is None or stop >= tip.height:
            return tip
        return self._blocks.header(self._blocks.hash_at(max(stop, start.height - 1, 0)))

    def _concerned(self, scripts: Iterable[bytes], start: Start, end: BlockRef, *, filtered: bool) -> Collection[str]:
        """The blocks from ``start`` to ``end`` to look into: those whose filters match, or all."""
        if filtered and end.height - start.height >= walking.WORTH_FILTERING:
            return self._filters.candidates(tuple(scripts), start.height, end.height)
        return self._blocks.stretch(start, end)

    def _read(self, ledgers: Sequence[tuple[Ledger, Collection[str]]], end: BlockRef, names: Collection[Txid]) -> None:
        wanted: dict[str, list[Ledger]] = {}
        for ledger, hashes in ledgers:
            for block_hash in hashes:
                wanted.setdefault(block_hash, []).append(ledger)
        for ref in self._blocks.active(list(wanted)):
            if ref.height > end.height:
                raise ChainMovedError(f"node {self._rpc.where} got a new block while it was read")
            block = self._blocks.block(ref)
            for ledger in wanted[ref.hash]:
                ledger.connect(block.transactions, ref, names)

    def _hold(self, start: Start, end: BlockRef, *, whole: bool) -> None:
        """``ChainMovedError`` unless the first and the last block are where they were."""
        expected = {end.height: end.hash} if whole else {start.height - 1: start.base, end.height: end.hash}
        if self._blocks.hashes_at(list(expected)) != list(expected.values()):
            raise ChainMovedError(f"the chain of node {self._rpc.where} was reorganised while it was read")

    def _fates(
        self, txids: Iterable[Txid], found: dict[Txid, ChainTransaction], start: Start, tip: BlockRef, *, whole: bool
    ) -> list[Txid]:
        """Add what became of these transactions to ``found``; those the node does not know are given back."""
        missing: list[Txid] = []
        for txid in dict.fromkeys(txids):
            known = found.get(txid) or self._lookup.transaction(txid)
            if known is None:
                missing.append(txid)
            elif known.block is None or known.block.height <= tip.height:
                found[txid] = known
            else:
                raise ChainMovedError(f"node {self._rpc.where} got a new block while it was read")
        if missing and not whole:
            rest = Ledger(())
            self._read([(rest, self._blocks.stretch(start, tip))], tip, missing)
            found |= rest.found
        return [txid for txid in missing if txid not in found]
