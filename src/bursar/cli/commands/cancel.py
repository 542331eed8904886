"""``bursar cancel``: take a transfer back, while that is possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import UNSIGNED, Sending, fee_options, find_transfer, sending_options
from bursar.errors import UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.wallet import Wallet


@command(
    "cancel",
    examples=(
        "bursar history --transfers                        # find the transfer",
        "bursar cancel 7d0c… --speed fast",
        "bursar cancel 0x5c50… --max-fee 0.002eth --yes",
        "bursar cancel 7d0c… --abandon                     # some signed, the others will not",
    ),
)
@click.argument("transfer")
@fee_options
@click.option("--abandon", is_flag=True, help="Release it although some of its signers signed, or may have.")
@sending_options
@pass_session
def cancel(
    session: Session,
    transfer: str,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    abandon: bool,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Take TRANSFER (its id, or its transaction's id) back.

    One that nobody signed is released, and costs nothing. One that is on its way is replaced by a payment to ourselves
    with a higher fee (BIP-125; the same nonce), reviewed and signed anew: the network takes one of the two, never both,
    and which is decided once one has a block. What has a block cannot be taken back.

    One that some of several signers signed cannot be replaced, and whoever gets the missing signatures can still send
    it: --abandon frees its coins for other transfers, and the first of those that spends them ends it.
    """
    wallet = compose.wallet(session)
    found = find_transfer(wallet, transfer)
    record = wallet.account(found.account)
    if found.state in UNSIGNED and abandon:
        _abandon(session, wallet, found.id, yes=yes)
        return
    if found.state in UNSIGNED:
        released = wallet.cancel(found.id)
        words = f"Transfer {released.id} is released; it was not signed."
        session.output.answer({"transfer": released.to_json()}, lambda: click.echo(words))
        return
    fee = fee_choice(record, compose.coin(session, record), speed=speed, fee_rate=fee_rate, max_fee=max_fee)
    with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
        backend = compose.synchronise(session, wallet, record)
        plan = wallet.bump(found.id, backend, fee=fee, cancel=True, idempotency_key=idempotency_key)
        sending.finish(plan, backend)


def _abandon(session: Session, wallet: Wallet, transfer_id: str, *, yes: bool) -> None:
    if not yes:
        session.human.tell(
            "Signatures of this transfer may be in other hands. With those that lack it can be sent until a coin it "
            "spends is spent by something else: pay somebody, or yourself, from the same coins soon."
        )
        if session.human.ask("Abandon it? [y/N]").strip().lower() not in ("y", "yes"):
            raise UserCancelledError("not confirmed: the transfer stays as it is")
    released = wallet.unsafe_cancel(transfer_id, reason="abandoned with signatures missing")
    words = f"Transfer {released.id} is abandoned; its coins are free. Spend them soon."
    session.output.answer({"transfer": released.to_json()}, lambda: click.echo(words))
