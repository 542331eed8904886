"""Coins by script from a node's set of unspent outputs, with the transactions that made them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import BlockRef, ChainCoin, ChainTransaction
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes import reply as read
from bursar.nodes.bitcoind.blocks import NOT_FOUND, ChainMovedError, forget_oldest
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from bursar.nodes.bitcoind.blocks import BlockReader

SCAN_BUSY: Final = -8
SCAN_PAUSE: Final = 1.0
BATCH: Final = 200


class CoinScan:
    """Scans with ``scantxoutset``: seconds on small chains, minutes on the main network, and no history."""

    def __init__(self, rpc: RpcClient, blocks: BlockReader, *, timeout: float) -> None:
        self._rpc = rpc
        self._blocks = blocks
        self._timeout = timeout
        self._born: dict[tuple[Txid, str], Transaction] = {}

    def scan(self, scripts: Sequence[bytes]) -> tuple[BlockRef, tuple[ChainCoin, ...], list[ChainTransaction]]:
        """The tip, every unspent output of the scripts there, and the transactions that made them."""
        reply = self._ask([f"raw({script.hex()})" for script in scripts])  # nodes ask for no checksum here
        tip = self._blocks.header(read.hash_text(read.field(reply, "bestblock", str), "bestblock"))
        asked = frozenset(scripts)
        coins: list[ChainCoin] = []
        for item in read.rows(reply, "unspents"):
            script = read.raw_bytes(read.field(item, "scriptPubKey", str), "scriptPubKey")
            if script not in asked:
                read.nonsense("an unspent output of a script nobody asked for came")
            outpoint = OutPoint(read.txid(read.field(item, "txid", str)), read.number(item, "vout"))
            output = TxOut(Sats(read.amount(item, "amount")), script)
            coins.append(ChainCoin(outpoint, output, read.number(item, "height"), read.field(item, "coinbase", bool)))
        if len({coin.outpoint for coin in coins}) != len(coins) or any(coin.height > tip.height for coin in coins):
            read.nonsense("unspent outputs come twice or from above the tip")
        return tip, tuple(coins), self._births(coins)

    def _ask(self, descriptors: list[str]) -> Any:
        end = time.monotonic() + self._timeout
        while True:
            left = max(end - time.monotonic(), 1.0)
            try:
                reply = self._rpc.ask("scantxoutset", "start", descriptors, timeout=left)
            except ChainUnavailableError:
                self._abort()  # or the node goes on for nobody, and refuses the next scan
                raise
            if not isinstance(reply, Refusal):
                if read.field(reply, "success", bool):
                    return reply
            elif reply.code != SCAN_BUSY or "in progress" not in reply.message:
                raise self._rpc.translate("scantxoutset", reply)
            if time.monotonic() + SCAN_PAUSE >= end:
                raise ChainUnavailableError(
                    f"node {self._rpc.where} scans for somebody else (over {self._timeout:g} s): try again later"
                )
            time.sleep(SCAN_PAUSE)

    def _abort(self) -> None:
        try:
            self._rpc.write("scantxoutset", "abort")
        except ChainError:
            return  # the node is gone, and its scan with it

    def _births(self, coins: Sequence[ChainCoin]) -> list[ChainTransaction]:
        """The transactions that made these coins, each checked to contain them."""
        heights = sorted({coin.height for coin in coins})
        hashes = dict(zip(heights, self._blocks.hashes_at(heights), strict=True))
        places = {coin.outpoint.txid: hashes[coin.height] for coin in coins}
        self._fetch([(txid, place) for txid, place in places.items() if (txid, place) not in self._born])
        for coin in coins:
            tx = self._born[coin.outpoint.txid, hashes[coin.height]]
            if coin.outpoint.vout >= len(tx.outputs) or tx.outputs[coin.outpoint.vout] != coin.output:
                read.nonsense(f"coin {coin.outpoint} is not what its transaction says")
        births = [ChainTransaction(self._born[txid, at], self._blocks.header(at)) for txid, at in places.items()]
        forget_oldest(self._born)
        return births

    def _fetch(self, wanted: Sequence[tuple[Txid, str]]) -> None:
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            replies: list[Any] = self._rpc.batch("getrawtransaction", [(str(txid), 0, place) for txid, place in part])
            for (txid, place), reply in zip(part, replies, strict=True):
                if isinstance(reply, Refusal):
                    if reply.code != NOT_FOUND:
                        raise self._rpc.translate("getrawtransaction", reply)
                    raise ChainMovedError(f"node {self._rpc.where} lost transaction {txid} while it was read")
                self._born[txid, place] = read.transaction(reply, txid)
