"""The facade: one open store, and every step of a transfer on it. It does the I/O; planning modules decide."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from bursar.policy.protocols import Policy

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.chain.fees import FeeCaps
    from bursar.chain.protocols import BitcoinBackend, EthereumBackend
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.token import Token
    from bursar.policy.history import History
    from bursar.policy.review import Asset
    from bursar.signing.protocols import EthereumSigner, PsbtSigner
    from bursar.wallet.journal import Journal
    from bursar.wallet.plan import ApprovedPlan, Plan, SignedTransfer
    from bursar.wallet.records import (
        AccountRecord,
        AddressRecord,
        AssetBalance,
        HistoryRow,
        Recovery,
        SyncReport,
        TransferRecord,
    )
    from bursar.wallet.transfer import FeeChoice, Transfer


class DigestedPolicy(Policy, Protocol):
    """A policy with an identity: ``digest()`` changes whenever a rule does (``RulePolicy`` is one)."""

    def digest(self) -> str: ...


class Wallet:
    """Accounts, balances and transfers in one SQLite file. Safe to open from several processes at once.

    Every method raises only ``BursarError``s; of the store: ``CorruptStoreError``, ``StoreBusyError`` (retry).
    """

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
    ) -> Wallet:
        """Open the store at ``path``; with ``create`` make it when absent (mode 0600), otherwise ``StoreError``.

        ``caps`` bounds fees whatever a node advises. ``clock`` gives Unix seconds. ``on_step`` is called with the name
        of each step of a transfer as it is passed. A damaged file raises ``CorruptStoreError`` and is left untouched;
        one written by a newer release raises ``StoreError``.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the store; idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Wallet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # accounts and addresses

    def add_account(self, name: str, account: BitcoinAccount | EthereumAccount, *, signer: str) -> AccountRecord:
        """Keep the public half of an account under ``name``; ``signer`` is the name by which its signer is found.

        Adding the same account under the same name again changes nothing; another use of either is a ``ConflictError``.
        """
        raise NotImplementedError

    def account(self, name: str) -> AccountRecord:
        """The account ``name``, or ``InvalidInputError`` (``input.account``)."""
        raise NotImplementedError

    def accounts(self) -> tuple[AccountRecord, ...]:
        """All accounts by name."""
        raise NotImplementedError

    def new_address(self, name: str, *, beyond_gap: bool = False) -> AddressRecord:
        """Issue the next unused receiving address.

        More than 20 issued but unused addresses in a row would be missed by a restore elsewhere (BIP-44): refused
        unless ``beyond_gap``.
        """
        raise NotImplementedError

    def addresses(self, name: str) -> tuple[AddressRecord, ...]:
        """The addresses issued or seen used, receiving branch first, by index."""
        raise NotImplementedError

    # assets

    def add_token(self, chain_id: int, contract: str, symbol: str, decimals: int) -> Asset:
        """Register an ERC-20 token; symbol and decimals are the operator's word, not the chain's."""
        raise NotImplementedError

    def tokens(self) -> tuple[Token, ...]:
        """All registered tokens by chain and symbol."""
        raise NotImplementedError

    def asset(self, account: str, key: str) -> Asset:
        """What ``key`` means for ``account``: ``BTC``, ``ETH``, a token's contract, or its symbol if unique."""
        raise NotImplementedError

    # the chain

    def sync(
        self,
        name: str,
        backend: BitcoinBackend | EthereumBackend,
        *,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> SyncReport:
        """Discover addresses (gap limit 20, both branches), bring coins and transfers of the account up to date.

        ``progress(stage, done, total)``. Raises ``WrongChainError`` before anything is asked of a node that serves
        another chain; any ``ChainError`` leaves the store as it was.
        """
        raise NotImplementedError

    def refresh(self, name: str, backend: BitcoinBackend | EthereumBackend) -> tuple[TransferRecord, ...]:
        """Ask only for the fate of the account's unfinished transfers; those whose state or depth changed."""
        raise NotImplementedError

    def balance(self, name: str) -> tuple[AssetBalance, ...]:
        """The balances as of the last sync and every step since: the chain's own coin first, then tokens by symbol."""
        raise NotImplementedError

    def history(self, name: str | None = None) -> tuple[HistoryRow, ...]:
        """Movements of one account, or of all, newest first."""
        raise NotImplementedError

    # one transfer

    def plan(self, transfer: Transfer, backend: BitcoinBackend | EthereumBackend, *, dry_run: bool = False) -> Plan:
        """Pick coins or a nonce and a fee, reserve them, and say in ``Plan.review`` what will happen.

        With ``dry_run`` nothing is reserved or stored and the plan cannot be approved. With a known idempotency key the
        stored plan comes back (see ``transfer(plan.id).state`` for how far it went); with another body
        ``ConflictError``. Raises ``InsufficientFundsError``, ``InvalidInputError`` (address, dust, fee over the cap),
        ``WrongChainError``.
        """
        raise NotImplementedError

    def approve(self, plan: Plan, policy: DigestedPolicy, *, now: datetime | None = None) -> ApprovedPlan:
        """Ask the policy, with what was approved before; the answer and the amounts are recorded in one transaction.

        ``PolicyDeniedError`` ends the transfer and releases what it held; ``ApprovalPendingError`` leaves it planned.
        """
        raise NotImplementedError

    def sign(
        self, approved: ApprovedPlan, *, signer: PsbtSigner | EthereumSigner, policy: DigestedPolicy | None = None
    ) -> SignedTransfer:
        """Have the signer sign exactly the approved plan; the result is checked, stored and synced to disk first.

        ``ConflictError`` when the plan, the approval or the policy is not the one recorded. Give ``policy`` to hold the
        approval against the policy in force now. Signing again gives the stored bytes.
        """
        raise NotImplementedError

    def send(self, signed: SignedTransfer, backend: BitcoinBackend | EthereumBackend) -> str:
        """Broadcast the stored bytes; the txid. Safe to repeat. A refusal leaves it signed: bump it or send again."""
        raise NotImplementedError

    def bump(
        self,
        transfer_id: str,
        backend: BitcoinBackend | EthereumBackend,
        *,
        fee: FeeChoice,
        cancel: bool = False,
        idempotency_key: str | None = None,
    ) -> Plan:
        """A new plan, to be approved and signed anew, that replaces a signed or sent transfer with a higher fee.

        With ``cancel`` the replacement pays ourselves instead of the payees. Bumping a cancelled transfer bumps the
        cancellation, never the payment.
        """
        raise NotImplementedError

    def cancel(self, transfer_id: str, *, reason: str = "cancelled") -> TransferRecord:
        """Release an unsigned transfer. ``ConflictError`` once a signature may exist: use ``bump(cancel=True)``."""
        raise NotImplementedError

    def recover(self, backend: BitcoinBackend | EthereumBackend) -> tuple[Recovery, ...]:
        """After a crash, for the accounts on this backend's chain: planned transfers are released, approved ones stay
        to be signed, signed ones are broadcast again byte for byte."""
        raise NotImplementedError

    def transfer(self, transfer_id: str) -> TransferRecord:
        """One transfer, or ``InvalidInputError`` (``input.transfer``)."""
        raise NotImplementedError

    def transfers(self, name: str | None = None) -> tuple[TransferRecord, ...]:
        """All transfers of one account, or of all, oldest first."""
        raise NotImplementedError

    def plan_of(self, transfer_id: str) -> Plan:
        """The stored plan of a transfer."""
        raise NotImplementedError

    def approval_of(self, transfer_id: str) -> ApprovedPlan | None:
        """The stored approval of a transfer, if it has one."""
        raise NotImplementedError

    def signed_of(self, transfer_id: str) -> SignedTransfer | None:
        """The stored signed bytes of a transfer, if it has them."""
        raise NotImplementedError

    def policy_history(self, *, now: datetime | None = None) -> History:
        """What policies see: every payment approved, signed, sent or confirmed; a fee bump counts once."""
        raise NotImplementedError

    @property
    def journal(self) -> Journal:
        """The hash-chained record of every step."""
        raise NotImplementedError
