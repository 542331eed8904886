"""A regtest chain: mining, submitting, reorganising and remembering, with libbitcoinkernel as the judge of blocks."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from bursar.bitcoin.block import Block
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.errors import BroadcastRejectedError, InvalidInputError
from bursar.nodes.sandbox.bitcoin import template
from bursar.nodes.sandbox.bitcoin.admission import TRUC, Admissible, Admission
from bursar.nodes.sandbox.bitcoin.blocks import assemble, coinbase, subsidy
from bursar.nodes.sandbox.bitcoin.index import ChainIndex, Connected, Unspent
from bursar.nodes.sandbox.bitcoin.kernel import Kernel
from bursar.nodes.sandbox.bitcoin.mempool import Entry, Mempool
from bursar.nodes.sandbox.bitcoin.store import Store

if TYPE_CHECKING:
    from bursar.bitcoin.filters import BlockFilter

MAX_BLOCKS_AT_ONCE: Final = 100_000
Event = Literal["added", "removed", "connected", "disconnected", "tip"]
Listener = Callable[[Event, Block | Transaction, int], None]  # what happened, to what, the mempool's sequence


@dataclass(frozen=True, slots=True)
class Known:
    """A block this chain was given, on the active branch or not."""

    block: Block
    height: int


class RegtestChain:
    """The chain in ``folder``, or one that lives as long as the object when ``folder`` is ``None``.

    Every public method takes ``lock``; whoever needs several answers about the same moment holds it around them.
    Without ``indexes`` its JSON-RPC answers like a node started without ``-txindex`` and ``-blockfilterindex``.
    """

    def __init__(self, folder: Path | None, *, indexes: bool = True) -> None:
        self.indexed = indexes
        self.lock = threading.RLock()
        self.index = ChainIndex()
        self.mempool = Mempool()
        self.known: dict[bytes, Known] = {self.index.tip.block.hash: Known(self.index.tip.block, 0)}
        self._admission = Admission(self.index, self.mempool)
        self._temporary = Path(tempfile.mkdtemp(prefix="bursar-regtest-")) if folder is None else None
        self._invalid: dict[bytes, None] = {}
        self._undone: dict[bytes, Connected] = {}
        self.filters: dict[bytes, tuple[BlockFilter, bytes]] = {}  # with their headers, by block
        self.listeners: list[Listener] = []
        self.notifications: list[dict[str, str | int]] = []  # what getzmqnotifications lists
        self._saved_sequence = self.mempool.sequence
        self._store: Store | None = None
        self._kernel: Kernel | None = None
        try:
            self._store = Store(folder) if folder is not None else None
            self._kernel = Kernel(
                self._store.kernel if self._store else (self._temporary or Path()) / "kernel",
                in_memory=self._store is None,
            )
            if self._store is not None:
                self._load(self._store)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flush and let go of the folder; idempotent."""
        with self.lock:
            if self._kernel is not None:
                self._kernel.close()
                self._kernel = None
            if self._store is not None:
                self._store.close()
                self._store = None
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
                self._temporary = None

    # what the chain is

    @property
    def height(self) -> int:
        """Of the tip; genesis is 0."""
        return self.index.tip.height

    @property
    def tip_hash(self) -> str:
        """Of the tip, display hex."""
        return self.index.tip.block.hash[::-1].hex()

    def is_invalid(self, block_hash: bytes) -> bool:
        """Whether a known block or one it builds on was declared invalid."""
        while block_hash not in self._invalid:
            known = self.known.get(block_hash)
            if known is None or known.height == 0:
                return False
            block_hash = known.block.header.previous
        return True

    def is_active(self, known: Known) -> bool:
        """Whether a known block is part of the active chain."""
        chain = self.index.chain
        return known.height < len(chain) and chain[known.height].block.hash == known.block.hash

    def connected(self, known: Known) -> Connected | None:
        """What a block spent, if it is active or was since the chain was opened."""
        return self.index.chain[known.height] if self.is_active(known) else self._undone.get(known.block.hash)

    def median_time(self, known: Known) -> int:
        """Median time past of a known block, on whatever branch (BIP-113)."""
        times: list[int] = []
        while len(times) < 11:
            times.append(known.block.header.time)
            if known.height == 0:
                break
            known = self.known[known.block.header.previous]
        return sorted(times)[len(times) // 2]

    # transactions

    def coin(self, outpoint: OutPoint) -> Unspent | None:
        """An output of the chain or the mempool, whether or not the mempool spends it."""
        with self.lock:
            return self._admission.coin(outpoint)

    def examine(self, tx: Transaction, *, replacement: bool = True) -> Admissible:
        """What the mempool would say to ``tx``, without taking it; ``BroadcastRejectedError`` when it would refuse."""
        with self.lock:
            return self._admission.examine(tx, now=int(clock.time()), replacement=replacement)

    def submit(self, tx: Transaction) -> Txid:
        """Take ``tx`` into the mempool; ``BroadcastRejectedError`` with Core's code and reason when it is refused."""
        with self.lock:
            admitted = self._admission.accept(tx, now=int(clock.time()))
            for entry in admitted.evicted:
                self._tell("removed", entry.tx)
            self.keep([admitted.entry])
            return admitted.entry.txid

    def examine_in_package(self, tx: Transaction, *, now: int) -> Entry:
        """What the mempool would make of ``tx`` among others that pay for it: no replacement, and only version 3
        may pay less than the relay floor, for nothing else is sure to stay paid for (BIP-431)."""
        with self.lock:
            return self._admission.examine(tx, now=now, limits=tx.version != TRUC, replacement=False).entry

    def keep(self, entries: Sequence[Entry]) -> None:
        """Make new entries of the mempool last, and tell of them."""
        for entry in entries:
            if self._store is not None:
                self._store.mempool.append(entry.time, entry.tx.serialize())
                self._saved_sequence = self.mempool.sequence
            self._tell("added", entry.tx)

    # blocks

    def mine(
        self,
        blocks: int,
        script: bytes,
        *,
        transactions: Sequence[Transaction] | None = None,
        fees: int = 0,
        time: int | None = None,
    ) -> list[str]:
        """Mine ``blocks`` blocks paying ``script``; their hashes in display hex.

        Blocks hold what the mempool has, or exactly ``transactions`` (with their ``fees`` together in satoshi).
        ``time`` dates them; by default now, or one second after the median time past if that is later.
        """
        if not 0 <= blocks <= MAX_BLOCKS_AT_ONCE:
            raise InvalidInputError(f"cannot mine {blocks} blocks: between 0 and {MAX_BLOCKS_AT_ONCE} at once")
        with self.lock:
            return [self._mine_one(script, transactions, fees, time) for _ in range(blocks)]

    def _mine_one(self, script: bytes, transactions: Sequence[Transaction] | None, fees: int, time: int | None) -> str:
        if transactions is None:
            transactions, fees = template.transactions(template.select(self.mempool))
        tip = self.index.tip
        height = tip.height + 1
        first = coinbase(height, script, subsidy(height) + fees, transactions, extranonce=os.urandom(8))
        at = max(int(clock.time()) if time is None else time, tip.median_time + 1)
        return self.submit_block(assemble(tip.block.hash, at, [first, *transactions]))

    def submit_block(self, raw: bytes) -> str:
        """Have a block validated and kept; its hash in display hex.

        Raises ``InvalidInputError``: ``input.block`` for bytes that are no block, ``input.block.consensus`` when a rule
        is broken, ``.parent`` when the parent is unknown, ``.invalidated`` when the block or an ancestor was declared
        invalid. A block known already changes nothing.
        """
        with self.lock:
            block = Block.parse(raw)
            text = block.hash[::-1].hex()
            if block.hash in self.known:
                if self.is_invalid(block.hash):
                    raise InvalidInputError(
                        f"block {text} was declared invalid: reconsider it", code="input.block.invalidated"
                    )
                return text
            parent = self.known.get(block.header.previous)
            if parent is None or self.is_invalid(block.header.previous):
                code = "parent" if parent is None else "invalidated"
                raise InvalidInputError(f"block {text} builds on an unknown or invalid one", code=f"input.block.{code}")
            self._judge.submit(raw)
            self.known[block.hash] = Known(block, parent.height + 1)
            if self._store is not None:
                self._store.blocks.append(parent.height + 1, raw)
            self._follow()
            return text

    def invalidate(self, block_hash: bytes) -> None:
        """Treat a block and all that builds on it as invalid; ``InvalidInputError`` if it is unknown."""
        with self.lock:
            known = self._find(block_hash)
            if known.height == 0:
                raise InvalidInputError("the genesis block cannot be invalidated", code="input.block")
            self._invalid[block_hash] = None
            self._save_invalid()
            if self.is_active(known):
                self._rebuild()

    def reconsider(self, block_hash: bytes) -> None:
        """Take back ``invalidate`` for a block, its ancestors and its descendants; ``InvalidInputError`` if unknown."""
        with self.lock:
            self._find(block_hash)
            freed = [other for other in self._invalid if self._related(other, block_hash)]
            if freed:
                for other in freed:
                    del self._invalid[other]
                self._save_invalid()
                self._rebuild()

    # inside

    @property
    def _judge(self) -> Kernel:
        if self._kernel is None:
            raise InvalidInputError("this chain is closed")
        return self._kernel

    def _find(self, block_hash: bytes) -> Known:
        known = self.known.get(block_hash)
        if known is None:
            raise InvalidInputError(f"block {block_hash[::-1].hex()} is unknown", code="input.block")
        return known

    def _related(self, one: bytes, other: bytes) -> bool:
        """Whether one of two known blocks builds on the other, or they are the same."""
        low, high = sorted((one, other), key=lambda block_hash: self.known[block_hash].height)
        while self.known[high].height > self.known[low].height:
            high = self.known[high].block.header.previous
        return low == high

    def _load(self, store: Store) -> None:
        for height, raw in store.blocks.read():
            block = Block.parse(raw)
            self.known[block.hash] = Known(block, height)
        self._invalid = dict.fromkeys(store.read_invalid())
        waiting = [(time, Transaction.parse(raw)) for time, raw in store.mempool.read()]
        self._feed()
        best = max((known.height for known in self.known.values() if not self.is_invalid(known.block.hash)), default=0)
        expected = next(
            block_hash
            for block_hash, known in self.known.items()
            if known.height == best and not self.is_invalid(block_hash)
        )
        if self._judge.hash_at(self._judge.height) != expected:
            self._rebuild()
        self._follow()
        self._refill(waiting)
        self._save_mempool()

    def _feed(self) -> None:
        """Give the kernel every block it may know, in the order they came: the first seen of equals wins."""
        excluded: set[bytes] = set(self._invalid)
        for block_hash, known in self.known.items():
            if known.height and known.block.header.previous in excluded:
                excluded.add(block_hash)
            if known.height == 0 or block_hash in excluded or self._judge.knows(block_hash):
                continue
            try:
                self._judge.submit(known.block.raw)
            except InvalidInputError:  # its branch turned out to break consensus once it was the strongest
                continue

    def _rebuild(self) -> None:
        self._judge.wipe()
        self._feed()
        self._follow()

    def _follow(self) -> None:
        """Bring the index and the mempool to the kernel's active chain."""
        chain, judge = self.index.chain, self._judge
        fork = min(judge.height, len(chain) - 1)
        while chain[fork].block.hash != judge.hash_at(fork):
            fork -= 1
        undone: list[Transaction] = []
        moved = judge.height != fork or len(chain) - 1 != fork
        reorganised = len(chain) - 1 > fork
        while len(chain) - 1 > fork:
            left = self.index.disconnect()
            self._undone[left.block.hash] = left
            self._tell("disconnected", left.block)
            undone[:0] = left.block.transactions[1:]
        for height in range(fork + 1, judge.height + 1):
            block = self.known[judge.hash_at(height)].block
            self.index.connect(block)
            self.mempool.take_block(block.transactions)
            self._tell("connected", block)
        if reorganised:  # even without transactions: locktimes and maturity may not be met any more
            now = int(clock.time())
            waiting = [(entry.time, entry.tx) for entry in self.mempool.clear()]
            self._refill([(now, tx) for tx in undone] + waiting)
        self._save_mempool()
        if moved:
            self._tell("tip", self.index.tip.block)

    def _tell(self, event: Event, subject: Block | Transaction) -> None:
        for listener in self.listeners:
            listener(event, subject, self.mempool.sequence)

    def _refill(self, transactions: list[tuple[int, Transaction]]) -> None:
        for time, tx in transactions:
            try:
                self._admission.accept(tx, now=time, limits=False)
            except BroadcastRejectedError:  # confirmed, conflicting or not valid any more
                continue

    def _save_mempool(self) -> None:
        if self._store is not None and self._saved_sequence != self.mempool.sequence:
            self._store.mempool.rewrite((entry.time, entry.tx.serialize()) for entry in self.mempool)
            self._saved_sequence = self.mempool.sequence

    def _save_invalid(self) -> None:
        if self._store is not None:
            self._store.write_invalid(self._invalid)
