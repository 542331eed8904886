"""The facade's part about Ethereum: nonces, gaps, payment requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.wallet import accounts as rules
from bursar.wallet import ethereum_bumps, ethereum_nonces
from bursar.wallet.ethereum_sync import check_ethereum_node
from bursar.wallet.payment_uris import transfer_of_uri
from bursar.wallet.planning_desk import ethereum_node
from bursar.wallet.store.accounts import all_tokens
from bursar.wallet.transfer import FeeChoice

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.wallet.context import Context
    from bursar.wallet.names import NameResolver
    from bursar.wallet.nonce_records import NonceRecord
    from bursar.wallet.plan import Plan
    from bursar.wallet.transfer import Transfer


class NonceDesk:
    """What only Ethereum accounts have."""

    _context: Context

    def nonces(self, name: str, backend: EthereumBackend | None = None) -> tuple[NonceRecord, ...]:
        """The nonces of each sender of an Ethereum account: which is next, who holds which, and what is missing.

        With ``backend`` its counts are told too, and what it has forgotten. ``NonceRecord.alarm`` says in words when
        transactions wait for a nonce that nothing is going to use: see ``fill_gap``.
        """
        context = self._context
        with context.store.read() as connection:
            row = rules.require_account(connection, name)
            account = rules.require_ethereum(row)
            asked = ethereum_nonces.senders(connection, row, account.chain_id)
        counts: dict[str, tuple[int, int]] = {}
        if backend is not None:
            check_ethereum_node(context, row, account, ethereum_node(row, backend))
            counts = {sender: ethereum_nonces.count_of(backend, sender) for sender in asked}
        with context.store.read() as connection:
            return ethereum_nonces.nonce_records(connection, row, account.chain_id, counts, backend)

    def fill_gap(
        self,
        name: str,
        nonce: int,
        backend: EthereumBackend,
        *,
        sender: str | None = None,
        fee: FeeChoice = FeeChoice(),  # noqa: B008  (immutable)
        idempotency_key: str | None = None,
    ) -> Plan:
        """A new plan, to be approved and signed like any other, that uses up ``nonce`` and pays nobody.

        It sends 0 wei to the sender itself at that nonce. Where a signed transfer holds the nonce, the plan is its
        cancellation; where an unsigned one does, ``ConflictError``. ``sender`` may be left out where only one address
        has the gap. ``InvalidInputError`` (``input.nonce``) where nothing waits for the nonce.
        """
        context = self._context
        with context.store.read() as connection:
            row = rules.require_account(connection, name)
            account = rules.require_ethereum(row)
        return ethereum_bumps.plan_filler(
            context,
            row,
            account,
            nonce,
            ethereum_node(row, backend),
            sender=sender,
            fee=fee,
            idempotency_key=idempotency_key,
        )

    def accept_nonce(self, name: str, address: str, nonce: int) -> None:
        """Believe that ``address`` has sent ``nonce`` transactions, more or fewer than a node said before."""
        with self._context.store.read() as connection:
            row = rules.require_account(connection, name)
        ethereum_bumps.accept_nonce(self._context, row, rules.require_ethereum(row), address, nonce)

    def read_payment_uri(self, name: str, text: str, *, names: NameResolver | None = None) -> Transfer:
        """The transfer from account ``name`` that a payment request (ERC-681) asks for; nothing is planned yet.

        ``InvalidInputError`` for another chain than the account's, an unregistered token, or no amount. A name in it
        is resolved by ``names``, or the one given to ``open``, and frozen. Its gas price and limit are not followed.
        """
        with self._context.store.read() as connection:
            row = rules.require_account(connection, name)
            tokens = all_tokens(connection)
        account = rules.require_ethereum(row)
        native = rules.native_asset(account, self._context.chains)
        known = [one for one in tokens if one.chain_id == account.chain_id]
        return transfer_of_uri(text, name, account.chain_id, native, known, names or self._context.names)
