"""Which blocks may concern some scripts: by the node's own filter scan, or by its filters matched here (BIP-158)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bursar.bitcoin.filters import GENESIS_PREVIOUS, BlockFilter, FilterHeaders, Scripts
from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.nodes import reply as read
from bursar.nodes.bitcoind.blocks import BlockReader, ChainMovedError
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

INDEX: Final = "basic block filter index"
BATCH: Final = 100
MAX_PROGRESS: Final = 4


class _Progress:
    """How far a local scan has come; ``found`` are heights."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.last_hash: str | None = None
        self.headers: FilterHeaders | None = None
        self.found: list[int] = []


class FilterScan:
    """Scans a node's filters. With ``private`` the node is asked for all filters and not told which scripts.

    A local scan that the connection interrupts goes on where it was when the same scripts are asked for again.
    """

    def __init__(self, rpc: RpcClient, blocks: BlockReader, *, private: bool, timeout: float) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self.private = private
        self._timeout = timeout
        self._progress: dict[tuple[frozenset[bytes], int], _Progress] = {}

    def reach(self, height: int) -> bool:
        """Whether the node keeps block filters up to a height."""
        reply = self._rpc.ask("getindexinfo", INDEX)
        state = reply.get(INDEX) if isinstance(reply, dict) else None
        best = state.get("best_block_height") if isinstance(state, dict) else None
        return isinstance(state, dict) and state.get("synced") is True and type(best) is int and best >= height

    def candidates(self, scripts: Sequence[bytes], first: int, last: int) -> list[str]:
        """The hashes of the blocks from ``first`` to ``last`` that may concern the scripts; none is left out."""
        if not scripts or first > last:
            return []
        if self.private:
            return self._blocks.hashes_at(self._matching(scripts, first, last))
        descriptors = [f"raw({script.hex()})" for script in scripts]  # nodes ask for no checksum here
        reply = self._rpc.call("scanblocks", "start", descriptors, first, last, "basic", timeout=self._timeout)
        if not read.field(reply, "completed", bool):
            raise ChainUnavailableError(f"node {self._rpc.where} was told to stop scanning: try again")
        return [read.hash_text(item, "a block hash") for item in read.rows(reply, "relevant_blocks")]

    def _matching(self, scripts: Sequence[bytes], first: int, last: int) -> list[int]:
        key = (frozenset(scripts), first)
        progress = self._progress.pop(key, None) or _Progress(first)
        self._progress[key] = progress
        while len(self._progress) > MAX_PROGRESS:
            del self._progress[next(iter(self._progress))]
        if not self._stands(progress):
            progress = self._progress[key] = _Progress(first)
        wanted = Scripts(scripts)
        while progress.next <= last:
            self._advance(progress, wanted, min(progress.next + BATCH, last + 1))
        return [height for height in progress.found if height <= last]

    def _stands(self, progress: _Progress) -> bool:
        """Whether the chain still has the block a scan stopped at."""
        if progress.last_hash is None:
            return True
        try:
            return self._blocks.hashes_at([progress.next - 1]) == [progress.last_hash]
        except ChainMovedError:
            return False

    def _advance(self, progress: _Progress, wanted: Scripts, end: int) -> None:
        span = range(progress.next, end)
        hashes = self._blocks.hashes_at(span)
        headers = progress.headers or FilterHeaders(self._header_before(progress.next))
        replies: list[Any] = self._rpc.batch("getblockfilter", [(block_hash, "basic") for block_hash in hashes])
        found: list[int] = []
        for height, block_hash, reply in zip(span, hashes, replies, strict=True):
            if isinstance(reply, Refusal):
                raise self._rpc.translate("getblockfilter", reply)
            try:
                content = read.raw_bytes(read.field(reply, "filter", str), "a filter")
                one = BlockFilter(bytes.fromhex(block_hash)[::-1], content)
                announced = bytes.fromhex(read.hash_text(read.field(reply, "header", str), "a filter header"))[::-1]
                if one.header(headers.last) != announced and hashes != self._blocks.hashes_at(span):
                    raise ChainMovedError(f"the chain of node {self._rpc.where} was reorganised while it was read")
                headers.follow(one, announced)
                if one.matches(wanted):
                    found.append(height)
            except InvalidInputError as error:
                read.nonsense(error.message)
        progress.headers, progress.last_hash = headers, hashes[-1]
        progress.found += found
        progress.next = end

    def _header_before(self, height: int) -> bytes:
        if height == 0:
            return GENESIS_PREVIOUS
        reply = self._rpc.call("getblockfilter", self._blocks.hashes_at([height - 1])[0], "basic")
        return bytes.fromhex(read.hash_text(read.field(reply, "header", str), "a filter header"))[::-1]
