"""A few scripts' coins and history, block by block, from the blocks themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.transaction import OutPoint, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, ChainCoin, ChainTransaction
from bursar.nodes import reply as read

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction


class Ledger:
    """What the scripts own after the blocks told, starting from ``coins``; every block of concern, in order, once."""

    def __init__(self, scripts: Iterable[bytes], coins: Iterable[ChainCoin] = ()) -> None:
        self.scripts = frozenset(scripts)
        self.coins = {coin.outpoint: coin for coin in coins if coin.output.script in self.scripts}
        self.found: dict[Txid, ChainTransaction] = {}

    def connect(self, transactions: Iterable[Transaction], ref: BlockRef, names: Collection[Txid] = ()) -> None:
        """Take a block in; transactions with one of the ``names`` are kept whatever they do."""
        for tx in transactions:
            mine = False
            for source in tx.inputs:
                mine = self.coins.pop(source.outpoint, None) is not None or mine
            for vout, output in enumerate(tx.outputs):
                if output.script in self.scripts:
                    mine = True
                    outpoint = OutPoint(tx.txid, vout)
                    self.coins[outpoint] = ChainCoin(outpoint, output, ref.height, tx.is_coinbase)
            if mine or tx.txid in names:
                self.found[tx.txid] = ChainTransaction(tx, ref)

    def disconnect(self, block: Any) -> bool:
        """Take back a block told by ``getblock`` at verbosity 3; whether it said what its transactions had spent."""
        for item in reversed(read.rows(block, "tx")):
            txid = read.txid(read.field(item, "txid", str))
            for vout in range(len(read.rows(item, "vout"))):
                self.coins.pop(OutPoint(txid, vout), None)
            for source in read.rows(item, "vin"):
                if isinstance(source, dict) and "coinbase" in source:
                    continue
                prevout = source.get("prevout") if isinstance(source, dict) else None
                if not isinstance(prevout, dict):
                    return False
                self._restore(source, prevout)
        return True

    def _restore(self, source: Any, prevout: Any) -> None:
        script = read.raw_bytes(read.field(read.field(prevout, "scriptPubKey", dict), "hex", str), "scriptPubKey")
        if script in self.scripts:
            outpoint = OutPoint(read.txid(read.field(source, "txid", str)), read.number(source, "vout"))
            output = TxOut(Sats(read.amount(prevout, "value")), script)
            self.coins[outpoint] = ChainCoin(
                outpoint, output, read.number(prevout, "height"), read.field(prevout, "generated", bool)
            )
