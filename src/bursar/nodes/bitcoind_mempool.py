"""Which waiting transactions concern us: a node's mempool, read once and kept as fingerprints."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.nodes import bitcoind_reply as read
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

BATCH: Final = 200


class MempoolView:
    """Keeps 64-bit fingerprints of what each waiting transaction pays and spends: some hundred bytes each.

    A match is only a candidate; the transaction itself is fetched again and looked at.
    """

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc
        self._fingerprints: dict[Txid, array[int]] = {}

    def refresh(self) -> None:
        """Read what came since the last time, forget what left."""
        reply = self._rpc.call("getrawmempool")
        if not isinstance(reply, list):
            read.nonsense("the mempool is not a list")
        present = {read.txid(item) for item in reply}
        for gone in self._fingerprints.keys() - present:
            del self._fingerprints[gone]
        fresh = [txid for txid in present if txid not in self._fingerprints]
        for tx in self._fetch(fresh):
            marks = [hash(output.script) for output in tx.outputs]
            marks += [hash(source.outpoint) for source in tx.inputs]
            self._fingerprints[tx.txid] = array("q", marks)

    def _fetch(self, txids: Iterable[Txid]) -> Iterable[Transaction]:
        """Those of some transactions that still wait."""
        waiting = list(txids)
        for start in range(0, len(waiting), BATCH):
            part = waiting[start : start + BATCH]
            replies: list[Any] = self._rpc.batch("getrawtransaction", [(str(txid),) for txid in part])
            for txid, reply in zip(part, replies, strict=True):
                if not isinstance(reply, Refusal):  # refused: it left meanwhile
                    yield read.transaction(reply, txid)

    def touching(self, scripts: Collection[bytes], outpoints: Collection[OutPoint]) -> dict[Txid, Transaction]:
        """Every waiting transaction that pays a script, or spends an outpoint or what another of these pays."""
        found: dict[Txid, Transaction] = {}
        seen: set[Txid] = set()
        paid, spent = set(scripts), set(outpoints)
        marks = {hash(item) for item in (*paid, *spent)}
        while marks:
            candidates = [
                txid for txid, own in self._fingerprints.items() if txid not in seen and not marks.isdisjoint(own)
            ]
            seen.update(candidates)
            fresh: set[OutPoint] = set()
            for tx in self._fetch(candidates):
                ours = {OutPoint(tx.txid, vout) for vout, output in enumerate(tx.outputs) if output.script in paid}
                if ours or not spent.isdisjoint(source.outpoint for source in tx.inputs):
                    found[tx.txid] = tx
                fresh |= ours
            spent |= fresh
            marks = {hash(outpoint) for outpoint in fresh}
        return found
