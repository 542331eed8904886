"""Walking a node's blocks: where a known tip stands, and what the blocks of a stretch hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.block import Block
from bursar.bitcoin.network import Network
from bursar.chain.protocols import BlockRef, ChainTransaction
from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.nodes import reply as read
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction, Txid

NOT_FOUND: Final = -5
BATCH: Final = 500
WORTH_FILTERING: Final = 12  # below this many blocks reading them all is quicker
MAX_KEPT: Final = 10_000
BLIND_DEPTH: Final = 288  # how far back to read again when the node never saw the block we knew


class ChainMovedError(ChainUnavailableError):
    """The active chain changed between two questions; ask again."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading starts: the ``height`` of the first block, the hash below it, and the reorganised height.

    ``stale`` are the blocks between there and the last known tip that are no longer part of the chain, highest first;
    ``None`` when the node never saw that tip.
    """

    height: int
    base: str
    reorged: int | None
    stale: tuple[str, ...] | None = ()


class BlockReader:
    """Reads blocks by hash, so that the answers belong together whatever the chain does meanwhile."""

    def __init__(self, rpc: RpcClient, network: Network) -> None:
        self._rpc = rpc
        self._network = network
        self._headers: dict[str, BlockRef] = {}

    def start(self, since: BlockRef, *, height: int) -> Start:
        """Where to go on after ``since``, on a node whose tip is at ``height``."""
        reply = self._rpc.ask("getblockheader", since.hash)
        if isinstance(reply, Refusal):
            if reply.code != NOT_FOUND:
                raise self._rpc.translate("getblockheader", reply)
            return self._unknown(since, height)
        stale: list[str] = []
        while read.field(reply, "confirmations", int) < 0:
            stale.append(read.hash_text(read.field(reply, "hash", str), "hash"))
            previous = read.hash_text(read.field(reply, "previousblockhash", str), "previousblockhash")
            reply = self._rpc.call("getblockheader", previous)
        base = read.block_ref(reply)
        return Start(base.height + 1, base.hash, base.height + 1 if stale else None, tuple(stale))

    def _unknown(self, since: BlockRef, height: int) -> Start:
        if height < since.height:
            raise ChainUnavailableError(
                f"node {self._rpc.where} is at block {height}, behind block {since.height} known already: "
                "let it catch up, or use another node"
            )
        depth = since.height if self._network is Network.REGTEST else BLIND_DEPTH
        first = max(1, since.height - depth)
        return Start(first, self.hash_at(first - 1), first, None)

    def hash_at(self, height: int) -> str:
        """The hash of the active block at a height."""
        return read.hash_text(self._rpc.call("getblockhash", height), "a block hash")

    def hashes_at(self, heights: Sequence[int]) -> list[str]:
        """The hashes of the active blocks at some heights; ``ChainMovedError`` when the chain does not reach them."""
        hashes: list[str] = []
        for first in range(0, len(heights), BATCH):
            part = heights[first : first + BATCH]
            replies: list[Any] = self._rpc.batch("getblockhash", [(height,) for height in part])
            if any(isinstance(reply, Refusal) for reply in replies):
                raise ChainMovedError(f"the chain of node {self._rpc.where} got shorter while it was read")
            hashes += [read.hash_text(reply, "a block hash") for reply in replies]
        return hashes

    def header(self, block_hash: str) -> BlockRef:
        """A block's place; what a hash stands for never changes, so it is asked once."""
        ref = self._headers.get(block_hash)
        if ref is None:
            ref = self._named(self._rpc.call("getblockheader", block_hash), block_hash)
        return ref

    def active(self, hashes: Sequence[str]) -> list[BlockRef]:
        """The places of some blocks, lowest first; ``ChainMovedError`` when one is not part of the chain any more."""
        refs: list[BlockRef] = []
        for first in range(0, len(hashes), BATCH):
            part = hashes[first : first + BATCH]
            for block_hash, reply in zip(
                part, self._rpc.batch("getblockheader", [(one,) for one in part]), strict=True
            ):
                if isinstance(reply, Refusal):
                    raise self._rpc.translate("getblockheader", reply)
                if read.field(reply, "confirmations", int) < 0:
                    raise ChainMovedError(f"the chain of node {self._rpc.where} was reorganised while it was read")
                refs.append(self._named(reply, block_hash))
        return sorted(refs, key=lambda ref: ref.height)

    def _named(self, reply: Any, block_hash: str) -> BlockRef:
        ref = read.block_ref(reply)
        if ref.hash != block_hash:
            read.nonsense(f"block {block_hash} was asked for and {ref.hash} came")
        self._headers[block_hash] = ref
        forget_oldest(self._headers)
        return ref

    def block(self, ref: BlockRef) -> Block:
        """A whole block; its hash is the one asked for, and its transactions those its header commits to."""
        raw = read.raw_bytes(self._rpc.call("getblock", ref.hash, 0), "a block")
        try:
            block = Block.parse(raw)
            if block.hash[::-1].hex() != ref.hash:
                read.nonsense(f"block {ref.hash} was asked for and another came")
            block.check_transactions()
        except InvalidInputError as error:
            read.nonsense(error.message)
        return block

    def with_spent(self, block_hash: str) -> Any:
        """A block and what its transactions spent, as the node tells it (``getblock`` at verbosity 3)."""
        block = self._rpc.call("getblock", block_hash, 3)
        if read.block_ref(block).hash != block_hash:
            read.nonsense(f"block {block_hash} was asked for and another came")
        return block

    def taproot_payments(self, height: int) -> tuple[BlockRef, list[tuple[Transaction, tuple[bytes, ...]]]]:
        """The active block at ``height``, and its transactions with a taproot output, each with the scripts it spends.

        Coinbases are left out: they spend nothing.
        """
        block = self.with_spent(self.hash_at(height))
        found: list[tuple[Transaction, tuple[bytes, ...]]] = []
        for item in read.rows(block, "tx"):
            if not any(_is_taproot(_script(output)) for output in read.rows(item, "vout")):
                continue
            sources = read.rows(item, "vin")
            if any("coinbase" in source for source in sources if isinstance(source, dict)):
                continue
            tx = read.transaction(read.field(item, "hex", str), read.txid(read.field(item, "txid", str)))
            spent = [read.raw_bytes(_script(read.field(source, "prevout", dict)), "a script") for source in sources]
            if len(spent) != len(tx.inputs):
                read.nonsense(f"transaction {tx.txid} has {len(tx.inputs)} inputs and {len(spent)} were told")
            found.append((tx, tuple(spent)))
        return read.block_ref(block), found

    def stretch(self, start: Start, tip: BlockRef) -> list[str]:
        """The hashes from ``start`` to ``tip``; ``ChainMovedError`` when they are not one chain any more."""
        hashes = self.hashes_at(range(start.height - 1, tip.height + 1))
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
            block = self.with_spent(block_hash)
            ref = read.block_ref(block)
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


def _is_taproot(script: str) -> bool:
    return script.startswith("5120") and len(script) == 68


def forget_oldest(kept: dict[Any, Any]) -> None:
    """Keep what is remembered within bounds."""
    while len(kept) > MAX_KEPT:
        del kept[next(iter(kept))]
