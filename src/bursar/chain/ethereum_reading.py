"""What an Ethereum source may offer beyond the basic contract: heads, blocks, traces, balances, trials, blob fees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from bursar.chain.protocols import BlockRef, Receipt
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.units import Wei


@dataclass(frozen=True, slots=True)
class Heads:
    """The last block, and the last ones the network calls safe and finalized (``None``: the chain has no such mark)."""

    latest: BlockRef
    safe: BlockRef | None = None
    finalized: BlockRef | None = None


@dataclass(frozen=True, slots=True)
class BlockTransaction:
    """One transaction of a block, as far as deposits are concerned; ``to`` is ``None`` where it makes a contract."""

    tx_hash: str
    sender: Address
    to: Address | None
    value: Wei
    nonce: int
    index: int


@dataclass(frozen=True, slots=True)
class BlockBody:
    """A block with its transactions, and what validators withdrew in it (EIP-4895): address, amount in wei."""

    block: BlockRef
    parent: str
    transactions: tuple[BlockTransaction, ...]
    withdrawals: tuple[tuple[Address, Wei], ...] = ()


@dataclass(frozen=True, slots=True)
class InternalTransfer:
    """Ether that a contract moved inside a transaction; ``position`` tells two of one transaction apart."""

    tx_hash: str
    position: int
    sender: Address
    recipient: Address
    value: Wei


@dataclass(frozen=True, slots=True)
class SimulatedTransfer:
    """What moved in a simulation: wei where ``contract`` is ``None``, else base units or the token ``token_id``."""

    contract: Address | None
    sender: Address
    recipient: Address
    amount: int
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class SimulatedApproval:
    """What a simulation allowed: ``amount`` base units, the token ``token_id``, or all of them (``everything``)."""

    contract: Address
    owner: Address
    spender: Address
    amount: int
    token_id: int | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Simulation:
    """What one transaction would do now. ``method`` names how it was found out; ``complete`` is false where moves of
    ether inside contracts could not be seen. ``reason`` is why it fails, for people."""

    method: str
    succeeded: bool
    gas_used: int | None
    transfers: tuple[SimulatedTransfer, ...]
    approvals: tuple[SimulatedApproval, ...]
    complete: bool
    reason: str | None = None


@runtime_checkable
class HeadReader(Protocol):
    """Tells what is final."""

    def heads(self) -> Heads: ...

    def block_at(self, height: int) -> BlockRef | None: ...  # None beyond the tip


@runtime_checkable
class BlockReader(Protocol):
    """Gives whole blocks and all their receipts."""

    def block_body(self, height: int) -> BlockBody: ...

    def block_receipts(self, block: BlockRef) -> tuple[Receipt, ...] | None: ...  # None: not offered


@runtime_checkable
class Tracer(Protocol):
    """Gives the ether moved inside contracts."""

    def internal_transfers(self, block: BlockRef) -> tuple[InternalTransfer, ...] | None: ...  # None: not offered


@runtime_checkable
class BalanceReader(Protocol):
    """Reads many balances in few round trips, all at one block."""

    def balances(
        self, owners: Sequence[Address], contracts: Sequence[Address]
    ) -> tuple[BlockRef, Mapping[tuple[Address, Address | None], int | None]]: ...  # None: the contract gave no number

    def nonces(self, owners: Sequence[Address]) -> Mapping[Address, int]: ...


@runtime_checkable
class Simulator(Protocol):
    """Tries a transaction without sending it."""

    def simulate(self, sender: Address, tx: UnsignedTransaction) -> Simulation: ...


@runtime_checkable
class AccessLister(Protocol):
    """Finds out which accounts and slots a transaction touches (EIP-2930)."""

    def access_list(  # None: not offered
        self, sender: Address, tx: UnsignedTransaction
    ) -> tuple[AccessListEntry, ...] | None: ...


@runtime_checkable
class BlobFeeReader(Protocol):
    """Knows the price of blobs (EIP-4844)."""

    def blob_base_fee(self) -> Wei | None: ...  # of the next block, for one gas of blobs; None: the chain has none
