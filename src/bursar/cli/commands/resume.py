"""``bursar resume``: go on with a transfer that was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.cli.transferring import Sending, find_transfer

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session


@command(
    "resume",
    examples=("bursar history --transfers                        # find the transfer", "bursar resume 7d0c…"),
)
@click.argument("transfer")
@signer_options
@pass_session
def resume(session: Session, transfer: str, unlock: Unlock) -> None:
    """Go on with TRANSFER (its id, or its transaction's id), which was approved and then interrupted.

    An approved transfer is signed and sent as it was approved, a signed one is sent; nothing is signed twice. To give
    it up instead, see 'bursar cancel'.
    """
    wallet = compose.wallet(session)
    found = find_transfer(wallet, transfer)
    record = wallet.account(found.account)
    # as if a key had been given: a second failure leaves it as it is
    with Sending(session, wallet, record, unlock=unlock, yes=False, key=found.id) as sending:
        backend = compose.synchronise(session, wallet, record)
        plan = wallet.plan_of(found.id)
        sending.finish(plan, backend)
