"""``bursar history``: what came in and went out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.session import Session
    from bursar.policy.review import Asset
    from bursar.wallet.records import HistoryRow, TransferRecord
    from bursar.wallet.wallet import Wallet

_ACTIONS = {
    "call": "a call of a contract",
    "nft": "a token with a number",
    "allowance": "an allowance",
    "blobs": "blobs of data",
    "delegate": "a delegation",
    "fill": "nobody: it fills a nonce",
}


@command("history", examples=("bursar history", "bursar history savings", "bursar history --transfers --json"))
@click.argument("account", required=False, shell_complete=account_names)
@click.option("--offline", is_flag=True, help="As of the last time the nodes were asked.")
@click.option("--transfers", is_flag=True, help="List the transfers made here instead, refused and cancelled ones too.")
@pass_session
def history(session: Session, account: str | None, offline: bool, transfers: bool) -> None:
    """List the movements of ACCOUNT, or of every account, newest first."""
    wallet = compose.wallet(session)
    if not offline:
        for record in [wallet.account(account)] if account else wallet.accounts():
            compose.synchronise(session, wallet, record)
    if transfers:
        made = wallet.transfers(account)
        session.output.answer(
            {"transfers": [record.to_json() for record in made]}, lambda: _transfers(session, wallet, made)
        )
    else:
        rows = wallet.history(account)
        session.output.answer({"history": [row.to_json() for row in rows]}, lambda: _movements(session, wallet, rows))


def _movements(session: Session, wallet: Wallet, rows: Sequence[HistoryRow]) -> None:
    from bursar.cli.words import moment, signed_amount
    from bursar.policy.render import amount_text

    if not rows:
        click.echo("Nothing came in or went out yet.")
        return
    accounts = {name: wallet.account(name) for name in {row.account for row in rows}}
    coins = {name: wallet.asset(name, compose.coin(session, record)) for name, record in accounts.items()}
    table = [
        (
            moment(row.time),
            row.account,
            signed_amount(row.amount, row.asset),
            amount_text(row.fee, coins[row.account]) if row.fee else "",
            "waiting" if row.height is None else str(row.height),
            str(row.confirmations),
            session.output.identifier(row.txid or "", beginning=8),
        )
        for row in rows
    ]
    columns = ("time (UTC)", "account", "amount", "fee", "block", "depth", "transaction")
    session.output.table(columns, table, numbers=("amount", "fee", "block", "depth"))


def _transfers(session: Session, wallet: Wallet, made: Sequence[TransferRecord]) -> None:
    from bursar.cli.words import fate, moment
    from bursar.policy.render import amount_text

    assets: dict[tuple[str, str], Asset] = {}

    def paid(record: TransferRecord) -> str:
        if record.transfer.action is not None:
            return _ACTIONS[record.transfer.action.kind]
        first, *others = record.transfer.payments
        key = (record.account, first.asset)
        assets[key] = assets.get(key) or wallet.asset(*key)
        amount = "all" if record.transfer.everything else amount_text(first.amount, assets[key])
        more = f", and {len(others)} more" if others else ""
        return f"{amount} to {session.output.identifier(first.to, beginning=8)}{more}"

    if not made:
        click.echo("No transfer was made here yet.")
        return
    table = [
        (
            moment(record.created),
            record.account,
            session.output.identifier(record.id, beginning=8),
            paid(record),
            fate(record),
            session.output.identifier(record.txid or "", beginning=8),
        )
        for record in made
    ]
    session.output.table(("time (UTC)", "account", "transfer", "pays", "state", "transaction"), table)
