"""``bursar cpfp``: lift a stuck transaction by spending what it pays us (child pays for parent)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.coin_options import spend_options
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import Sending, fee_options, find_transfer, sending_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.coin_control import SpendWith
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet

_TXID = 64


@command(
    "cpfp",
    examples=(
        "bursar cpfp 7d0c… --speed fast                    # a transfer of ours that has change",
        "bursar cpfp 5f1c… --account savings --fee-rate 25sat/vb   # a payment to us",
    ),
)
@click.argument("ref", metavar="TRANSFER|TXID")
@click.option("--account", shell_complete=account_names, help="Whom the transaction pays, where it is no transfer.")
@fee_options
@spend_options
@sending_options
@pass_session
def cpfp(
    session: Session,
    ref: str,
    account: str | None,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    spend_with: SpendWith,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Lift a transaction that waits for a block: spend what it pays us, with a fee that counts for both.

    TRANSFER is one of ours whose change we spend, TXID any payment to --account. The fee rate is what the two reach
    together. It helps where 'bursar bump' cannot: the payer is somebody else. Bumping costs less where it is possible.
    """
    from bursar.chain.protocols import BitcoinBackend

    wallet = compose.wallet(session)
    record, name = _found(wallet, ref, account)
    if record.chain != "bitcoin":
        raise InvalidInputError("on ethereum nothing pays for another transaction: bursar bump", code="input.account")
    fee = fee_choice(record, "BTC", speed=speed, fee_rate=fee_rate, max_fee=max_fee)
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        assert isinstance(backend, BitcoinBackend)
        plan = wallet.cpfp(
            name, backend, fee=fee, account=account, spend_with=spend_with, idempotency_key=idempotency_key
        )
        sending.finish(plan, backend)


def _found(wallet: Wallet, ref: str, account: str | None) -> tuple[AccountRecord, str]:
    """The account that spends, and what the wallet finds the transaction by."""
    if account is not None:
        if len(ref) != _TXID:
            raise InvalidInputError("with --account, give the whole id of the transaction", code="input.transfer")
        return wallet.account(account), ref.lower()
    try:
        found = find_transfer(wallet, ref)
    except InvalidInputError as error:
        if len(ref) != _TXID:
            raise
        raise InvalidInputError(
            f"no transfer {ref!r}: for a payment to us add --account", code="input.transfer"
        ) from error
    return wallet.account(found.account), found.id
