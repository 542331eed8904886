"""Looks through blocks for movements of an account, and holds what one answer says against another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard

from bursar.chain.ethereum_reading import BlockReader, HeadReader, Tracer
from bursar.chain.protocols import EthereumBackend
from bursar.errors import ChainError, ChainUnavailableError
from bursar.ethereum.address import Address
from bursar.ethereum.token import TRANSFER_TOPIC, address_topic
from bursar.wallet.ethereum_deposits import (
    BATCH_TOPIC,
    ETHER,
    SINGLE_TOPIC,
    Move,
    borne_out,
    moves_in_body,
    moves_in_log,
    moves_in_trace,
    row_borne_out,
    settled,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from bursar.chain.protocols import BlockRef, Log, Receipt
    from bursar.wallet.store.deposits import Deposit

OWNERS_AT_ONCE: Final = 500  # in one filter
FOREIGN_KEPT: Final = 50  # movements of one unregistered contract that one look keeps; more are only counted
FOREIGN_IN_ALL: Final = 1_000  # the same of all unregistered contracts
RECEIPTS_SINGLY: Final = 4  # in one block; for more, all of the block's are asked for


UNREADABLE: Final = "chain.reply"  # also what is longer than any answer may be, as strangers can make it
AGAIN: Final = ("chain.moved", "chain.contradiction")  # what a second look may settle


def moved(message: str) -> ChainUnavailableError:
    """The error for answers of two chains: a reorganisation in between."""
    return ChainUnavailableError(message, code="chain.moved")


class DepositSource(EthereumBackend, HeadReader, BlockReader, Protocol):
    """What a source has to offer for deposits to be looked for; ``Tracer`` adds what contracts pay."""


def reads_blocks(backend: EthereumBackend) -> TypeGuard[DepositSource]:
    """Whether deposits can be looked for through this source."""
    return isinstance(backend, HeadReader) and isinstance(backend, BlockReader)


_Filter = tuple[bytes | tuple[bytes, ...] | None, ...]


@dataclass(slots=True)
class Lookout:
    """One look at the chain. ``registered`` are the contracts whose movements are held against receipts."""

    backend: DepositSource
    own: Collection[Address]
    registered: Collection[str]
    ignored: int = 0  # movements of unregistered contracts beyond what is kept, and logs without a place
    alarms: list[str] = field(default_factory=list)
    _receipts: dict[str, Receipt] = field(default_factory=dict)

    def tokens(self, low: int, high: int) -> list[Move]:
        """What Transfer events of all contracts say of the blocks from ``low`` to ``high``."""
        found: dict[tuple[str, int], list[Move]] = {}
        topics = [address_topic(one) for one in self.own]
        numbered = (SINGLE_TOPIC, BATCH_TOPIC)
        for start in range(0, len(topics), OWNERS_AT_ONCE):
            part = tuple(topics[start : start + OWNERS_AT_ONCE])
            filters: tuple[_Filter, ...] = (
                (TRANSFER_TOPIC, None, part),
                (TRANSFER_TOPIC, part),
                (numbered, None, None, part),
                (numbered, None, part),
            )
            for wanted in filters:
                for log in self._logs(wanted, low, high):
                    if log.place is None:
                        self.ignored += 1
                        continue
                    if not low <= log.place.block.height <= high:
                        raise _contradiction("the node gave a log of a block that was not asked for")
                    found[log.place.block.hash, log.place.index] = moves_in_log(log)
        moves = [move for one in found.values() for move in one if self._concerns(move)]
        moves.sort(key=lambda move: (move.block.height, move.index or 0))
        return self._checked(self._bounded(moves))

    def _logs(self, wanted: _Filter, low: int, high: int) -> Iterator[Log]:
        """Those of all contracts; of the registered ones alone in a block that strangers have filled with events."""
        try:
            yield from self.backend.logs(addresses=(), topics=wanted, from_block=low, to_block=high)
        except ChainError as error:
            if error.code != "chain.too-many":
                raise
            if low < high:
                middle = (low + high) // 2
                yield from self._logs(wanted, low, middle)
                yield from self._logs(wanted, middle + 1, high)
                return
            yield from self._logs_of_registered(wanted, low)

    def _logs_of_registered(self, wanted: _Filter, height: int) -> Iterator[Log]:
        contracts = [Address.from_text(one) for one in sorted(self.registered)]
        said = f"block {height} holds more events than the node gives: only those of registered tokens were looked at"
        try:
            if contracts:
                yield from self.backend.logs(addresses=contracts, topics=wanted, from_block=height, to_block=height)
        except ChainError as error:
            if error.code != "chain.too-many":
                raise
            said = f"block {height} holds more events of registered tokens than the node gives: none was looked at"
        if said not in self.alarms:
            self.alarms.append(said)

    def _concerns(self, move: Move) -> bool:
        return move.sender != move.recipient and (move.sender in self.own or move.recipient in self.own)

    def _bounded(self, moves: Iterable[Move]) -> list[Move]:
        kept: list[Move] = []
        foreign: dict[str, int] = {}
        for move in moves:
            if move.contract not in self.registered or not move.amount:
                count = foreign.get(move.contract, 0)
                if count == FOREIGN_KEPT or sum(foreign.values()) == FOREIGN_IN_ALL:
                    self.ignored += 1
                    continue
                foreign[move.contract] = count + 1
            kept.append(move)
        return kept

    def ether(self, low: int, high: int, parent: str | None) -> list[Move]:
        """Plain payments and withdrawals in these blocks; ``parent`` is the hash of the block below ``low``."""
        moves: list[Move] = []
        for height in range(low, high + 1):
            body = self.backend.block_body(height)
            if parent is not None and body.parent != parent:
                raise moved(f"block {height} does not follow the one before it")
            parent = body.block.hash
            moves += self._settled(body.block, moves_in_body(body, self.own))
        return moves

    def inner(self, block: BlockRef) -> list[Move] | None:
        """What contracts moved in a block; ``None`` where the source does not trace."""
        traced = self.backend.internal_transfers(block) if isinstance(self.backend, Tracer) else None
        return None if traced is None else self._checked(moves_in_trace(block, traced, self.own))

    def _settled(self, block: BlockRef, moves: Sequence[Move]) -> list[Move]:
        plain = [move.txid for move in moves if move.kind == ETHER and move.txid is not None]
        if len(plain) > RECEIPTS_SINGLY:
            self._receipts.update({one.tx_hash: one for one in self._block_receipts(block)})
        kept: list[Move] = []
        for move in self._checked(moves):
            if move.txid is None:
                kept.append(move)
                continue
            worked = settled(move, self._receipts[move.txid], self.own)
            if worked is not None:
                kept.append(worked)
        return kept

    def _block_receipts(self, block: BlockRef) -> Sequence[Receipt]:
        """All of a block; none where that is more than can be read: they are asked for singly then."""
        try:
            return self.backend.block_receipts(block) or ()
        except ChainError as error:
            if error.code != UNREADABLE:
                raise
            return ()

    def _checked(self, moves: Sequence[Move]) -> list[Move]:
        """These movements, of which each that would be shown has its receipt; without those whose cannot be read."""
        kept: list[Move] = []
        for move in moves:
            if move.txid is not None and (not move.contract or (move.contract in self.registered and move.amount)):
                try:
                    receipt = self.receipt(move.txid)
                except ChainError as error:
                    if error.code != UNREADABLE:
                        raise
                    self.alarms.append(f"the receipt of {move.txid} cannot be read: what it moved is left unexplained")
                    continue
                if not borne_out(move, receipt):
                    raise _contradiction(
                        f"the node tells of {move.kind} moved by {move.txid} and its receipt does not show it"
                    )
            kept.append(move)
        return kept

    def receipt(self, txid: str) -> Receipt | None:
        """The receipt as of this look."""
        found = self._receipts.get(txid) or self.backend.receipt(txid)
        if found is not None:
            self._receipts[txid] = found
        return found

    def still_there(self, row: Deposit) -> bool:
        """Whether a stored movement has its receipt now, or its block where it has no transaction."""
        if row.txid is not None:
            try:
                return row_borne_out(row, self.receipt(row.txid))
            except ChainError as error:
                if error.code != UNREADABLE:
                    raise
                return False
        return row.block_hash is None or self.is_block(row.height, row.block_hash)  # older stores kept no hash

    def is_block(self, height: int, block_hash: str) -> bool:
        """Whether the chain has this block."""
        block = self.backend.block_at(height)
        return block is not None and block.hash == block_hash


def _contradiction(message: str) -> ChainError:
    return ChainError(f"{message}: ask another node", code="chain.contradiction")


def fork_point(backend: HeadReader, noted: Mapping[int, str], *, tip: int) -> int | None:
    """The highest noted height that is on the node's chain; ``None`` where none is. Canonical blocks are a prefix."""
    heights = sorted(height for height in noted if height <= tip)

    def agrees(height: int) -> bool:
        block = backend.block_at(height)
        return block is not None and block.hash == noted[height]

    if not heights or agrees(heights[-1]):
        return heights[-1] if heights else None
    low, high = 0, len(heights) - 1  # of those below ``low`` all agree, from ``high`` on none does
    while low < high:
        middle = (low + high) // 2
        if agrees(heights[middle]):
            low = middle + 1
        else:
            high = middle
    return heights[low - 1] if low else None
