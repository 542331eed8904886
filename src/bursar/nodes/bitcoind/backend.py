"""A Bitcoin Core node as a source of chain data, over its JSON-RPC; no node wallet is used and none is made."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.network import Network
from bursar.chain.watching import INTERVAL, PollingWatcher
from bursar.errors import BroadcastRejectedError, ChainUnavailableError, WrongChainError
from bursar.nodes import reply as read
from bursar.nodes.bitcoind.blocks import BlockReader, ChainMovedError
from bursar.nodes.bitcoind.coins import CoinScan
from bursar.nodes.bitcoind.filters import FilterScan
from bursar.nodes.bitcoind.lookup import Lookup
from bursar.nodes.bitcoind.mempool import MempoolSpends, MempoolView
from bursar.nodes.bitcoind.notifications import ZmqWatcher, endpoints
from bursar.nodes.bitcoind.packages import Acceptance, Packages
from bursar.nodes.bitcoind.reading import Reading
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient
from bursar.nodes.tls import trust_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bursar.bitcoin.transaction import Transaction, Txid
    from bursar.bitcoin.units import FeeRate
    from bursar.chain.protocols import BlockRef, ChainTransaction, ChainUpdate, ChainWatcher, SyncRequest
    from bursar.crypto.secret import Secret

SYNC_ATTEMPTS: Final = 4
MAX_TARGET: Final = 1008
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
    With ``private`` the node is not told the scripts: it is asked for its block filters, they are matched here, and
    blocks that match are fetched whole. A first sync of the main network then takes hours; use ``SyncRequest.stop``.

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
        private: bool = False,
        certificate: str | None = None,
        known_servers: Path | None = None,
        authorities: Path | None = None,
    ) -> None:
        trust = trust_of(certificate, known_servers, authorities)
        self._network = network
        self._rpc = RpcClient(url, cookie=cookie, user=user, password=password, timeout=timeout, trust=trust)
        self._blocks = BlockReader(self._rpc, network)
        self._lookup = Lookup(self._rpc, self._blocks)
        self._reading = Reading(
            self._rpc,
            blocks=self._blocks,
            filters=FilterScan(self._rpc, self._blocks, private=private, timeout=scan_timeout),
            coins=CoinScan(self._rpc, self._blocks, timeout=scan_timeout),
            mempool=(MempoolView if whole_mempool else MempoolSpends)(self._rpc),
            lookup=self._lookup,
        )
        self._packages = Packages(self._rpc)
        self._genesis_seen = False

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
        return self._blocks.header(read.hash_text(read.field(info, "bestblockhash", str), "bestblockhash"))

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

    def broadcast_package(self, transactions: Sequence[Transaction]) -> tuple[Txid, ...]:
        """Send a child behind its unconfirmed parents, so that it pays for those below the mempool's floor.

        Parents below the relay floor (1 sat/vB) must be of version 3 (BIP-431), and their child too.
        The node takes all, or raises ``BroadcastRejectedError`` for the first it refuses; one it knows is a success.
        """
        if not self._genesis_seen:
            self.check_network()
        return self._packages.submit(transactions)

    def test_accept(self, transactions: Sequence[Transaction]) -> tuple[Acceptance, ...]:
        """What the node's mempool would say to these transactions, parents first; none is sent on."""
        return self._packages.test(transactions)

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        """A transaction as the node sees it, ``None`` when it cannot be found.

        Without ``txindex`` a confirmed one is found where a sync saw it, or while one of its first outputs is unspent.
        """
        return self._lookup.transaction(txid)

    def taproot_payments(self, height: int) -> tuple[BlockRef, list[tuple[Transaction, tuple[bytes, ...]]]]:
        """What a search for silent payments (BIP-352) reads: the block of the active chain at ``height``, and each of
        its transactions that has a taproot output, with the scripts that it spends.
        """
        return self._blocks.taproot_payments(height)

    # watching

    def watcher(self, scripts: Iterable[bytes] = (), *, interval: float = INTERVAL) -> ChainWatcher:
        """Who tells when a sync is worth it: the node's ZeroMQ notifications, or a question every ``interval`` s.

        The node must publish ``hashblock`` and ``rawtx`` over tcp at an address that can be reached from here.
        """
        scripts = tuple(scripts)
        places = endpoints(self._rpc)
        if places:
            with contextlib.suppress(ChainUnavailableError):
                return ZmqWatcher(places, scripts)
        return PollingWatcher(self, scripts, interval=interval)

    # sync

    def sync(self, request: SyncRequest) -> ChainUpdate:
        """What the node knows about the request, consistent at one tip; ``ChainError`` when it cannot say."""
        for attempt in range(1, SYNC_ATTEMPTS + 1):
            try:
                return self._reading.update(self.check_network(), request)
            except ChainMovedError:
                if attempt == SYNC_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")
