"""What the wallet tells about itself: accounts, addresses, balances, transfers, history, sync and recovery reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bursar.wallet.canonical import field, open_record
from bursar.wallet.review_json import asset_to_json

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.chain.protocols import BlockRef
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount
    from bursar.policy.review import Asset
    from bursar.wallet.transfer import Transfer


class TransferState(StrEnum):
    """Where a transfer stands. Only a reorganised chain turns ``confirmed`` or ``replaced`` back to ``sent``."""

    PLANNED = "planned"
    APPROVED = "approved"
    SIGNED = "signed"
    SENT = "sent"
    CONFIRMED = "confirmed"
    DENIED = "denied"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    FAILED = "failed"  # mined and reverted, or its coin was spent by something else: see ``reason``
    SUPERSEDED = "superseded"  # its nonce was used by a transaction that is not ours: never sent again

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account of the store: the public half, which signer answers for it, and the last tip applied.

    ``signers`` are all of them where it takes several; none, and an empty ``signer``, where it is only watched.
    ``scanning``: its first scan is not finished, sync again.
    """

    name: str
    account: ScriptAccount | EthereumAccount | AddressAccount
    signer: str
    created: int
    tip: BlockRef | None
    signers: tuple[str, ...] = ()
    gap_limit: int = 20
    scanning: bool = False

    @property
    def chain(self) -> str:
        """``"bitcoin"`` or ``"ethereum"``."""
        return "ethereum" if hasattr(self.account, "chain_id") else "bitcoin"

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "account",
            "version": 1,
            "name": self.name,
            "account": self.account.to_json(),
            "signer": self.signer,
            "signers": list(self.signers),
            "gap_limit": self.gap_limit,
            "scanning": self.scanning,
            "created": self.created,
            "tip": None
            if self.tip is None
            else {"height": self.tip.height, "hash": self.tip.hash, "time": self.tip.time},
        }


@dataclass(frozen=True, slots=True)
class AddressRecord:
    """One address of an account; ``branch`` 0 receives, 1 is change. ``used``: seen on the chain or in the mempool."""

    account: str
    address: str
    path: str
    branch: int
    index: int
    used: bool
    issued: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "address",
            "version": 1,
            "account": self.account,
            "address": self.address,
            "path": self.path,
            "branch": self.branch,
            "index": self.index,
            "used": self.used,
            "issued": self.issued,
        }


@dataclass(frozen=True, slots=True)
class AssetBalance:
    """One asset of one account in base units.

    ``confirmed`` is mature and in blocks; ``pending`` the net effect of what is not yet in a block (may be negative);
    ``immature`` coinbase outputs younger than 100 blocks; ``reserved`` what unsent transfers hold; ``spendable`` what a
    new transfer may use, its fee included.
    """

    asset: Asset
    confirmed: int
    pending: int
    immature: int
    reserved: int
    spendable: int

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "balance",
            "version": 1,
            "asset": asset_to_json(self.asset),
            "confirmed": str(self.confirmed),
            "pending": str(self.pending),
            "immature": str(self.immature),
            "reserved": str(self.reserved),
            "spendable": str(self.spendable),
        }


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """A transfer and its fate. ``fee`` is paid (or planned) in base units; ``raw`` the signed bytes once they exist."""

    id: str
    account: str
    state: TransferState
    transfer: Transfer
    txid: str | None
    raw: bytes | None
    fee: int | None
    height: int | None
    confirmations: int
    created: int
    replaces: str | None = None  # id of the transfer this one bumps or cancels
    replaced_by: str | None = None
    reason: str | None = None  # why denied, cancelled, failed

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "transfer-record",
            "version": 1,
            "id": self.id,
            "account": self.account,
            "state": self.state.value,
            "transfer": self.transfer.to_json(),
            "txid": self.txid,
            "raw": None if self.raw is None else self.raw.hex(),
            "fee": None if self.fee is None else str(self.fee),
            "height": self.height,
            "confirmations": self.confirmations,
            "created": self.created,
            "replaces": self.replaces,
            "replaced_by": self.replaced_by,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One movement of one asset; ``amount`` is signed and excludes ``fee``, which we paid in the chain's own coin."""

    account: str
    direction: str  # "in", "out" or "self"
    asset: Asset
    amount: int
    fee: int
    txid: str | None  # None: Ethereum nodes name no transaction for a movement seen in balances only
    height: int | None  # None: not in a block yet
    time: int  # Unix seconds of the block, or when first seen
    confirmations: int
    counterparties: tuple[str, ...] = ()
    transfer_id: str | None = None
    deposit: str | None = None  # what an Ethereum movement is that no transfer made: see ``DepositRecord.kind``
    state: str | None = None  # of such a movement: seen or confirmed
    token_id: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "history-row",
            "version": 1,
            "account": self.account,
            "direction": self.direction,
            "asset": asset_to_json(self.asset),
            "amount": str(self.amount),
            "fee": str(self.fee),
            "txid": self.txid,
            "height": self.height,
            "time": self.time,
            "confirmations": self.confirmations,
            "counterparties": list(self.counterparties),
            "transfer_id": self.transfer_id,
            "deposit": self.deposit,
            "state": self.state,
            "token_id": None if self.token_id is None else str(self.token_id),
        }


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one sync did. ``reorged``: lowest height whose block was replaced; ``changed``: transfers that moved.

    ``history_complete`` is false when this was the account's first sync and the node could not show what was spent
    before (Bitcoin Core: ``blockfilterindex=1``): coins are looked for far beyond the gap, but history lacks the past,
    and addresses emptied before may be issued again.

    Of an Ethereum account: how many differences of balances are ``unexplained``, how many movements of unregistered
    tokens were ``ignored`` because they were too many, and what somebody should look into (``alarms``).
    """

    account: str
    tip: BlockRef
    addresses: int  # how many were looked at
    new_transactions: int
    reorged: int | None = None
    changed: tuple[str, ...] = ()
    history_complete: bool = True
    unexplained: int = 0
    ignored: int = 0
    alarms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "sync-report",
            "version": 1,
            "account": self.account,
            "tip": {"height": self.tip.height, "hash": self.tip.hash, "time": self.tip.time},
            "addresses": self.addresses,
            "new_transactions": self.new_transactions,
            "reorged": self.reorged,
            "changed": list(self.changed),
            "history_complete": self.history_complete,
            "unexplained": self.unexplained,
            "ignored": self.ignored,
            "alarms": list(self.alarms),
        }


@dataclass(frozen=True, slots=True)
class Recovery:
    """What ``recover`` did with one unfinished transfer.

    ``action`` is released, resumable, rebroadcast, rejected, or unknown: sent once and not found, until a sync tells.
    """

    id: str
    action: str
    txid: str | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "recovery",
            "version": 1,
            "id": self.id,
            "action": self.action,
            "txid": self.txid,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class JournalHead:
    """The journal's last record: keep it somewhere else, and cutting the journal's tail shows."""

    sequence: int
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {"kind": "journal-head", "version": 1, "sequence": self.sequence, "hash": self.hash}

    @classmethod
    def from_json(cls, data: object) -> JournalHead:
        record = open_record(data, "journal-head", 1)
        return cls(sequence=field(record, "sequence", int), hash=field(record, "hash", str))
