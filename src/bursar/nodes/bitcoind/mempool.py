"""Which waiting transactions concern us: a node's mempool, read once and kept as fingerprints."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.nodes import reply as read
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

BATCH: Final = 200


class MempoolSpends:
    """Sees only what spends coins that are known, by asking for each; nothing is kept."""

    def __init__(self, rpc: RpcClient) -> None:
        self._rpc = rpc

    def refresh(self) -> None:
        """Nothing is kept, so nothing grows old."""

    def fetch(self, txids: Iterable[Txid]) -> Iterator[Transaction]:
        """Those of some transactions that still wait."""
        waiting = list(txids)
        for start in range(0, len(waiting), BATCH):
            part = waiting[start : start + BATCH]
            replies: list[Any] = self._rpc.batch("getrawtransaction", [(str(txid),) for txid in part])
            for txid, reply in zip(part, replies, strict=True):
                if not isinstance(reply, Refusal):  # refused: it left meanwhile
                    yield read.transaction(reply, txid)

    def touching(self, scripts: Collection[bytes], outpoints: Collection[OutPoint]) -> dict[Txid, Transaction]:
        """Every waiting transaction that spends an outpoint, or what another of these pays to a script."""
        found: dict[Txid, Transaction] = {}
        asked = list(outpoints)
        while asked:
            spenders = self._spenders(asked) - found.keys()
            asked = []
            for tx in self.fetch(spenders):
                found[tx.txid] = tx
                asked += [OutPoint(tx.txid, vout) for vout, output in enumerate(tx.outputs) if output.script in scripts]
        return found

    def _spenders(self, outpoints: Sequence[OutPoint]) -> set[Txid]:
        spenders: set[Txid] = set()
        for start in range(0, len(outpoints), BATCH):
            part = [{"txid": str(txid), "vout": vout} for txid, vout in outpoints[start : start + BATCH]]
            reply = self._rpc.call("gettxspendingprevout", part)
            if not isinstance(reply, list):
                read.nonsense("the spenders are not a list")
            for item in reply:
                spender = item.get("spendingtxid") if isinstance(item, dict) else read.nonsense("no spender")
                if spender is not None:
                    spenders.add(read.txid(spender))
        return spenders


class MempoolView(MempoolSpends):
    """Sees everything. Keeps 64-bit fingerprints of what each waiting transaction pays and spends: about 100 bytes.

    A match is only a candidate; the transaction itself is fetched again and looked at.
    """

    def __init__(self, rpc: RpcClient) -> None:
        super().__init__(rpc)
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
        for tx in self.fetch(fresh):
            marks = [hash(output.script) for output in tx.outputs]
            marks += [hash(source.outpoint) for source in tx.inputs]
            self._fingerprints[tx.txid] = array("q", marks)

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
            for tx in self.fetch(candidates):
                ours = {OutPoint(tx.txid, vout) for vout, output in enumerate(tx.outputs) if output.script in paid}
                if ours or not spent.isdisjoint(source.outpoint for source in tx.inputs):
                    found[tx.txid] = tx
                fresh |= ours
            spent |= fresh
            marks = {hash(outpoint) for outpoint in fresh}
        return found
