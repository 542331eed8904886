"""``BitcoinBackend`` over an Electrum server: proven transactions, coins worked out here, nothing taken on its word."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.headers import check_inclusion, latest_checkpoint
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.chain.protocols import BlockRef, ChainTransaction, ChainUpdate, SyncRequest
from bursar.crypto.hashes import sha256
from bursar.errors import BroadcastRejectedError, ChainUnavailableError, InvalidInputError
from bursar.nodes.electrum import reply as read
from bursar.nodes.electrum.headers import ChainMovedError, ServerHeaders
from bursar.nodes.electrum.memory import Known, Memory, Proof
from bursar.nodes.electrum.session import LARGE, TRANSACTION, Refusal, Session
from bursar.nodes.electrum.view import OP_RETURN, assemble
from bursar.nodes.electrum.wire import Place
from bursar.nodes.tls import trust_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.bitcoin.headers import Checkpoint
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.units import FeeRate

SYNC_ATTEMPTS: Final = 4
MAX_TARGET: Final = 1008
OUTPUTS_TRIED: Final = 16
_UNKNOWN: Final = ("no such mempool", "missing transaction", "unknown transaction", "transaction not found")
_KNOWN: Final = ("already in block chain", "already in utxo set", "txn-already", "txn-same-nonwitness-data")
_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class _Asked:
    """When the statuses were asked for: a connection and a tip; on another of either they are asked for again."""

    life: int
    tip: str


class ElectrumBackend:
    """A server at ``ssl://host:50002`` or ``tcp://host:50001``, of Electrum protocol 1.4.

    Over TLS the certificate is judged by the system's authorities or those in the file ``authorities``; or give the
    SHA-256 fingerprint of the one ``certificate`` to take; or a file of ``known_servers``, in which what a server shows
    first is kept. ``proxy`` is like ``socks5://127.0.0.1:9050`` (Tor) and resolves names itself. ``timeout`` bounds one
    question in seconds. ``checkpoint`` is a block to trust, by default the latest of this release; ``None`` reads every
    header from the first. ``cache`` is a file (SQLite) that keeps proven data between runs; all of it is checked again.

    A confirmed transaction is given only with a Merkle proof to a header whose proof of work was checked. A server can
    still leave transactions out, and show unconfirmed ones that will never confirm.
    """

    def __init__(
        self,
        url: str,
        *,
        network: Network,
        certificate: str | None = None,
        known_servers: Path | None = None,
        authorities: Path | None = None,
        proxy: str | None = None,
        timeout: float = 30.0,
        checkpoint: Checkpoint | str | None = _DEFAULT,
        cache: Path | None = None,
    ) -> None:
        if isinstance(checkpoint, str):
            checkpoint = latest_checkpoint(network)
        trust = trust_of(certificate, known_servers, authorities)
        self._network = network
        self._lock = threading.Lock()
        self._session = Session(
            Place.server(url),
            trust=trust,
            proxy=None if proxy is None else Place.proxy(proxy),
            timeout=timeout,
            greet=lambda ask: self._headers.greet(ask),
            news=self._hear,
        )
        self._memory = Memory(cache, network, checkpoint)
        self._headers = ServerHeaders(network, self._session, checkpoint, removed=self._memory.forget_from)
        self._memory.restore(self._headers.restore)
        self._asked_at: _Asked | None = None
        self._current: set[bytes] = set()  # script hashes whose status here is the server's

    @property
    def network(self) -> Network:
        """The network this backend was made for."""
        return self._network

    def close(self) -> None:
        """Hang up; idempotent."""
        with self._lock:
            self._session.close()
            self._memory.close()

    def _hear(self, method: str, params: list[Any]) -> None:
        """A notification: only that something changed is taken from it."""
        if method == "blockchain.scripthash.subscribe" and params and isinstance(params[0], str):
            self._current.discard(_key_of(params[0]))

    def _steadily(self, ask: Callable[[], Any]) -> Any:
        """Ask again while the chain moves under the questions."""
        with self._lock:
            for attempt in range(1, SYNC_ATTEMPTS + 1):
                try:
                    return ask()
                except ChainMovedError:
                    self._asked_at = None
                    if attempt == SYNC_ATTEMPTS:
                        raise
        raise AssertionError("unreachable")

    # state

    def check_network(self) -> BlockRef:
        """The server's tip, its headers checked; ``WrongChainError`` on another network."""
        tip: BlockRef = self._steadily(self._headers.update)
        return tip

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        """The server's estimate for confirmation within so many blocks; ``None`` while it has none."""
        with self._lock:
            reply = self._session.ask("blockchain.estimatefee", min(max(target_blocks, 1), MAX_TARGET))
        return None if isinstance(reply, Refusal) else read.fee_rate(reply, "the estimate")

    def min_fee_rate(self) -> FeeRate:
        """The lowest rate the server relays."""
        with self._lock:
            rate = read.fee_rate(self._session.call("blockchain.relayfee"), "the relay fee")
        return rate if rate is not None else read.nonsense("the relay fee is negative")

    # transactions

    def broadcast(self, tx: Transaction) -> Txid:
        """Send a transaction once; one the server knows already is a success.

        ``BroadcastRejectedError`` with the server's code and reason when it refuses.
        """
        with self._lock:
            reply = self._session.write("blockchain.transaction.broadcast", tx.serialize().hex())
        if not isinstance(reply, Refusal):
            if read.txid(reply) != tx.txid:
                read.nonsense(f"transaction {tx.txid} was sent and {str(reply)[:64]} came back")
            return tx.txid
        reason = _reason(reply.message)
        if any(words in reply.message.lower() for words in _KNOWN) or self.transaction(tx.txid) is not None:
            return tx.txid
        raise BroadcastRejectedError(
            f"server {self._session.where} refused transaction {tx.txid}: {reason}",
            node_code=reply.code,
            reason=reason,
        )

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        """A transaction as the server sees it, proven where confirmed; ``None`` when it does not know it."""

        def look() -> ChainTransaction | None:
            return self._look(txid, self._headers.update())

        found: ChainTransaction | None = self._steadily(look)
        return found

    def _look(self, txid: Txid, tip: BlockRef) -> ChainTransaction | None:
        reply = self._session.ask("blockchain.transaction.get", str(txid), limit=TRANSACTION)
        if isinstance(reply, Refusal):
            if any(words in reply.message.lower() for words in _UNKNOWN):
                return None
            raise self._session.translate("blockchain.transaction.get", reply)
        tx = self._memory.transactions[txid] = read.transaction(reply, txid)
        if txid not in self._memory.proofs:
            height = self._height_of(tx)
            if height <= 0:
                return ChainTransaction(tx, None)
            self._check_height(height, tip)
            self._obtain({txid: height})
        return ChainTransaction(tx, self._headers.ref(self._memory.proofs[txid].height))

    def _height_of(self, tx: Transaction) -> int:
        """Where the server has a transaction: by the history of a script it pays, which names it."""
        scripts = [output.script for output in tx.outputs if output.script[:1] != bytes((OP_RETURN,))]
        for script in list(dict.fromkeys(scripts))[:OUTPUTS_TRIED]:
            reply = self._session.ask("blockchain.scripthash.get_history", _name_of(sha256(script)), limit=LARGE)
            if isinstance(reply, Refusal):
                continue  # too long, for one
            heights = dict(read.history(reply))
            if tx.txid not in heights:
                raise ChainMovedError(f"server {self._session.where} knows {tx.txid} but not what it pays")
            return heights[tx.txid]
        reply = self._session.ask("blockchain.transaction.get", str(tx.txid), True, limit=TRANSACTION)
        confirmations = reply.get("confirmations") if isinstance(reply, dict) else None
        if type(confirmations) is not int or not 0 < confirmations <= self._headers.chain.height:
            return 0
        return self._headers.chain.height - confirmations + 1

    # sync

    def sync(self, request: SyncRequest) -> ChainUpdate:
        """What the server knows about the request, proven and consistent at one tip; ``ChainError`` if it cannot."""
        update: ChainUpdate = self._steadily(partial(self._sync, request))
        return update

    def _sync(self, request: SyncRequest) -> ChainUpdate:
        tip = self._headers.update()
        keys = {sha256(script): script for script in request.scripts}
        try:
            new = self._refresh(keys, tip)
            named = self._memory.named(keys) if request.txids else set()
            fates = [self._look(txid, tip) for txid in request.txids if txid not in named]
            if not self._headers.still(tip):
                raise ChainMovedError(f"server {self._session.where} got a new block while it was read")
        finally:
            self._memory.save(self._headers.chain)
        reorged = None if request.since is None else self._headers.reorganised(request.since)
        memory, asked = self._memory, set(request.txids)
        view = assemble({script: memory.scripts[key].history for key, script in keys.items()}, memory.transactions)
        floor = 0 if request.since is None else request.since.height if reorged is None else reorged - 1
        born = {coin.outpoint.txid for coin in view.coins}
        new |= {sha256(script) for script in request.fresh} & keys.keys()
        whole = {txid for key in new for txid, _ in memory.scripts[key].history}
        wanted = {
            txid: height
            for txid, height in view.heights.items()
            if height == 0 or height > floor or txid in born or txid in whole or txid in asked
        }
        found = {
            txid: ChainTransaction(memory.transactions[txid], self._headers.ref(height) if height else None)
            for txid, height in sorted(wanted.items(), key=lambda item: item[1] or 1 << 40)
        }
        for txid, block_hash in request.held:
            item = found.get(txid)
            if item is not None and item.block is not None and item.block.hash == block_hash and txid not in asked:
                del found[txid]
        found |= {fate.tx.txid: fate for fate in fates if fate is not None}
        missing = tuple(txid for txid in dict.fromkeys(request.txids) if txid not in found)
        return ChainUpdate(tip, view.coins, tuple(found.values()), missing, reorged)

    def _refresh(self, keys: Iterable[bytes], tip: BlockRef) -> set[bytes]:
        """Bring the histories of some scripts up to date; those of them that nothing was known of before."""
        self._session.drain()
        asked_at = _Asked(self._session.life, tip.hash)
        if self._asked_at != asked_at:
            self._asked_at = asked_at
            self._current.clear()
        stale = [key for key in keys if key not in self._current]
        self._memory.load(stale)
        self._current.update(stale)  # before the answers: a notification that comes between takes it back
        try:
            fresh = self._histories(stale)
            new = {key for key in stale if key not in self._memory.scripts}
            histories = {key: fresh.get(key) or self._memory.scripts[key] for key in keys}
            heights = {txid: height for known in histories.values() for txid, height in known.history}
            self._check_height(max(heights.values(), default=0), tip)
            self._obtain(heights)
        except BaseException:
            self._current.difference_update(stale)
            raise
        self._memory.learn(fresh)
        if self._session.life != asked_at.life:
            self._asked_at = None  # the subscriptions went with the connection
        return new

    def _histories(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        """The histories of those scripts whose status is not the one known."""
        method = "blockchain.scripthash.subscribe"
        changed: list[tuple[bytes, str]] = []
        fresh: dict[bytes, Known] = {}
        for key, reply in zip(keys, self._session.many(method, [(_name_of(key),) for key in keys]), strict=True):
            status = read.status(self._session.expect(method, reply))
            known = self._memory.scripts.get(key)
            if status is None:
                if known is None or known.status is not None:
                    fresh[key] = Known(None, ())
            elif known is None or known.status != status:
                changed.append((key, status))
        method = "blockchain.scripthash.get_history"
        replies = self._session.many(method, [(_name_of(key),) for key, _ in changed], limit=LARGE)
        for (key, status), reply in zip(changed, replies, strict=True):
            history = read.history(self._session.expect(method, reply))
            if _status_of(history) != status:
                raise ChainMovedError(f"server {self._session.where} changed a history while it was read")
            fresh[key] = Known(status, history)
        return fresh

    def _check_height(self, height: int, tip: BlockRef) -> None:
        if height > tip.height:
            raise ChainMovedError(f"server {self._session.where} got a new block while it was read")

    def _obtain(self, heights: dict[Txid, int]) -> None:
        """Have these transactions, and proofs of those with a height."""
        memory = self._memory
        lacking = [txid for txid in heights if txid not in memory.transactions]
        memory.load_transactions(lacking)
        unproven = {
            txid: height
            for txid, height in heights.items()
            if height > 0 and (txid not in memory.proofs or memory.proofs[txid].height != height)
        }
        self._headers.need(set(unproven.values()))
        for txid, proof in memory.load_proofs(unproven).items():
            if self._holds(txid, proof):
                memory.proofs[txid] = proof
                del unproven[txid]
        requests: list[tuple[str, tuple[Any, ...]]] = []
        for txid, height in heights.items():
            if txid not in memory.transactions:
                requests.append(("blockchain.transaction.get", (str(txid),)))
            if txid in unproven:
                requests.append(("blockchain.transaction.get_merkle", (str(txid), height)))
        for (method, params), reply in zip(requests, self._session.several(requests, limit=TRANSACTION), strict=True):
            txid = Txid.from_text(params[0])
            if isinstance(reply, Refusal):
                error = self._session.translate(method, reply)
                if isinstance(error, ChainUnavailableError):
                    raise error
                raise ChainMovedError(f"{error.message}: it may have changed while it was read")
            if method == "blockchain.transaction.get":
                memory.keep(read.transaction(reply, txid))
            else:
                memory.prove(txid, self._proof(txid, heights[txid], reply))

    def _proof(self, txid: Txid, height: int, reply: Any) -> Proof:
        if read.number(reply, "block_height") != height:
            read.nonsense("a proof is for another height")
        branch = read.hashes(read.field(reply, "merkle", list), "a merkle branch")
        proof = Proof(height, read.number(reply, "pos"), tuple(branch))
        try:
            check_inclusion(self._memory.transactions[txid], self._headers.header(height), branch, proof.position)
        except InvalidInputError as error:
            read.unproven(error.message)
        return proof

    def _holds(self, txid: Txid, proof: Proof) -> bool:
        """Whether a proof from an earlier run still proves."""
        tx = self._memory.transactions.get(txid)
        if tx is None:
            return False
        try:
            check_inclusion(tx, self._headers.header(proof.height), proof.branch, proof.position)
        except InvalidInputError:
            return False
        return True


def _name_of(key: bytes) -> str:
    return key[::-1].hex()


def _key_of(name: str) -> bytes:
    try:
        return bytes.fromhex(name)[::-1]
    except ValueError:
        return b""


def _status_of(history: Sequence[tuple[Txid, int]]) -> str | None:
    text = "".join([f"{txid}:{height}:" for txid, height in history])
    return sha256(text.encode("ascii")).hex() if text else None


def _reason(message: str) -> str:
    """The node's own words within a server's: between a heading and the transaction in brackets."""
    words = message.replace("the transaction was rejected by network rules.", "").partition("[")[0]
    return words.strip() or message
