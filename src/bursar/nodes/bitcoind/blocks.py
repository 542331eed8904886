"""Walking a node's blocks: where a known tip stands, and which transactions of a stretch concern some scripts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.network import Network
from bursar.chain.protocols import BlockRef, ChainTransaction
from bursar.errors import ChainUnavailableError
from bursar.nodes.bitcoind import reply as read
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Txid

FILTERS: Final = "basic block filter index"
NOT_FOUND: Final = -5
BATCH: Final = 500
WORTH_FILTERING: Final = 12  # below this many blocks reading them all is quicker
BLIND_DEPTH: Final = 288  # how far back to read again when the node never saw the block we knew


class ChainMovedError(ChainUnavailableError):
    """The active chain changed between two questions; ask again."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading starts: the ``height`` of the first block, the hash below it, and the reorganised height."""

    height: int
    base: str
    reorged: int | None


class BlockReader:
    """Reads blocks by hash, so that the answers belong together whatever the chain does meanwhile."""

    def __init__(self, rpc: RpcClient, network: Network) -> None:
        self._rpc = rpc
        self._network = network

    def start(self, since: BlockRef, *, height: int) -> Start:
        """Where to go on after ``since``, on a node whose tip is at ``height``."""
        reply = self._rpc.ask("getblockheader", since.hash)
        if isinstance(reply, Refusal):
            if reply.code != NOT_FOUND:
                raise self._rpc.translate("getblockheader", reply)
            return self._unknown(since, height)
        moved = False
        while read.field(reply, "confirmations", int) < 0:
            moved = True
            previous = read.hash_text(read.field(reply, "previousblockhash", str), "previousblockhash")
            reply = self._rpc.call("getblockheader", previous)
        base = read.block_ref(reply)
        return Start(base.height + 1, base.hash, base.height + 1 if moved else None)

    def _unknown(self, since: BlockRef, height: int) -> Start:
        if height < since.height:
            raise ChainUnavailableError(
                f"node {self._rpc.where} is at block {height}, behind block {since.height} known already: "
                "let it catch up, or use another node"
            )
        depth = since.height if self._network is Network.REGTEST else BLIND_DEPTH
        first = max(1, since.height - depth)
        return Start(first, self.hash_at(first - 1), first)

    def hash_at(self, height: int) -> str:
        """The hash of the active block at a height."""
        return read.hash_text(self._rpc.call("getblockhash", height), "a block hash")

    def has_filters(self, height: int) -> bool:
        """Whether the node keeps block filters up to a height."""
        reply = self._rpc.ask("getindexinfo", FILTERS)
        state = reply.get(FILTERS) if isinstance(reply, dict) else None
        return isinstance(state, dict) and state.get("synced") is True and state.get("best_block_height", -1) >= height

    def relevant(self, start: int, tip: BlockRef, descriptors: Sequence[str], *, timeout: float) -> list[str]:
        """The hashes of the blocks from ``start`` to ``tip`` that may concern the descriptors, by block filters."""
        reply = self._rpc.call("scanblocks", "start", list(descriptors), start, tip.height, "basic", timeout=timeout)
        if not read.field(reply, "completed", bool):
            raise ChainUnavailableError(f"node {self._rpc.where} was told to stop scanning: try again")
        return [read.hash_text(item, "a block hash") for item in read.rows(reply, "relevant_blocks")]

    def stretch(self, start: Start, tip: BlockRef) -> list[str]:
        """The hashes from ``start`` to ``tip``; ``ChainMovedError`` when they are not one chain any more."""
        hashes: list[str] = []
        for first in range(start.height - 1, tip.height + 1, BATCH):
            part = range(first, min(first + BATCH, tip.height + 1))
            replies: list[Any] = self._rpc.batch("getblockhash", [(height,) for height in part])
            if any(isinstance(reply, Refusal) for reply in replies):
                raise ChainMovedError(f"the chain of node {self._rpc.where} got shorter while it was read")
            hashes += [read.hash_text(reply, "a block hash") for reply in replies]
        if not hashes or hashes[0] != start.base or hashes[-1] != tip.hash:
            raise ChainMovedError(f"the chain of node {self._rpc.where} was reorganised while it was read")
        return hashes[1:]

    def transactions(
        self, hashes: Sequence[str], tip: BlockRef, scripts: Collection[bytes], txids: Collection[Txid]
    ) -> Iterator[ChainTransaction]:
        """The transactions of these blocks that pay a script, spend from one, or have one of the ids."""
        wanted = {script.hex() for script in scripts}
        names = {str(txid) for txid in txids}
        for block_hash in hashes:
            block = self._rpc.call("getblock", block_hash, 3)
            ref = read.block_ref(block)
            if ref.hash != block_hash:
                read.nonsense(f"block {block_hash} was asked for and {ref.hash} came")
            if read.field(block, "confirmations", int) < 0 or ref.height > tip.height:
                raise ChainMovedError(f"the chain of node {self._rpc.where} was reorganised while it was read")
            for item in read.rows(block, "tx"):
                if _concerns(item, wanted) or item.get("txid") in names:
                    tx = read.transaction(read.field(item, "hex", str), read.txid(read.field(item, "txid", str)))
                    yield ChainTransaction(tx, ref)


def _concerns(item: Any, wanted: set[str]) -> bool:
    if any(_script(output) in wanted for output in read.rows(item, "vout")):
        return True
    for source in read.rows(item, "vin"):
        if isinstance(source, dict) and "coinbase" in source:
            return False
        if _script(read.field(source, "prevout", dict)) in wanted:
            return True
    return False


def _script(output: Any) -> str:
    return read.field(read.field(output, "scriptPubKey", dict), "hex", str)
