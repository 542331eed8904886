"""A backup's content, taken from an open wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.version import __version__
from bursar.wallet.accounts import AnyEthereum, account_record
from bursar.wallet.backup.bundle import WITNESSES, BackedUpAccount, Bundle, RegisteredPolicy
from bursar.wallet.labels import stored_labels
from bursar.wallet.store.accounts import all_accounts
from bursar.wallet.store.places import edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from bursar.wallet.accounts import Account
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.wallet import Wallet


def gather(
    wallet: Wallet,
    *,
    policies: Sequence[RegisteredPolicy] = (),
    rules: str | None = None,
    silent: Sequence[dict[str, Any]] = (),
) -> Bundle:
    """Everything of ``wallet`` that no signer and no chain can give back, and what the caller keeps beside it.

    The journal is verified first: ``CorruptStoreError`` rather than a backup of a wallet that was tampered with.
    """
    head = wallet.journal.verify()
    context = wallet._context
    with context.store.read() as connection:
        accounts = tuple(_account(connection, row) for row in all_accounts(connection))
        labels = stored_labels(connection)
    tokens = wallet.tokens()
    written = f"bursar {__version__}"
    return Bundle(context.now(), written, accounts, head, labels, tokens, tuple(policies), rules, tuple(silent))


def _account(connection: Connection, row: AccountRow) -> BackedUpAccount:
    record = account_record(row)
    known = edges(connection, row.id)
    return BackedUpAccount(
        record.name,
        record.account,
        first_addresses(record.account),
        record.signers,
        record.gap_limit,
        record.created,
        tuple(known[branch].last + 1 if branch in known else 0 for branch in _branches(record.account)),
    )


def _branches(account: Account) -> tuple[int, ...]:
    return (0,) if isinstance(account, AnyEthereum) else account.branches


def first_addresses(account: Account) -> tuple[tuple[str, ...], ...]:
    """The first addresses of each branch; one where the account is not ranged."""
    if isinstance(account, AnyEthereum):
        return (tuple(str(one) for one in account.addresses(0, WITNESSES)),)
    count = WITNESSES if account.ranged else 1
    return tuple(tuple(account.addresses(branch, 0, count)) for branch in account.branches)
