"""The chain contract: what a wallet asks of a node, and what it gets, as data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
    from bursar.bitcoin.units import FeeRate
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.units import Wei

Speed = Literal["slow", "normal", "fast"]  # how soon a transaction shall be mined


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by height and hash (display hex; ``0x`` before it on Ethereum only); ``time`` in Unix seconds.

    ``str()`` is for people.
    """

    height: int
    hash: str
    time: int

    def __str__(self) -> str:
        return f"block {self.height} {self.hash}"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Which scripts to look for. ``since`` is the last tip applied (``None``: look from genesis).

    What follows ``txids`` only saves work, and every source may ignore it. A caller that kept the last update's
    ``coins`` gives them back, names as ``fresh`` the scripts that update was not asked for, and as ``held`` the
    confirmed transactions it has with the hash of their block. ``birthday`` is a height below which no block concerns
    the scripts. With ``stop`` a source that reads blocks goes no further than that height, so that a long first sync
    is done in pieces: apply the update, and ask again with its tip and coins while ``remaining`` is not 0.
    """

    scripts: tuple[bytes, ...]
    since: BlockRef | None = None
    txids: tuple[Txid, ...] = ()  # transactions whose fate is wanted whatever their scripts
    coins: tuple[ChainCoin, ...] | None = None
    fresh: frozenset[bytes] = frozenset()
    held: frozenset[tuple[Txid, str]] = frozenset()
    birthday: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class ChainTransaction:
    """A transaction as the node sees it; ``block`` is ``None`` while it is in the mempool."""

    tx: Transaction
    block: BlockRef | None


@dataclass(frozen=True, slots=True)
class ChainCoin:
    """An unspent confirmed output paying one of the asked scripts."""

    outpoint: OutPoint
    output: TxOut
    height: int
    coinbase: bool


@dataclass(frozen=True, slots=True)
class ChainUpdate:
    """The node's answer, consistent at ``tip``.

    ``coins`` is the complete set of confirmed unspent outputs of the asked scripts at ``tip``. ``transactions`` holds
    every mempool transaction that touches the asked scripts (pays to, or spends from ``coins``), every confirmed one
    the node can name since ``since`` (or where a coin was born), and the fate of ``txids``; ``missing`` lists those of
    ``txids`` the node does not know. ``reorged`` is the lowest height whose block differs from what ``since`` implied.
    ``history_complete`` is false when the node could not look for coins of the asked scripts that were spent since.
    ``remaining`` counts the blocks above ``tip`` that were left for another request because of its ``stop``; while it
    is not 0 the mempool was not looked at.
    """

    tip: BlockRef
    coins: tuple[ChainCoin, ...]
    transactions: tuple[ChainTransaction, ...]
    missing: tuple[Txid, ...] = ()
    reorged: int | None = None
    history_complete: bool = True
    remaining: int = 0


@runtime_checkable
class BitcoinBackend(Protocol):
    """A source of Bitcoin chain data. Every method raises ``ChainError`` and nothing foreign."""

    @property
    def network(self) -> Network: ...

    def check_network(self) -> BlockRef: ...  # WrongChainError unless the node's genesis is this network's

    def sync(self, request: SyncRequest) -> ChainUpdate: ...

    def transaction(self, txid: Txid) -> ChainTransaction | None: ...

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None: ...  # None: the node has no estimate

    def min_fee_rate(self) -> FeeRate: ...  # the node's mempool floor

    def broadcast(self, tx: Transaction) -> Txid: ...  # already known (mempool or chain) is success

    def close(self) -> None: ...


@runtime_checkable
class PackageBroadcaster(Protocol):
    """A Bitcoin source that takes a child with its unconfirmed parents at once, so that the child pays for them."""

    def broadcast_package(self, transactions: Sequence[Transaction]) -> tuple[Txid, ...]: ...  # parents first


@runtime_checkable
class FeeEstimator(Protocol):
    """Who says what a fee rate should be; every ``BitcoinBackend`` does. Raises ``ChainError`` and nothing foreign."""

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None: ...


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """A hint that a sync has something to find: a new ``tip``, a ``script`` touched, or events that were ``missed``.

    ``block`` is the hash of a new tip where it is known, ``script`` the one touched, ``txid`` the transaction.
    """

    kind: Literal["tip", "script", "missed"]
    block: str | None = None
    script: bytes | None = None
    txid: Txid | None = None


@runtime_checkable
class ChainWatcher(Protocol):
    """Tells when it is worth to sync. Events are hints: some may be missed or sent twice, none is proof of anything."""

    def watch(self, scripts: Iterable[bytes]) -> None: ...  # these too, from now on

    def wait(self, *, timeout: float) -> tuple[ChainEvent, ...]: ...  # what came, at the latest after so many seconds

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """Base fee of the next block and priority fees by speed, in wei per gas (EIP-1559)."""

    base_fee: Wei
    slow: Wei
    normal: Wei
    fast: Wei


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a log stands: two logs are the same one only if this is the same."""

    block: BlockRef
    tx_hash: str
    index: int  # within the block


@dataclass(frozen=True, slots=True)
class Log:
    """One event log of a receipt; ``place`` is ``None`` only where the source did not say it."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    place: LogPlace | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction's outcome; ``succeeded`` is the EVM status.

    ``data_fee`` is what an OP-stack chain took besides, for the data on the chain below, in wei; ``blob_fee`` what the
    transaction's blobs cost (EIP-4844).
    """

    tx_hash: str
    block: BlockRef
    succeeded: bool
    gas_used: int
    effective_gas_price: Wei
    logs: tuple[Log, ...] = ()
    data_fee: int = 0
    blob_fee: int = 0

    @property
    def fee(self) -> int:
        """All that the sender paid for it, in wei."""
        return self.gas_used * int(self.effective_gas_price) + self.data_fee + self.blob_fee


@runtime_checkable
class EthereumBackend(Protocol):
    """A source of Ethereum chain data. Every method raises ``ChainError`` and nothing foreign."""

    @property
    def chain_id(self) -> int: ...

    def check_chain(self) -> BlockRef: ...  # WrongChainError unless the node answers with this chain id; gives the tip

    def genesis_hash(self) -> str: ...

    def balance(self, address: Address, *, pending: bool = False) -> Wei: ...

    def nonce(self, address: Address, *, pending: bool = False) -> int: ...

    def fees(self) -> FeeQuote: ...

    def estimate_gas(self, sender: Address, tx: UnsignedTransaction) -> int: ...

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes: ...

    def code(self, address: Address) -> bytes: ...

    def broadcast(self, raw: bytes) -> str: ...  # 0x transaction hash; already known is success

    def receipt(self, tx_hash: str) -> Receipt | None: ...

    def transaction(self, tx_hash: str) -> bytes | None: ...  # raw bytes, None when unknown

    def logs(  # a topic may be one of several
        self,
        *,
        addresses: Sequence[Address],
        topics: Sequence[bytes | Sequence[bytes] | None],
        from_block: int,
        to_block: int,
    ) -> tuple[Log, ...]: ...

    def close(self) -> None: ...
