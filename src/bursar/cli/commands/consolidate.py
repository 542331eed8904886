"""``bursar consolidate``: join small coins into one while fees are low."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.coin_options import spend_options
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import Sending, fee_options, sending_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.coin_control import SpendWith


@command(
    "consolidate",
    examples=(
        "bursar consolidate savings --speed slow",
        "bursar consolidate savings --most 50 --fee-rate 1sat/vb --yes",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--most", type=click.IntRange(min=2), metavar="N", help="Join at most so many coins, the smallest first.")
@fee_options
@spend_options
@sending_options
@pass_session
def consolidate(
    session: Session,
    account: str,
    most: int | None,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    spend_with: SpendWith,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Join the smallest coins of ACCOUNT into one of its own, so that later payments cost less.

    It is refused while fees are high. Whoever looks at the chain learns thereby that the joined addresses have one
    owner. Frozen coins stay where they are.
    """
    from bursar.chain.protocols import BitcoinBackend

    wallet = compose.wallet(session)
    record = wallet.account(account)
    if record.chain != "bitcoin":
        raise InvalidInputError(f"account {account!r} is on ethereum, which has no coins", code="input.account")
    fee = fee_choice(record, "BTC", speed=speed, fee_rate=fee_rate, max_fee=max_fee)
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        assert isinstance(backend, BitcoinBackend)
        plan = wallet.consolidate(
            account, backend, fee=fee, most=most, spend_with=spend_with, idempotency_key=idempotency_key
        )
        sending.finish(plan, backend)
