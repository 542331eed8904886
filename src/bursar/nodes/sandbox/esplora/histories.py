"""Histories by script hash, as an Esplora server keeps them: newest first, and who spent what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto.hashes import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.transaction import OutPoint, Transaction, TxOut
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
    from bursar.nodes.sandbox.bitcoin.index import Unspent


class Histories:
    """Reads the chain's own index; only the names of scripts are kept here."""

    def __init__(self, chain: RegtestChain) -> None:
        self._chain = chain
        self._scripts: dict[bytes, bytes] = {}
        self._seen: list[bytes] = []  # the hashes of the blocks whose scripts are named

    def script(self, script_hash: bytes) -> bytes | None:
        """The script with this SHA-256, if anything here ever paid it."""
        self._follow()
        return self._scripts.get(script_hash)

    def confirmed(self, script: bytes | None) -> list[Transaction]:
        """The confirmed transactions that pay a script or spend from it, newest first."""
        if script is None:
            return []
        found: list[Transaction] = []
        for height in sorted(self._chain.index.heights(script), reverse=True):
            connected = self._chain.index.chain[height]
            for position in range(len(connected.block.transactions) - 1, -1, -1):
                tx = connected.block.transactions[position]
                if any(output.script == script for output in tx.outputs) or any(
                    coin.script == script for coin in connected.spent_by(position)
                ):
                    found.append(tx)
        return found

    def waiting(self, script: bytes | None) -> list[Transaction]:
        """The waiting transactions of a script, newest first."""
        if script is None:
            return []
        return [
            entry.tx
            for entry in reversed(list(self._chain.mempool))
            if any(output.script == script for output in entry.tx.outputs)
            or any(coin is not None and coin.script == script for coin in self.spent(entry.tx))
        ]

    def spent(self, tx: Transaction) -> Sequence[Unspent | TxOut | None]:
        """What each input spends; ``None`` for a coinbase's."""
        if tx.is_coinbase:
            return [None]
        place = self._chain.index.place(tx.txid)
        if place is not None:
            return place[0].spent_by(place[1])
        return [self._chain.coin(source.outpoint) for source in tx.inputs]

    def spender(self, outpoint: OutPoint) -> Transaction | None:
        """Who spends an output, in a block or waiting."""
        waiting = self._chain.mempool.spender(outpoint)
        if waiting is not None:
            return waiting.tx
        place = self._chain.index.place(outpoint.txid)
        if place is None or outpoint in self._chain.index.coins:
            return None
        outputs = place[0].block.transactions[place[1]].outputs
        if outpoint.vout >= len(outputs):
            return None
        for tx in self.confirmed(outputs[outpoint.vout].script):
            if any(source.outpoint == outpoint for source in tx.inputs):
                return tx
        return None

    def _follow(self) -> None:
        chain = self._chain.index.chain
        del self._seen[len(chain) :]
        while self._seen and chain[len(self._seen) - 1].block.hash != self._seen[-1]:
            self._seen.pop()  # what was named once stays named
        for connected in chain[len(self._seen) :]:
            self._name(connected.block.transactions)
            self._seen.append(connected.block.hash)
        self._name([entry.tx for entry in self._chain.mempool])

    def _name(self, transactions: Sequence[Transaction]) -> None:
        for tx in transactions:
            for output in tx.outputs:
                self._scripts.setdefault(sha256(output.script), output.script)
