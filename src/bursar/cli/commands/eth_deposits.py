"""``bursar eth deposits``: what came and went without a transfer of ours, and looking for it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import ethereum_account
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.wallet.deposit_records import DepositRecord


@command(
    "deposits",
    examples=(
        "bursar eth deposits gas",
        "bursar eth deposits gas --json | jq '.deposits[] | select(.state == \"confirmed\")'   # what may be credited",
        "bursar eth deposits gas --hidden                  # dust, bait and unregistered tokens, too",
        "bursar eth deposits gas --rescan-from 19000000    # look again, as with a node that traces",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.option("--hidden", is_flag=True, help="Also what people should take no address from: dust, spam, look-alikes.")
@click.option(
    "--rescan-from",
    "since",
    type=click.IntRange(min=0),
    metavar="HEIGHT",
    help="Look through the blocks from this height on once more.",
)
@click.option("--offline", is_flag=True, help="As of the last time the node was asked.")
@pass_session
def deposits(session: Session, account: str, hidden: bool, since: int | None, offline: bool) -> None:
    """List what came to ACCOUNT, or left it, without a transfer made here; newest last.

    Credit what is confirmed, and nothing else: 'seen' is not final by the rule of the chain yet, and 'reversed' stood
    in a block that is gone.
    """
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    if since is not None:
        if offline:
            raise InvalidInputError("--rescan-from asks the node: leave --offline out", code="input.usage")
        wallet.rescan_deposits(account, since=since)
    if not offline:
        compose.synchronise(session, wallet, record)
    found = wallet.deposits(account, hidden=hidden)
    unseen = 0 if hidden else len(wallet.deposits(account, hidden=True)) - len(found)
    document = {"deposits": [one.to_json() for one in found], "not_shown": unseen}
    session.output.answer(document, lambda: _print(session, found, unseen))


def _print(session: Session, found: tuple[DepositRecord, ...], unseen: int) -> None:
    from bursar.cli.words import moment

    rows = [
        (
            moment(one.time),
            one.kind if one.hidden is None else f"{one.kind}, {one.hidden}",
            _amount(one),
            one.state,
            str(one.height),
            session.output.identifier(one.counterparty or "", beginning=8),
            session.output.identifier(one.txid or "", beginning=8),
        )
        for one in found
    ]
    if rows:
        columns = ("time (UTC)", "kind", "amount", "state", "block", "from or to", "transaction")
        session.output.table(columns, rows, numbers=("amount", "block"))
    else:
        click.echo("Nothing came or went without a transfer made here.")
    if unseen:
        click.echo(f"{unseen} more {'is' if unseen == 1 else 'are'} not shown: --hidden shows what and why.")


def _amount(one: DepositRecord) -> str:
    from bursar.cli.words import signed_amount

    number = "" if one.token_id is None else f" (number {one.token_id})"
    if one.asset is not None:
        return signed_amount(one.amount, one.asset) + number
    return f"{one.amount:+} units of {one.contract}{number}"
