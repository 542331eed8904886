"""What the active chain says: unspent coins, where each transaction is, and which blocks touch which script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bursar.bitcoin.block import Block
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid
from bursar.nodes.sandbox.bitcoin.blocks import GENESIS
from bursar.nodes.sandbox.bitcoin.opcodes import unspendable


@dataclass(frozen=True, slots=True)
class Unspent:
    """An output nobody has spent yet: amount in satoshi, script, and where it was born."""

    value: int
    script: bytes
    height: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """A block of the active chain and the coins its transactions spent, one tuple a transaction, coinbase left out."""

    block: Block
    height: int
    spent: tuple[tuple[Unspent, ...], ...]
    median_time: int  # of this block and the ten before it

    def spent_by(self, position: int) -> tuple[Unspent, ...]:
        """The coins spent by the transaction at ``position``; none for the coinbase."""
        return self.spent[position - 1] if position else ()


class ChainIndex:
    """The active chain's blocks in order, and what follows from them; blocks come and go at the tip only."""

    def __init__(self) -> None:
        self.coins: dict[OutPoint, Unspent] = {}
        self.by_script: dict[bytes, dict[OutPoint, None]] = {}
        self._heights: dict[bytes, dict[int, None]] = {}
        self._places: dict[Txid, tuple[int, int]] = {}
        genesis = Block.parse(GENESIS)
        self.chain: list[Connected] = [Connected(genesis, 0, (), genesis.header.time)]  # its coinbase is unspendable
        self._places[genesis.transactions[0].txid] = (0, 0)

    @property
    def tip(self) -> Connected:
        """The last block."""
        return self.chain[-1]

    def place(self, txid: Txid) -> tuple[Connected, int] | None:
        """The block of a confirmed transaction and its position there."""
        found = self._places.get(txid)
        return None if found is None else (self.chain[found[0]], found[1])

    def heights(self, script: bytes) -> Iterator[int]:
        """The heights of the blocks that pay to a script or spend from it, ascending."""
        return iter(sorted(self._heights.get(script, ())))

    def median_time(self, height: int) -> int:
        """Median time past of the block at ``height`` (BIP-113)."""
        return self.chain[height].median_time

    def connect(self, block: Block) -> Connected:
        """Append a block that consensus has accepted on the tip."""
        height = len(self.chain)
        spent: list[tuple[Unspent, ...]] = []
        for position, tx in enumerate(block.transactions):
            if position:
                spent.append(tuple(self._spend(source.outpoint, height) for source in tx.inputs))
            self._create(tx, height, coinbase=position == 0)
            self._places[tx.txid] = (height, position)
        times = sorted([entry.block.header.time for entry in self.chain[-10:]] + [block.header.time])
        connected = Connected(block, height, tuple(spent), times[len(times) // 2])
        self.chain.append(connected)
        return connected

    def disconnect(self) -> Connected:
        """Take the tip off and give back what it spent."""
        connected = self.chain.pop()
        block = connected.block
        for position in range(len(block.transactions) - 1, -1, -1):
            tx = block.transactions[position]
            for vout, output in enumerate(tx.outputs):
                if not unspendable(output.script):
                    outpoint = OutPoint(tx.txid, vout)
                    del self.coins[outpoint]
                    self._forget(outpoint, output.script)
                self._untouch(output.script, connected.height)
            del self._places[tx.txid]
            if position:
                for source, coin in zip(tx.inputs, connected.spent_by(position), strict=True):
                    self.coins[source.outpoint] = coin
                    self.by_script.setdefault(coin.script, {})[source.outpoint] = None
                    self._untouch(coin.script, connected.height)
        return connected

    def _spend(self, outpoint: OutPoint, height: int) -> Unspent:
        coin = self.coins.pop(outpoint)
        self._forget(outpoint, coin.script)
        self._heights.setdefault(coin.script, {})[height] = None
        return coin

    def _create(self, tx: Transaction, height: int, *, coinbase: bool) -> None:
        for vout, output in enumerate(tx.outputs):
            self._heights.setdefault(output.script, {})[height] = None
            if not unspendable(output.script):
                outpoint = OutPoint(tx.txid, vout)
                self.coins[outpoint] = Unspent(output.value, output.script, height, coinbase)
                self.by_script.setdefault(output.script, {})[outpoint] = None

    def _forget(self, outpoint: OutPoint, script: bytes) -> None:
        outpoints = self.by_script[script]
        del outpoints[outpoint]
        if not outpoints:
            del self.by_script[script]

    def _untouch(self, script: bytes, height: int) -> None:
        heights = self._heights.get(script)
        if heights is not None:
            heights.pop(height, None)
            if not heights:
                del self._heights[script]
