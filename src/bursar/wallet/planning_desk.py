"""The facade's part about plans: of transfers, of what replaces or lifts them, and the policy's word on each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.chain.protocols import EthereumBackend
from bursar.errors import ConflictError, WrongChainError
from bursar.wallet import accounts as rules
from bursar.wallet import approving
from bursar.wallet.bitcoin_steps import bump_bitcoin, bump_digest, plan_bitcoin
from bursar.wallet.bitcoin_sweeps import consolidate_bitcoin, consolidation_digest, cpfp_bitcoin, cpfp_digest
from bursar.wallet.coin_control import SpendWith
from bursar.wallet.ethereum_bumps import bump_ethereum
from bursar.wallet.ethereum_steps import plan_ethereum
from bursar.wallet.reserving import ATTEMPTS, find_stuck, keyed_plan, known_plan, require_transfer
from bursar.wallet.store.accounts import account_by_id

if TYPE_CHECKING:
    from datetime import datetime

    from bursar.chain.protocols import BitcoinBackend
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context
    from bursar.wallet.plan import ApprovedPlan, Plan
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.transfer import FeeChoice, Transfer


class PlanningDesk:
    """Every way a plan is made, and its approval."""

    _context: Context

    def _row(self, name: str) -> AccountRow:
        with self._context.store.read() as connection:
            return rules.require_account(connection, name)

    def plan(self, transfer: Transfer, backend: BitcoinBackend | EthereumBackend, *, dry_run: bool = False) -> Plan:
        """Pick coins or a nonce and a fee, reserve them, and say in ``Plan.review`` what will happen.

        With ``dry_run`` nothing is reserved or stored and the plan cannot be approved. With a known idempotency key the
        stored plan comes back (see ``transfer(plan.id).state`` for how far it went); with another body
        ``ConflictError``. Raises ``InsufficientFundsError``, ``InvalidInputError`` (address, dust, fee over the cap),
        ``WrongChainError``.
        """
        body = transfer.body_digest()
        for attempt in range(ATTEMPTS):
            with self._context.store.read() as connection:
                known = None if dry_run else known_plan(connection, transfer, body)
                row = rules.require_account(connection, transfer.account)
            if known is not None:
                return known
            account = rules.load_account(row)
            try:
                if not isinstance(account, rules.AnyEthereum):
                    node = bitcoin_node(row, backend)
                    return plan_bitcoin(self._context, row, account, transfer, node, dry_run=dry_run)
                other = ethereum_node(row, backend)
                return plan_ethereum(self._context, row, account, transfer, other, dry_run=dry_run)
            except ConflictError:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("every attempt returns or raises")

    def approve(self, plan: Plan, policy: DigestedPolicy, *, now: datetime | None = None) -> ApprovedPlan:
        """Ask the policy, with what was approved before; the answer and the amounts are recorded in one transaction.

        ``PolicyDeniedError`` ends the transfer and releases what it held; ``ApprovalPendingError`` leaves it planned.
        """
        return approving.approve(self._context, plan, policy, now)

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
        with self._context.store.read() as connection:
            target = require_transfer(connection, transfer_id)
            row = account_by_id(connection, target.account_id)
            known = keyed_plan(connection, idempotency_key, bump_digest(transfer_id, fee, cancel))
        if known is not None:
            return known
        account = rules.load_account(row)
        if not isinstance(account, rules.AnyEthereum):
            node = bitcoin_node(row, backend)
            return bump_bitcoin(
                self._context, row, account, target, node, fee=fee, cancel=cancel, idempotency_key=idempotency_key
            )
        other = ethereum_node(row, backend)
        return bump_ethereum(
            self._context, row, account, target, other, fee=fee, cancel=cancel, idempotency_key=idempotency_key
        )

    def cpfp(
        self,
        ref: str,
        backend: BitcoinBackend,
        *,
        fee: FeeChoice,
        account: str | None = None,
        spend_with: SpendWith = SpendWith(),  # noqa: B008  (immutable)
        idempotency_key: str | None = None,
    ) -> Plan:
        """A new plan, to be approved and signed anew, whose fee lifts a stuck transaction (child pays for parent).

        ``ref`` is a transfer's id, or the txid of an unconfirmed payment to ``account``. The child spends what it pays
        us and pays that back to us; ``fee`` is the rate the two, and what they stand on, shall reach together.
        """
        with self._context.store.read() as connection:
            row, txid = find_stuck(connection, ref, account)
            known = keyed_plan(connection, idempotency_key, cpfp_digest(row.name, txid, fee))
        if known is not None:
            return known
        return cpfp_bitcoin(
            self._context,
            row,
            rules.require_bitcoin(row),
            txid,
            bitcoin_node(row, backend),
            fee=fee,
            spend_with=spend_with,
            idempotency_key=idempotency_key,
        )

    def consolidate(
        self,
        name: str,
        backend: BitcoinBackend,
        *,
        fee: FeeChoice,
        most: int | None = None,
        spend_with: SpendWith = SpendWith(),  # noqa: B008  (immutable)
        idempotency_key: str | None = None,
    ) -> Plan:
        """A new plan that joins up to ``most`` of the account's smallest coins into one; refused while fees are high.

        Whoever looks at the chain learns thereby that the joined addresses have one owner.
        """
        row = self._row(name)
        with self._context.store.read() as connection:
            known = keyed_plan(connection, idempotency_key, consolidation_digest(name, most, fee))
        if known is not None:
            return known
        return consolidate_bitcoin(
            self._context,
            row,
            rules.require_bitcoin(row),
            bitcoin_node(row, backend),
            fee=fee,
            most=most,
            spend_with=spend_with,
            idempotency_key=idempotency_key,
        )


def bitcoin_node(row: AccountRow, backend: BitcoinBackend | EthereumBackend) -> BitcoinBackend:
    """The backend, or ``WrongChainError`` where it is not of the account's chain."""
    if isinstance(backend, EthereumBackend):
        raise WrongChainError(f"account {row.name!r} is on bitcoin {row.network} and the node on ethereum")
    return backend


def ethereum_node(row: AccountRow, backend: BitcoinBackend | EthereumBackend) -> EthereumBackend:
    """The backend, or ``WrongChainError`` where it is not of the account's chain."""
    if not isinstance(backend, EthereumBackend):
        raise WrongChainError(f"account {row.name!r} is on ethereum {row.network} and the node on bitcoin")
    return backend
