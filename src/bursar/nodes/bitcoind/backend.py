"""A Bitcoin Core node as a source of chain data, over its JSON-RPC; no node wallet is used and none is made."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.network import Network
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.chain.protocols import BlockRef, ChainCoin, ChainTransaction, ChainUpdate, SyncRequest
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    WrongChainError,
)
from bursar.nodes.bitcoind import reply as read
from bursar.nodes.bitcoind.blocks import NOT_FOUND, WORTH_FILTERING, BlockReader, ChainMovedError, Start
from bursar.nodes.bitcoind.mempool import MempoolSpends, MempoolView
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret

SCAN_BUSY: Final = -8
SCAN_PAUSE: Final = 1.0
SYNC_ATTEMPTS: Final = 4
BATCH: Final = 200
MAX_KEPT: Final = 10_000
MAX_TARGET: Final = 1008
OUTPUTS_TRIED: Final = 16
MISSING_INPUTS: Final = -25
REJECTED: Final = -26
ALREADY: Final = -27
UNDECODABLE: Final = -22
_KNOWN: Final = ("txn-already-in-mempool", "txn-already-known", "txn-same-nonwitness-data-in-mempool")


class BitcoindBackend:
    """``BitcoinBackend`` over one node (Bitcoin Core 25 or newer, or the sandbox).

    Give the node's ``cookie`` file, or ``user`` and ``password``. ``timeout`` bounds an ordinary question in seconds,
    ``scan_timeout`` a scan of the whole set of unspent outputs (minutes on the main network). With the node's
    ``blockfilterindex`` on, a sync finds the whole history of the scripts; without it a first sync finds the
    transactions that made their unspent outputs (``history_complete`` is false), and later ones read every new block.

    To see unconfirmed payments the whole mempool is read once (a hundred megabytes on a busy day of the main network);
    ``whole_mempool=False`` reads only what spends the coins found, so payments to the scripts show when confirmed.
    """

    def __init__(
        self,
        url: str,
        *,
        network: Network,
        cookie: Path | None = None,
        user: str | None = None,
        password: Secret | None = None,
        timeout: float = 30.0,
        scan_timeout: float = 900.0,
        whole_mempool: bool = True,
    ) -> None:
        self._network = network
        self._rpc = RpcClient(url, cookie=cookie, user=user, password=password, timeout=timeout)
        self._scan_timeout = scan_timeout
        self._blocks = BlockReader(self._rpc, network)
        self._mempool = (MempoolView if whole_mempool else MempoolSpends)(self._rpc)
        self._genesis_seen = False
        self._headers: dict[str, BlockRef] = {}
        self._born: dict[tuple[Txid, str], Transaction] = {}
        self._places: dict[Txid, str] = {}

    @property
    def network(self) -> Network:
        """The network this backend was made for."""
        return self._network

    def close(self) -> None:
        """Hang up; idempotent."""
        self._rpc.close()

    # state

    def check_network(self) -> BlockRef:
        """The node's tip; ``WrongChainError`` on another network, ``ChainUnavailableError`` while it still syncs."""
        info = self._rpc.call("getblockchaininfo")
        chain = read.field(info, "chain", str)
        if chain != self._network.chain:
            raise WrongChainError(f"node {self._rpc.where} serves {chain}, not {self._network.chain}: use another node")
        if not self._genesis_seen:
            genesis = self._blocks.hash_at(0)
            if genesis != self._network.genesis_hash:
                raise WrongChainError(
                    f"node {self._rpc.where} has genesis block {genesis}, not that of {self._network}: do not use it"
                )
            self._genesis_seen = True
        height = read.number(info, "blocks")
        if self._network is not Network.REGTEST and read.field(info, "initialblockdownload", bool):
            headers = max(read.number(info, "headers"), height)
            raise ChainUnavailableError(
                f"node {self._rpc.where} is still downloading blocks ({height} of {headers}): wait until it is done"
            )
        return self._header(read.hash_text(read.field(info, "bestblockhash", str), "bestblockhash"))

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        """The node's estimate for confirmation within so many blocks; ``None`` while it has none."""
        reply = self._rpc.call("estimatesmartfee", min(max(target_blocks, 1), MAX_TARGET))
        if isinstance(reply, dict) and reply.get("feerate") is not None:
            return read.fee_rate(reply, "feerate")
        return None

    def min_fee_rate(self) -> FeeRate:
        """The lowest rate the node's mempool takes now."""
        info = self._rpc.call("getmempoolinfo")
        return max(read.fee_rate(info, "mempoolminfee"), read.fee_rate(info, "minrelaytxfee"))

    # transactions

    def broadcast(self, tx: Transaction) -> Txid:
        """Send a transaction once; one the node knows already is a success.

        ``BroadcastRejectedError`` with the node's code and reason when it refuses.
        """
        if not self._genesis_seen:
            self.check_network()
        reply = self._rpc.write("sendrawtransaction", tx.serialize().hex())
        if not isinstance(reply, Refusal):
            if read.txid(reply) != tx.txid:
                read.nonsense(f"transaction {tx.txid} was sent and {reply} came back")
            return tx.txid
        reason = reply.message.partition(",")[0].strip() if reply.code == REJECTED else reply.message
        if reply.code == ALREADY or reason in _KNOWN:
            return tx.txid
        if reply.code == MISSING_INPUTS and self.transaction(tx.txid) is not None:
            return tx.txid
        if reply.code in (MISSING_INPUTS, REJECTED, UNDECODABLE):
            raise BroadcastRejectedError(
                f"node {self._rpc.where} refused transaction {tx.txid}: {reply.message}",
                node_code=reply.code,
                reason=reason,
            )
        raise self._rpc.translate("sendrawtransaction", reply)

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        """A transaction as the node sees it, ``None`` when it cannot be found.

        Without ``txindex`` a confirmed one is found where a sync saw it, or while one of its first outputs is unspent.
        """
        reply = self._rpc.ask("getrawtransaction", str(txid), 1)
        if not isinstance(reply, Refusal):
            tx = read.transaction(read.field(reply, "hex", str), txid)
            block_hash = reply.get("blockhash")
            if block_hash is None:
                return ChainTransaction(tx, None)
            header = self._rpc.call("getblockheader", read.hash_text(block_hash, "blockhash"))
            active = read.field(header, "confirmations", int) > 0
            return ChainTransaction(tx, read.block_ref(header)) if active else None
        if reply.code != NOT_FOUND:
            raise self._rpc.translate("getrawtransaction", reply)
        place = self._places.get(txid) or self._place_of(txid)
        return None if place is None else self._in_block(txid, place)

    def _place_of(self, txid: Txid) -> str | None:
        """The hash of the block of a transaction that still has an unspent output among its first."""
        tried = [(str(txid), vout, False) for vout in range(OUTPUTS_TRIED)]
        for reply in self._rpc.batch("gettxout", tried):
            if isinstance(reply, dict):
                tip = self._header(read.hash_text(read.field(reply, "bestblock", str), "bestblock"))
                return self._blocks.hash_at(tip.height - read.number(reply, "confirmations") + 1)
        return None

    def _in_block(self, txid: Txid, block_hash: str) -> ChainTransaction | None:
        reply = self._rpc.ask("getrawtransaction", str(txid), 0, block_hash)
        header = self._rpc.ask("getblockheader", block_hash)
        for method, answer in (("getrawtransaction", reply), ("getblockheader", header)):
            if isinstance(answer, Refusal):
                if answer.code != NOT_FOUND:
                    raise self._rpc.translate(method, answer)
                return None
        if read.field(header, "confirmations", int) < 0:
            self._places.pop(txid, None)
            return None
        return ChainTransaction(read.transaction(reply, txid), read.block_ref(header))

    # sync

    def sync(self, request: SyncRequest) -> ChainUpdate:
        """What the node knows about the request, consistent at one tip; ``ChainError`` when it cannot say."""
        for attempt in range(1, SYNC_ATTEMPTS + 1):
            try:
                return self._sync(request)
            except ChainMovedError:
                if attempt == SYNC_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _sync(self, request: SyncRequest) -> ChainUpdate:
        tip = self.check_network()
        scripts = tuple(dict.fromkeys(request.scripts))
        since = request.since
        start = Start(0, "", None) if since is None else self._blocks.start(since, height=tip.height)
        self._mempool.refresh()  # before the coins: what confirms in between is found twice, not missed
        coins: tuple[ChainCoin, ...] = ()
        found: dict[Txid, ChainTransaction] = {}
        if scripts:
            tip, coins, births = self._scan(scripts)
            found = {entry.tx.txid: entry for entry in births}
        whole = since is None
        long = whole or tip.height - start.height >= WORTH_FILTERING
        filtered = bool(scripts) and long and self._blocks.has_filters(tip.height)
        for entry in self._history(start, tip, scripts, request.txids, whole=whole, filtered=filtered):
            found[entry.tx.txid] = entry
        outpoints = {coin.outpoint for coin in coins}
        for txid, tx in self._mempool.touching(frozenset(scripts), outpoints).items():
            found.setdefault(txid, ChainTransaction(tx, None))
        missing = self._fates(request.txids, found, start, tip, whole=whole)
        for entry in found.values():
            if entry.block is not None:
                self._keep(self._places, entry.tx.txid, entry.block.hash)
        order = sorted(
            found.values(), key=lambda entry: (entry.block is None, entry.block.height if entry.block else 0)
        )
        complete = filtered or not (whole and scripts)
        return ChainUpdate(tip, coins, tuple(order), tuple(missing), start.reorged, complete)

    def _fates(
        self, txids: Iterable[Txid], found: dict[Txid, ChainTransaction], start: Start, tip: BlockRef, *, whole: bool
    ) -> list[Txid]:
        """Add what became of these transactions to ``found``; those the node does not know are given back."""
        missing: list[Txid] = []
        for txid in dict.fromkeys(txids):
            known = found.get(txid) or self.transaction(txid)
            if known is None:
                missing.append(txid)
            elif known.block is None or known.block.height <= tip.height:
                found[txid] = known
            else:
                raise ChainMovedError(f"node {self._rpc.where} got a new block while it was read")
        if missing and not whole:
            for entry in self._blocks.transactions(self._blocks.stretch(start, tip), tip, (), missing):
                found[entry.tx.txid] = entry
        return [txid for txid in missing if txid not in found]

    def _history(
        self,
        start: Start,
        tip: BlockRef,
        scripts: Sequence[bytes],
        txids: Sequence[Txid],
        *,
        whole: bool,
        filtered: bool,
    ) -> Iterable[ChainTransaction]:
        """The confirmed transactions of the blocks not yet seen, as far as the node can name them."""
        if filtered:
            hashes = self._blocks.relevant(start.height, tip, _descriptors(scripts), timeout=self._scan_timeout)
        elif whole:
            return ()
        else:
            hashes = self._blocks.stretch(start, tip)
        return self._blocks.transactions(hashes, tip, scripts, txids)

    def _scan(self, scripts: Sequence[bytes]) -> tuple[BlockRef, tuple[ChainCoin, ...], list[ChainTransaction]]:
        """The tip, every unspent output of the scripts there, and the transactions that made them."""
        reply = self._scan_coins(_descriptors(scripts))
        tip = self._header(read.hash_text(read.field(reply, "bestblock", str), "bestblock"))
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

    def _scan_coins(self, descriptors: list[str]) -> Any:
        end = time.monotonic() + self._scan_timeout
        while True:
            left = max(end - time.monotonic(), 1.0)
            try:
                reply = self._rpc.ask("scantxoutset", "start", descriptors, timeout=left)
            except ChainUnavailableError:
                self._abort_scan()  # or the node goes on for nobody, and refuses the next scan
                raise
            if not isinstance(reply, Refusal):
                if read.field(reply, "success", bool):
                    return reply
            elif reply.code != SCAN_BUSY or "in progress" not in reply.message:
                raise self._rpc.translate("scantxoutset", reply)
            if time.monotonic() + SCAN_PAUSE >= end:
                raise ChainUnavailableError(
                    f"node {self._rpc.where} scans for somebody else (over {self._scan_timeout:g} s): try again later"
                )
            time.sleep(SCAN_PAUSE)

    def _abort_scan(self) -> None:
        try:
            self._rpc.write("scantxoutset", "abort")
        except ChainError:
            return  # the node is gone, and its scan with it

    def _births(self, coins: Sequence[ChainCoin]) -> list[ChainTransaction]:
        """The transactions that made these coins, each checked to contain them."""
        heights = sorted({coin.height for coin in coins})
        replies: list[Any] = []
        for start in range(0, len(heights), BATCH):
            replies += self._rpc.batch("getblockhash", [(height,) for height in heights[start : start + BATCH]])
        if any(isinstance(reply, Refusal) for reply in replies):
            raise ChainMovedError(f"the chain of node {self._rpc.where} got shorter while it was read")
        hashes = {height: read.hash_text(reply, "a hash") for height, reply in zip(heights, replies, strict=True)}
        places = {coin.outpoint.txid: hashes[coin.height] for coin in coins}
        self._fetch([(txid, place) for txid, place in places.items() if (txid, place) not in self._born])
        for coin in coins:
            tx = self._born[coin.outpoint.txid, hashes[coin.height]]
            if coin.outpoint.vout >= len(tx.outputs) or tx.outputs[coin.outpoint.vout] != coin.output:
                read.nonsense(f"coin {coin.outpoint} is not what its transaction says")
        return [ChainTransaction(self._born[txid, place], self._header(place)) for txid, place in places.items()]

    def _fetch(self, wanted: Sequence[tuple[Txid, str]]) -> None:
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            replies: list[Any] = self._rpc.batch("getrawtransaction", [(str(txid), 0, place) for txid, place in part])
            for (txid, place), reply in zip(part, replies, strict=True):
                if isinstance(reply, Refusal):
                    if reply.code != NOT_FOUND:
                        raise self._rpc.translate("getrawtransaction", reply)
                    raise ChainMovedError(f"node {self._rpc.where} lost transaction {txid} while it was read")
                self._keep(self._born, (txid, place), read.transaction(reply, txid))

    def _header(self, block_hash: str) -> BlockRef:
        """A block's place; what a hash stands for never changes, so it is asked once."""
        ref = self._headers.get(block_hash)
        if ref is None:
            ref = read.block_ref(self._rpc.call("getblockheader", block_hash))
            if ref.hash != block_hash:
                read.nonsense(f"block {block_hash} was asked for and {ref.hash} came")
            self._keep(self._headers, block_hash, ref)
        return ref

    @staticmethod
    def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
        """Remember, and forget the oldest beyond the limit."""
        kept[key] = value
        if len(kept) > MAX_KEPT:
            del kept[next(iter(kept))]


def _descriptors(scripts: Sequence[bytes]) -> list[str]:
    """One descriptor a script; nodes ask for no checksum here, and nobody copies these by hand."""
    return [f"raw({script.hex()})" for script in scripts]
