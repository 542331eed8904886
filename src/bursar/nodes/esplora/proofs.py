"""What an Esplora server says is in a block, held to Merkle branches and to headers with proof of work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.headers import BlockHeader, check_inclusion, latest_checkpoint, target_of
from bursar.bitcoin.headers.checkpoints import period_end
from bursar.bitcoin.headers.difficulty import PERIOD, RULES
from bursar.bitcoin.network import Network
from bursar.errors import ChainError, InvalidInputError
from bursar.nodes import reply as read
from bursar.nodes.esplora.client import RefusedError
from bursar.nodes.esplora.shapes import block_ref, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.transaction import Transaction, Txid
    from bursar.chain.protocols import BlockRef
    from bursar.nodes.esplora.client import EsploraClient

LINKED: Final = 20  # blocks below the tip whose links to it are followed
CHEAP: Final = target_of(0x1D00FFFF) // 10**12  # a block of easier target than this could be mined for a lie
LEEWAY: Final = 16  # how much easier than the last known period's a target may have become
MAX_KEPT: Final = 50_000


class Proofs:
    """Checks and remembers: a transaction proven in a block needs no second proof."""

    def __init__(self, client: EsploraClient, network: Network) -> None:
        self._client = client
        self._network = network
        self._headers: dict[str, BlockHeader] = {}
        self._proven: dict[tuple[Txid, str], None] = {}
        self._linked: dict[int, str] = {}
        self._periods: dict[int, dict[int, str]] = {}
        self._walking = threading.Lock()

    def follow_tip(self, tip: BlockRef) -> None:
        """Read the last blocks from ``tip`` down, each the parent of the one above it."""
        linked: dict[int, str] = {}
        for ref, header in self._down(tip.height, tip.hash):
            self._check_work(header, ref.height)
            linked[ref.height] = ref.hash
            if ref.height <= tip.height - LINKED:
                break
        self._linked = linked

    def check_place(self, ref: BlockRef) -> bool:
        """Whether a block is where the tip's ancestors have it; true of those too deep to be followed."""
        return self._linked.get(ref.height, ref.hash) == ref.hash

    def prove(self, tx: Transaction, ref: BlockRef) -> None:
        """That a transaction is in the block; ``ChainError`` (``chain.proof``) if the server cannot show it."""
        if (tx.txid, ref.hash) in self._proven:
            return
        header = self._header(ref)
        try:
            answer = self._client.json(f"/tx/{tx.txid}/merkle-proof")
        except RefusedError as error:
            raise ChainError(
                f"esplora server {self._client.where} proves no transactions ({error.status} {error.text}): "
                "use another one, or trust its word (proofs off)",
                code="chain.proof",
            ) from error
        branch = [bytes.fromhex(read.hash_text(node, "a node"))[::-1] for node in read.rows(answer, "merkle")]
        try:
            if read.number(answer, "block_height") != ref.height:
                read.nonsense(f"transaction {tx.txid} is proven in another block than it is said to be in")
            check_inclusion(tx, header, branch, read.number(answer, "pos"))
        except InvalidInputError as error:
            raise ChainError(
                f"esplora server {self._client.where} says a transaction is in block {ref.hash} and cannot prove it: "
                f"{error.message}; do not trust it",
                code="chain.proof",
            ) from error
        self._proven[tx.txid, ref.hash] = None
        while len(self._proven) > MAX_KEPT:
            del self._proven[next(iter(self._proven))]

    def _header(self, ref: BlockRef) -> BlockHeader:
        header = self._headers.get(ref.hash)
        if header is None:
            header = self._raw_header(ref.hash)
            self._check_work(header, ref.height)
            self._check_anchor(header, ref)
            self._headers[ref.hash] = header
            while len(self._headers) > MAX_KEPT:
                del self._headers[next(iter(self._headers))]
        if header.time != ref.time:
            read.nonsense(f"block {ref.hash} has another time than its header")
        return header

    def _raw_header(self, block_hash: str) -> BlockHeader:
        raw = read.raw_bytes(self._client.text(f"/block/{block_hash}/header"), "a header")
        try:
            header = BlockHeader.parse(raw)
        except InvalidInputError as error:
            read.nonsense(error.message)
        if header.name != block_hash:
            read.nonsense(f"block {block_hash} was asked for and {header.name} came")
        return header

    def _check_work(self, header: BlockHeader, height: int) -> None:
        """Proof of work, to a target no easier than blocks of that height can have."""
        try:
            target = target_of(header.bits)
        except InvalidInputError as error:
            read.nonsense(error.message)
        easiest = target_of(RULES[self._network].limit)
        if self._network is Network.MAIN:
            easiest = self._easiest(height)
        if target > easiest or int.from_bytes(header.hash, "little") > target:
            read.nonsense(f"block {header.name} lacks the proof of work of its height")

    def _easiest(self, height: int) -> int:
        """The target of a block of the main network: exactly known where its period's end is, else bounded."""
        known = latest_checkpoint(Network.MAIN)
        assert known is not None
        last = period_end(Network.MAIN, height // PERIOD)
        end = known.hash if last is None else last[::-1].hex()
        header = self._headers.get(end)
        if header is None:
            header = self._headers[end] = self._raw_header(end)
        return target_of(header.bits) * (LEEWAY if last is None else 1)

    def _check_anchor(self, header: BlockHeader, ref: BlockRef) -> None:
        """On the main network an old block, cheap to forge, must be an ancestor of its period's known end."""
        period = ref.height // PERIOD
        last = period_end(self._network, period)
        if last is None:
            return
        cheap = (ref.height + 1) % PERIOD == 0 or target_of(header.bits) > CHEAP
        if cheap and self._in_period(period, ref.height, last[::-1].hex()) != ref.hash:
            read.nonsense(f"block {ref.hash} is not part of the chain that everybody knows")

    def _in_period(self, period: int, height: int, last: str) -> str:
        with self._walking:
            known = self._periods.setdefault(period, {(period + 1) * PERIOD - 1: last})
            if height not in known:
                lowest = min(known)
                for ref, _ in self._down(lowest, known[lowest]):
                    known[ref.height] = ref.hash
                    if ref.height == height:
                        break
            return known[height]

    def _down(self, height: int, wanted: str) -> Iterator[tuple[BlockRef, BlockHeader]]:
        """Blocks from one down to genesis, each the parent of the one before."""
        while height >= 0:
            page = rows(self._client.json(f"/blocks/{height}"), "the blocks")
            if not page:
                read.nonsense("a list of blocks is empty")
            for item in page:
                ref, header = block_ref(item, wanted)
                if ref.height != height:
                    read.nonsense(f"block {ref.hash} is at two heights")
                yield ref, header
                wanted, height = header.previous[::-1].hex(), height - 1
                if height < 0:
                    return
