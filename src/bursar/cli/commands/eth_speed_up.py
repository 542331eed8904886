"""``bursar eth speed-up`` and ``bursar eth cancel``: replace what waits, at the same nonce (EIP-1559, EIP-4844)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import coin_amount, fee_choice
from bursar.cli.commands.cancel import cancel
from bursar.cli.ethereum_sending import ethereum_account
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import Sending, fee_options, find_transfer, sending_options

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session

__all__ = ["cancel", "speed_up"]


@command(
    "speed-up",
    examples=(
        "bursar eth speed-up 0x5c50…",
        "bursar eth speed-up 0x5c50… --fee-rate 60gwei:3gwei --max-fee 0.002eth",
        "bursar eth speed-up 0x5c50… --blob-fee 12gwei      # it carries blobs",
    ),
)
@click.argument("transfer")
@click.option("--blob-fee", metavar="PRICE", help="The most for one gas of blobs: 5gwei.  [default: what it takes]")
@fee_options
@sending_options
@pass_session
def speed_up(
    session: Session,
    transfer: str,
    blob_fee: str | None,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Replace TRANSFER (its id, or its transaction's id) by the same at a higher fee.

    Both the maximum and the tip rise by a tenth at least, a blob's price is doubled: less is no replacement to nodes.
    One that was cancelled stays cancelled: its cancellation is sped up.
    """
    wallet = compose.wallet(session)
    found = find_transfer(wallet, transfer)
    record = ethereum_account(wallet, found.account)
    coin = compose.coin(session, record)
    fee = fee_choice(record, coin, speed=speed, fee_rate=fee_rate, max_fee=max_fee)
    if blob_fee is not None:
        fee = replace(fee, blob_rate=coin_amount(blob_fee, coin))
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        plan = wallet.bump(found.id, backend, fee=fee, idempotency_key=idempotency_key)
        sending.finish(plan, backend)
