"""An Esplora server as a source of chain data, held to transaction ids, Merkle branches and proof of work."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.chain.protocols import BlockRef, ChainTransaction, ChainUpdate, SyncRequest
from bursar.errors import (
    BroadcastRejectedError,
    ChainError,
    ChainUnavailableError,
    InvalidInputError,
    WrongChainError,
)
from bursar.nodes import reply as read
from bursar.nodes.esplora.client import EsploraClient, RefusedError
from bursar.nodes.esplora.histories import Histories, MovedError, merged, unspent
from bursar.nodes.esplora.proofs import Proofs
from bursar.nodes.esplora.shapes import block_ref, placed_transaction
from bursar.nodes.tls import trust_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bursar.bitcoin.transaction import Transaction, Txid

SYNC_ATTEMPTS: Final = 4
CONNECTIONS: Final = 4
BLIND_DEPTH: Final = 288  # how far back to read again when the server never saw the block we knew
RELAY_FLOOR: Final = FeeRate(1000)
MAX_PACKAGE: Final = 25
REJECTED: Final = -26
_KNOWN: Final = (
    "txn-already-in-mempool",
    "txn-already-known",
    "txn-same-nonwitness-data-in-mempool",
    "already in block chain",
    "already in utxo set",
)
_CODE: Final = re.compile(r'"code"\s*:\s*(-?[0-9]{1,6})')
_REASON: Final = re.compile(r'"message"\s*:\s*"([^"]{1,300})"')


class EsploraBackend:
    """``BitcoinBackend`` over a server with Esplora's HTTP API, such as ``https://host/api``.

    The server learns every script asked for; see the how-to guide on chain sources. Which certificate is
    believed: the one with the SHA-256 ``certificate``, the one seen first (``known_servers`` keeps it), one signed by
    ``authorities`` in a file, or by the system's. With ``proofs`` every confirmed transaction must be proven in a
    block with proof of work before it counts; the server can then hide transactions and lie about waiting ones, but not
    make up confirmed money without mining for it. ``timeout`` bounds one question in seconds; ``connections`` are open
    at once.
    """

    def __init__(
        self,
        url: str,
        *,
        network: Network,
        certificate: str | None = None,
        known_servers: Path | None = None,
        authorities: Path | None = None,
        timeout: float = 30.0,
        connections: int = CONNECTIONS,
        proofs: bool = True,
    ) -> None:
        trust = trust_of(certificate, known_servers, authorities)
        self._network = network
        self._client = EsploraClient(url, timeout=timeout, trust=trust, connections=connections)
        self._histories = Histories(self._client)
        self._proofs = Proofs(self._client, network) if proofs else None
        self._genesis_seen = False

    @property
    def network(self) -> Network:
        """The network this backend was made for."""
        return self._network

    def close(self) -> None:
        """Hang up; idempotent."""
        self._client.close()

    # state

    def check_network(self) -> BlockRef:
        """The server's tip; ``WrongChainError`` when it serves another network."""
        if not self._genesis_seen:
            genesis = read.hash_text(self._text("/block-height/0"), "the genesis block")
            if genesis != self._network.genesis_hash:
                raise WrongChainError(
                    f"esplora server {self._client.where} has genesis block {genesis}, not that of {self._network}: "
                    "use another server"
                )
            self._genesis_seen = True
        tip = read.hash_text(self._text("/blocks/tip/hash"), "the tip")
        return self._block(tip)

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        """The server's estimate for confirmation within so many blocks; ``None`` while it has none."""
        estimates = self._json("/fee-estimates")
        if not isinstance(estimates, dict):
            read.nonsense("the fee estimates are not an object")
        rates: dict[int, FeeRate] = {}
        for target, rate in estimates.items():
            if not target.isascii() or not target.isdigit() or len(target) > 4:
                read.nonsense("a fee estimate is for no number of blocks")
            rates[int(target)] = _fee_rate(rate)
        if not rates:
            return None
        return rates[max((target for target in rates if target <= target_blocks), default=min(rates))]

    def min_fee_rate(self) -> FeeRate:
        """The floor every node relays at by default: Esplora does not tell its own node's."""
        return RELAY_FLOOR

    # transactions

    def broadcast(self, tx: Transaction) -> Txid:
        """Send a transaction once; one the server knows already is a success.

        ``BroadcastRejectedError`` with the code and reason of the node behind the server when it refuses.
        """
        if not self._genesis_seen:
            self.check_network()
        try:
            answer = self._client.post("/tx", tx.serialize().hex())
        except RefusedError as error:
            if any(word in error.text for word in _KNOWN) or self._lookup(tx.txid) is not None:
                return tx.txid
            self._reject(tx, error.text)
        if read.txid(answer.decode("ascii", "replace").strip()) != tx.txid:
            read.nonsense(f"transaction {tx.txid} was sent and another id came back")
        return tx.txid

    def broadcast_package(self, transactions: Sequence[Transaction]) -> tuple[Txid, ...]:
        """Send a child behind its unconfirmed parents at once, where the server takes packages.

        ``BroadcastRejectedError`` names the first that is refused; one it knows is a success.
        """
        if not 2 <= len(transactions) <= MAX_PACKAGE:
            raise InvalidInputError(
                f"a package has 2 to {MAX_PACKAGE} transactions, got {len(transactions)}", code="input.transaction"
            )
        if not self._genesis_seen:
            self.check_network()
        body = "[" + ",".join(f'"{tx.serialize().hex()}"' for tx in transactions) + "]"
        try:
            reply = self._client.parsed(self._client.post("/txs/package", body, "application/json"))
        except RefusedError as error:
            if error.status in (404, 405):
                raise ChainError(f"esplora server {self._client.where} takes no packages: use another one") from error
            self._reject(transactions[-1], error.text)
        results = read.field(reply, "tx-results", dict)
        by_txid = {item.get("txid"): item for item in results.values() if isinstance(item, dict)}
        for tx in transactions:
            problem = by_txid.get(str(tx.txid), {}).get("error")
            if problem is not None and not any(word in str(problem) for word in _KNOWN):
                self._reject(tx, str(problem)[:300])
        verdict = read.field(reply, "package_msg", str)
        if verdict != "success" or len(by_txid) < len(transactions):
            self._reject(transactions[-1], verdict[:300])
        return tuple(tx.txid for tx in transactions)

    def transaction(self, txid: Txid) -> ChainTransaction | None:
        """A transaction as the server sees it, proven where it is said to be; ``None`` when it knows none."""
        item = self._lookup(txid)
        if item is not None and item.block is not None and self._proofs is not None:
            try:
                self._proofs.prove(item.tx, item.block)
            except RefusedError as error:
                raise self._unexpected(error) from error
        return item

    def _lookup(self, txid: Txid) -> ChainTransaction | None:
        try:
            item = placed_transaction(self._client.json(f"/tx/{txid}"))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise self._unexpected(error) from error
        if item.tx.txid != txid:
            read.nonsense(f"transaction {txid} was asked for and {item.tx.txid} came")
        return item

    # sync

    def sync(self, request: SyncRequest) -> ChainUpdate:
        """What the server knows about the request, consistent at one tip; ``ChainError`` when it cannot say."""
        for attempt in range(1, SYNC_ATTEMPTS + 1):
            try:
                return self._sync(request)
            except MovedError:
                self._histories.forget(request.scripts)
                if attempt == SYNC_ATTEMPTS:
                    raise
            except RefusedError as error:
                raise self._unexpected(error) from error
        raise AssertionError("unreachable")

    def _sync(self, request: SyncRequest) -> ChainUpdate:
        tip = self.check_network()
        if self._proofs is not None:
            self._proofs.follow_tip(tip)
        scripts = tuple(dict.fromkeys(request.scripts))
        reorged = None if request.since is None else self._reorged(request.since, tip)
        found = merged(self._client.map(self._histories.of, scripts))
        coins = unspent(found, frozenset(scripts))
        missing = self._fates(request.txids, found)
        self._prove(found, tip, request.held)
        if not self._is_active(tip.hash):
            raise MovedError(f"the chain of {self._client.where} was reorganised while it was read")
        order = sorted(
            found.values(), key=lambda entry: (entry.block is None, entry.block.height if entry.block else 0)
        )
        return ChainUpdate(tip, tuple(coins.values()), tuple(order), tuple(missing), reorged)

    def _fates(self, txids: Iterable[Txid], found: dict[Txid, ChainTransaction]) -> list[Txid]:
        wanted = [txid for txid in dict.fromkeys(txids) if txid not in found]
        missing: list[Txid] = []
        for txid, item in zip(wanted, self._client.map(self._lookup, wanted), strict=True):
            if item is None:
                missing.append(txid)
            else:
                found[txid] = item
        return missing

    def _prove(self, found: dict[Txid, ChainTransaction], tip: BlockRef, held: frozenset[tuple[Txid, str]]) -> None:
        """Every confirmed transaction is below the tip, where the tip's ancestors are, and proven."""
        confirmed = [(item.tx, item.block) for item in found.values() if item.block is not None]
        for _, ref in confirmed:
            if ref.height > tip.height or (self._proofs is not None and not self._proofs.check_place(ref)):
                raise MovedError(f"the chain of {self._client.where} moved while it was read")
        proofs = self._proofs
        if proofs is not None:
            wanted = [pair for pair in confirmed if (pair[0].txid, pair[1].hash) not in held]
            self._client.map(lambda pair: proofs.prove(*pair), wanted)

    def _reorged(self, since: BlockRef, tip: BlockRef) -> int | None:
        """The lowest height that is not what it was when ``since`` was the tip; ``None`` when all is."""
        at, height = since.hash, since.height
        while not self._is_active(at):
            try:
                ref, header = block_ref(self._client.json(f"/block/{at}"), at)
            except RefusedError:
                return self._unknown(since, tip)
            if ref.height != height or height == 0:
                read.nonsense(f"block {at} is at two heights")
            at, height = header.previous[::-1].hex(), height - 1
        return None if at == since.hash else height + 1

    def _unknown(self, since: BlockRef, tip: BlockRef) -> int:
        if tip.height < since.height:
            raise ChainUnavailableError(
                f"esplora server {self._client.where} is at block {tip.height}, behind block {since.height} known "
                "already: let it catch up, or use another one"
            )
        return max(1, since.height - (since.height if self._network is Network.REGTEST else BLIND_DEPTH))

    def _is_active(self, block_hash: str) -> bool:
        try:
            status = self._client.json(f"/block/{block_hash}/status")
        except RefusedError as error:
            if error.status == 404:
                return False
            raise
        return read.field(status, "in_best_chain", bool)

    # inside

    def _block(self, block_hash: str) -> BlockRef:
        try:
            return block_ref(self._client.json(f"/block/{block_hash}"), block_hash)[0]
        except RefusedError as error:
            if error.status == 404:
                raise MovedError(f"{self._client.where} lost block {block_hash} while it was read") from error
            raise self._unexpected(error) from error

    def _text(self, path: str) -> str:
        try:
            return self._client.text(path)
        except RefusedError as error:
            raise self._unexpected(error) from error

    def _json(self, path: str) -> Any:
        try:
            return self._client.json(path)
        except RefusedError as error:
            raise self._unexpected(error) from error

    def _unexpected(self, error: RefusedError) -> ChainError:
        return ChainError(
            f"esplora server {self._client.where} answers status {error.status} ({error.text}): check the url",
            code="chain.refused",
        )

    def _reject(self, tx: Transaction, text: str) -> NoReturn:
        code, reason = _CODE.search(text), _REASON.search(text)
        words = text if reason is None else reason[1]
        raise BroadcastRejectedError(
            f"esplora server {self._client.where} refused transaction {tx.txid}: {words}",
            node_code=REJECTED if code is None else int(code[1]),
            reason=words.partition(",")[0].strip(),
        )


def _fee_rate(value: Any) -> FeeRate:
    """From sat/vB as a JSON number, rounded up to a whole sat/kvB."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        read.nonsense("a fee estimate is not a number")
    if not 0 <= value <= 100_000:
        read.nonsense("a fee estimate is out of range")
    return FeeRate(int((Decimal(value) * 1000).to_integral_value(ROUND_CEILING)))
