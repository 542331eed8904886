"""The facade: one open store, and every step of a transfer on it. It does the I/O; planning modules decide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bursar.chain.ethereum_chains import EthereumChains
from bursar.chain.fees import FeeCaps
from bursar.errors import InvalidInputError, StoreError
from bursar.ethereum.address import Address
from bursar.ethereum.token import Token
from bursar.wallet import accounts as rules
from bursar.wallet import approving, sending, statements
from bursar.wallet.approving import DigestedPolicy
from bursar.wallet.bitcoin_sync import refresh_bitcoin, sync_bitcoin
from bursar.wallet.coin_desk import CoinDesk
from bursar.wallet.context import Context
from bursar.wallet.delegations import DelegationDesk
from bursar.wallet.ethereum_deposits_desk import DepositDesk
from bursar.wallet.ethereum_sync import sync_ethereum
from bursar.wallet.journal import Journal
from bursar.wallet.nonce_desk import NonceDesk
from bursar.wallet.planning_desk import PlanningDesk, bitcoin_node, ethereum_node
from bursar.wallet.publishing import PublishingDesk
from bursar.wallet.reserving import require_transfer
from bursar.wallet.signing_desk import SigningDesk
from bursar.wallet.store import accounts as rows
from bursar.wallet.store.engine import Store
from bursar.wallet.store.places import shown_rows
from bursar.wallet.store.transfers import transfer_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from random import Random
    from types import TracebackType

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.network import Network
    from bursar.chain.protocols import BitcoinBackend, EthereumBackend, FeeEstimator
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount
    from bursar.policy.history import History
    from bursar.policy.review import Asset, Review
    from bursar.wallet.names import NameResolver
    from bursar.wallet.plan import SignedTransfer
    from bursar.wallet.records import (
        AccountRecord,
        AddressRecord,
        AssetBalance,
        HistoryRow,
        Recovery,
        SyncReport,
        TransferRecord,
    )

__all__ = ["DigestedPolicy", "Wallet"]


class Wallet(PlanningDesk, SigningDesk, CoinDesk, NonceDesk, DepositDesk, DelegationDesk, PublishingDesk):
    """Accounts, balances and transfers in one SQLite file. Safe to open from several processes at once.

    Every method raises only ``BursarError``s; of the store: ``CorruptStoreError``, ``StoreBusyError`` (retry).
    """

    def __init__(self, context: Context) -> None:
        """Use ``Wallet.open``."""
        super().__init__(context)
        self._store = context.store
        self._journal = Journal(context.store)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        caps: FeeCaps | None = None,
        clock: Callable[[], float] | None = None,
        on_step: Callable[[str], None] | None = None,
        busy_timeout: float = 5.0,
        rng: Random | None = None,
        fee_estimators: Mapping[Network, Mapping[str, FeeEstimator]] | None = None,
        chains: EthereumChains | None = None,
        names: NameResolver | None = None,
    ) -> Wallet:
        """Open the store at ``path``; with ``create`` make it when absent (mode 0600), otherwise ``StoreError``.

        ``caps`` bounds fees whatever a node advises; ``fee_estimators``, by name for each Bitcoin network, are held
        against its advice (``chain.estimates.cross_checked``). ``clock`` gives Unix seconds. ``on_step`` is called
        with the name of each step of a transfer as it is passed; ``rng`` makes coin selection repeatable, in tests.
        ``chains`` are what is known of Ethereum chains (default: those built in), ``names`` resolves payees' names. A
        damaged file raises ``CorruptStoreError`` and is left untouched; one written by a newer release raises
        ``StoreError`` (``store.newer``).
        """
        if create and not path.exists():
            try:
                store = Store.create(path, busy_timeout=busy_timeout)
            except StoreError as error:
                if error.code != "store.exists":
                    raise
                store = Store.open(path, busy_timeout=busy_timeout)  # another process made it first
        else:
            store = Store.open(path, busy_timeout=busy_timeout)
        known, ask = chains or EthereumChains.built_in(), fee_estimators or {}
        wallet = cls(Context(store, caps or FeeCaps(), clock or time.time, on_step, rng, ask, known, names))
        try:
            wallet._journal.check_tail()
        except BaseException:
            store.close()
            raise
        return wallet

    def close(self) -> None:
        """Release the store; idempotent."""
        self._store.close()

    def __enter__(self) -> Wallet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # accounts and addresses

    def add_account(
        self,
        name: str,
        account: ScriptAccount | EthereumAccount | AddressAccount,
        *,
        signer: str | Sequence[str] | None = None,
        gap_limit: int = rules.GAP_LIMIT,
    ) -> AccountRecord:
        """Keep the public half of an account under ``name``; ``signer`` is the name by which its signer is found.

        Several signers have several names; without any the account is only watched. ``gap_limit`` is how many unused
        addresses in a row end the search for used ones (BIP-44: 20, the least).
        Adding the same account under the same name again changes nothing; another use of either is a ``ConflictError``.
        """
        signers = () if signer is None else (signer,) if isinstance(signer, str) else tuple(signer)
        return statements.add_account(self._context, name, account, signers, gap_limit=gap_limit)

    def account(self, name: str) -> AccountRecord:
        """The account ``name``, or ``InvalidInputError`` (``input.account``)."""
        return rules.account_record(self._row(name))

    def set_gap_limit(self, name: str, gap_limit: int) -> AccountRecord:
        """Search for used addresses beyond so many unused ones from now on; the next sync looks from genesis again."""
        return statements.set_gap_limit(self._context, name, gap_limit)

    def rescan(self, name: str) -> AccountRecord:
        """Have the next sync of a Bitcoin account look from genesis again; nothing known is forgotten meanwhile."""
        return statements.rescan(self._context, name)

    def accounts(self) -> tuple[AccountRecord, ...]:
        """All accounts by name."""
        with self._store.read() as connection:
            return tuple(rules.account_record(row) for row in rows.all_accounts(connection))

    def new_address(self, name: str, *, beyond_gap: bool = False) -> AddressRecord:
        """Issue the next unused receiving address.

        More than 20 issued but unused addresses in a row would be missed by a restore elsewhere (BIP-44): refused
        unless ``beyond_gap``.
        """
        return statements.new_address(self._context, name, beyond_gap=beyond_gap)

    def addresses(self, name: str) -> tuple[AddressRecord, ...]:
        """The addresses issued or seen used, receiving branch first, by index."""
        with self._store.read() as connection:
            row = rules.require_account(connection, name)
            account = rules.load_account(row)
            found = shown_rows(connection, row.id)
        return tuple(rules.address_record(name, account, item) for item in found)

    # assets

    def add_token(self, chain_id: int, contract: str, symbol: str, decimals: int) -> Asset:
        """Register an ERC-20 token; symbol and decimals are the operator's word, not the chain's."""
        return statements.add_token(self._context, Token(chain_id, Address.from_text(contract), symbol, decimals))

    def remove_token(self, chain_id: int, contract: str) -> None:
        """Forget a token; its past transfers stay. ``InvalidInputError`` when it is not registered."""
        with self._store.write() as connection:
            if not rows.remove_token(connection, chain_id, str(Address.from_text(contract))):
                raise InvalidInputError(f"{contract} is not registered on chain {chain_id}", code="input.token")
            self._context.note(connection, "token.removed", chain_id=chain_id, contract=contract)

    def tokens(self) -> tuple[Token, ...]:
        """All registered tokens by chain and symbol."""
        with self._store.read() as connection:
            found = rows.all_tokens(connection)
        return tuple(Token(row.chain_id, Address.from_text(row.contract), row.symbol, row.decimals) for row in found)

    def asset(self, account: str, key: str) -> Asset:
        """What ``key`` means for ``account``: ``BTC``, ``ETH``, a token's contract, or its symbol if unique."""
        with self._store.read() as connection:
            row = rules.require_account(connection, account)
            found = rows.all_tokens(connection)
            return rules.resolve_asset(rules.load_account(row), key, found, self._context.chains)

    # the chain

    def sync(
        self,
        name: str,
        backend: BitcoinBackend | EthereumBackend,
        *,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> SyncReport:
        """Discover addresses (gap limit, every branch), bring coins and transfers of the account up to date.

        ``progress(stage, done, total)``. Raises ``WrongChainError`` before anything is asked of a node that serves
        another chain; any ``ChainError`` leaves the store as it was, but that a long sync keeps what it found so far
        (``AccountRecord.scanning`` tells of a first one) and goes on from there. For Ethereum: ``Wallet.deposits``.
        """
        row = self._row(name)
        account, told = rules.load_account(row), progress or _silent
        if not isinstance(account, rules.AnyEthereum):
            return sync_bitcoin(self._context, row, account, bitcoin_node(row, backend), told)
        return sync_ethereum(self._context, row, account, ethereum_node(row, backend), told)

    def refresh(self, name: str, backend: BitcoinBackend | EthereumBackend) -> tuple[TransferRecord, ...]:
        """Ask only for the fate of the account's unfinished transfers; those whose state or block changed."""
        row = self._row(name)
        account = rules.load_account(row)
        if not isinstance(account, rules.AnyEthereum):
            changed = refresh_bitcoin(self._context, row, account, bitcoin_node(row, backend))
        else:
            changed = sync_ethereum(self._context, row, account, ethereum_node(row, backend), _silent).changed
        return tuple(self.transfer(transfer_id) for transfer_id in changed)

    def balance(self, name: str) -> tuple[AssetBalance, ...]:
        """The balances as of the last sync and every step since: the chain's own coin first, then tokens by symbol."""
        with self._store.read() as connection:
            return statements.balance(self._context, connection, rules.require_account(connection, name))

    def history(self, name: str | None = None) -> tuple[HistoryRow, ...]:
        """Movements of one account, or of all, newest first."""
        with self._store.read() as connection:
            wanted = rows.all_accounts(connection) if name is None else [rules.require_account(connection, name)]
            return statements.history(self._context, connection, wanted)

    # one transfer

    def send(self, signed: SignedTransfer, backend: BitcoinBackend | EthereumBackend) -> str:
        """Broadcast the stored bytes; the txid. Safe to repeat. A refusal leaves it signed: bump it or send again."""
        return sending.send(self._context, signed, backend)

    def cancel(self, transfer_id: str, *, reason: str = "cancelled") -> TransferRecord:
        """Release an unsigned transfer. ``ConflictError`` once a signature may exist: use ``bump(cancel=True)``."""
        sending.cancel(self._context, transfer_id, reason)
        return self.transfer(transfer_id)

    def unsafe_cancel(self, transfer_id: str, *, reason: str) -> TransferRecord:
        """Release an unsigned transfer although a signer was asked: only when you know that no signature left it.

        Should one turn up, it and a later transfer would compete for the same coins or nonce.
        """
        sending.cancel(self._context, transfer_id, reason, unsafe=True)
        return self.transfer(transfer_id)

    def recover(self, backend: BitcoinBackend | EthereumBackend, *, older_than: int = 0) -> tuple[Recovery, ...]:
        """After a crash, for the accounts on this backend's chain: planned transfers are released (and their
        idempotency key is free again), those approved or waiting for approvals stay, signed ones are broadcast again
        byte for byte.

        ``older_than`` spares transfers planned less than so many seconds ago, for where other processes are at work.
        """
        return sending.recover(self._context, backend, older_than)

    def transfer(self, transfer_id: str) -> TransferRecord:
        """One transfer, or ``InvalidInputError`` (``input.transfer``)."""
        with self._store.read() as connection:
            row = require_transfer(connection, transfer_id)
            return statements.transfer_records(connection, [row], transfer_rows(connection, root=row.root))[0]

    def transfers(self, name: str | None = None) -> tuple[TransferRecord, ...]:
        """All transfers of one account, or of all, oldest first."""
        with self._store.read() as connection:
            return statements.transfers(connection, name)

    def policy_history(self, *, now: datetime | None = None, signature: bytes | None = None) -> History:
        """What policies see: every payment approved, signed, sent or confirmed; a fee bump counts once.

        Also what approved signatures let others take, but for one of the digest ``signature``, which is decided anew.
        """
        return approving.policy_history(self._context, now, signature)

    def approve_signature(
        self, review: Review, policy: DigestedPolicy, *, digest: bytes, now: datetime | None = None
    ) -> None:
        """Decide on a signature that is no transaction's (typed data, a user operation) and count it from then on.

        ``digest`` is what is signed: given again, it counts once. Raises as ``approve`` does.
        """
        approving.approve_signature(self._context, review, policy, digest, now)

    @property
    def journal(self) -> Journal:
        """The hash-chained record of every step."""
        return self._journal


def _silent(stage: str, done: int, total: int | None) -> None:
    del stage, done, total
