"""``bursar bump``: raise the fee of a transfer that is stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.lazy import command, pass_session
from bursar.cli.silent_sending import check_inputs, silent_transfer
from bursar.cli.transferring import UNSIGNED, Sending, fee_options, find_transfer, sending_options

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session


@command(
    "bump",
    examples=(
        "bursar history --transfers                        # find the transfer",
        "bursar bump 7d0c… --fee-rate 25sat/vb",
        "bursar bump 0x5c50… --speed fast --max-fee 0.002eth",
        "bursar bump 7d0c… --cancel --speed fast           # pay ourselves instead",
    ),
)
@click.argument("transfer")
@fee_options
@click.option("--cancel", is_flag=True, help="Replace it by a payment to ourselves.")
@sending_options
@pass_session
def bump(
    session: Session,
    transfer: str,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    cancel: bool,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Replace TRANSFER (its id, or its transaction's id) by one that pays a higher fee (BIP-125; the same nonce).

    The replacement is reviewed, put to the policy and signed anew; the network takes one of the two, never both. A
    transfer that was never signed is released by --cancel.
    """
    wallet = compose.wallet(session)
    found = find_transfer(wallet, transfer)
    record = wallet.account(found.account)
    if cancel and found.state in UNSIGNED:
        released = wallet.cancel(found.id)
        words = f"Transfer {released.id} is released; it was not signed."
        session.output.answer({"transfer": released.to_json()}, lambda: click.echo(words))
        return
    fee = fee_choice(record, compose.coin(session, record), speed=speed, fee_rate=fee_rate, max_fee=max_fee)
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        plan = wallet.bump(found.id, backend, fee=fee, cancel=cancel, idempotency_key=idempotency_key)
        silent = None if cancel else silent_transfer(wallet, found)
        if silent is not None:
            sending.holding(plan)
            check_inputs(plan, silent)
        sending.finish(plan, backend)
