"""``bursar eth nonces``: which nonces an account has given out, which are missing, and filling the gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.amounts import fee_choice
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import ethereum_account, node
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import Sending, fee_options, sending_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.nonce_records import NonceRecord
    from bursar.wallet.wallet import Wallet


@command(
    "nonces",
    examples=(
        "bursar eth nonces gas",
        "bursar eth nonces gas --fill 7 --speed fast      # pay nobody at nonce 7: what waits behind it goes on",
        "bursar eth nonces gas --accept 12 --from 0x…     # the key was used elsewhere",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--fill", type=click.IntRange(min=0), metavar="NONCE", help="Use this missing nonce up, paying nobody.")
@click.option("--accept", type=click.IntRange(min=0), metavar="NONCE", help="Believe that this is the next nonce.")
@click.option("--from", "source", metavar="ADDRESS", help="Which of the account's addresses is meant.")
@fee_options
@sending_options
@pass_session
def nonces(
    session: Session,
    account: str,
    fill: int | None,
    accept: int | None,
    source: str | None,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    yes: bool,
    idempotency_key: str | None,
    unlock: Unlock,
) -> None:
    """Show the nonces of ACCOUNT: mined, on their way, held by transfers, and missing.

    A nonce that no transaction uses holds up everything behind it. --fill uses it up by a payment of nothing to
    oneself, reviewed, approved and signed like any transfer. --accept is for keys that are used elsewhere as well: the
    wallet then goes on from that nonce.
    """
    if accept is not None and fill is not None:
        raise InvalidInputError("--accept and --fill are two things: one at a time", code="input.usage")
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    if source is not None and all(one.address != source for one in wallet.addresses(account)):
        raise InvalidInputError(f"{source[:90]} is no address of account {account!r}", code="input.source")
    if accept is not None:
        _accept(session, wallet, account, source or wallet.addresses(account)[0].address, accept)
        return
    if fill is not None:
        fee = fee_choice(record, compose.coin(session, record), speed=speed, fee_rate=fee_rate, max_fee=max_fee)
        with Sending(session, wallet, record, unlock=unlock, yes=yes, key=idempotency_key) as sending:
            compose.synchronise(session, wallet, record)
            backend = node(session, record)
            plan = wallet.fill_gap(account, fill, backend, sender=source, fee=fee, idempotency_key=idempotency_key)
            sending.finish(plan, backend)
        return
    compose.synchronise(session, wallet, record)
    found = wallet.nonces(account, node(session, record))
    found = tuple(one for one in found if source is None or one.sender == source)
    session.output.answer({"nonces": [one.to_json() for one in found]}, lambda: _print(found))


def _accept(session: Session, wallet: Wallet, account: str, address: str, nonce: int) -> None:
    """Go on from ``nonce``; what lies between is told, for everything after it waits."""
    (before,) = [one for one in wallet.nonces(account) if one.sender == address]
    wallet.accept_nonce(account, address, nonce)

    def words() -> None:
        click.echo(f"The next nonce of {address} is taken to be {nonce}.")
        if nonce > before.next:
            left = f"Nonce {before.next}" + (f" to {nonce - 1} are" if nonce - before.next > 1 else " is")
            click.echo(f"{left} left out: unless the key used them elsewhere, whatever is sent now waits.")

    session.output.answer({"address": address, "nonce": nonce}, words)


def _print(found: tuple[NonceRecord, ...]) -> None:
    for one in found:
        click.echo(f"{one.sender}")
        waiting = (one.pending or 0) - (one.mined or 0)
        click.echo(f"  {one.mined} in blocks, {max(0, waiting)} waiting; the next transfer gets nonce {one.next}")
        for held in one.held:
            click.echo(f"  nonce {held.nonce}  {held.state}, transfer {held.transfer_id}")
        for gap in one.gaps:
            click.echo(f"  nonce {gap.nonce}  missing ({gap.reason}): --fill {gap.nonce} uses it up, paying nobody")
        if one.alarm:
            click.echo(f"  {one.alarm}")
