"""Accounts of Ethereum on the command line: those of a seed, and those of one address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli import compose
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.wallet.accounts import AnyEthereum
    from bursar.wallet.records import AccountRecord


def ethereum_account(record: AccountRecord) -> AnyEthereum:
    """The Ethereum account of a record; ``InvalidInputError`` (``input.account``) for one of Bitcoin."""
    from bursar.wallet.accounts import AnyEthereum

    if not isinstance(record.account, AnyEthereum):
        raise InvalidInputError(f"account {record.name!r} is a bitcoin account", code="input.account")
    return record.account


def require_signer(record: AccountRecord) -> str:
    """Who signs for an account; an error where it is only watched."""
    if not record.signer:
        raise InvalidInputError(
            f"account {record.name!r} is only watched: nobody here signs for it", code="input.account"
        )
    return record.signer


def coin_symbol(session: Session, chain_id: int) -> str:
    """What the chain's coin is called; ether where the chain is not described."""
    known = compose.chains(session).by_id.get(chain_id)
    return "ETH" if known is None else known.currency_symbol
