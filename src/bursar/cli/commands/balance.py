"""``bursar balance``: ask the nodes, then show what each account holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord, AssetBalance

_COLUMNS = ("confirmed", "pending", "immature", "reserved", "spendable")


@command(
    "balance",
    examples=(
        "bursar balance",
        "bursar balance savings --offline",
        "bursar balance --json | jq .accounts",
    ),
)
@click.argument("accounts", nargs=-1, metavar="[ACCOUNT]...", shell_complete=account_names)
@click.option("--offline", is_flag=True, help="As of the last time the nodes were asked.")
@pass_session
def balance(session: Session, accounts: Sequence[str], offline: bool) -> None:
    """Show what ACCOUNT holds, or every account, after asking its node.

    Confirmed: in blocks and mature. Pending: on its way in or out. Immature: mined, and not yet 100 blocks old.
    Reserved: held for transfers that were not sent yet. Spendable: what a new transfer may use, its fee included.
    """
    from bursar.policy.render import amount_text

    wallet = compose.wallet(session)
    records = [wallet.account(name) for name in accounts] if accounts else list(wallet.accounts())
    if not offline:
        for record in records:
            compose.synchronise(session, wallet, record)
    held = [(wallet.account(record.name), wallet.balance(record.name)) for record in records]

    def words() -> None:
        if not held:
            click.echo("No accounts yet: bursar account add savings")
            return
        rows: list[tuple[str, ...]] = []
        for record, balances in held:
            for item in balances:
                figures = [amount_text(getattr(item, column), item.asset) for column in _shown(held)]
                rows.append((record.name, *figures))
        session.output.table(("account", *_shown(held)), rows, numbers=_COLUMNS)

    session.output.answer({"accounts": [_document(record, balances) for record, balances in held]}, words)


def _shown(held: Sequence[tuple[AccountRecord, tuple[AssetBalance, ...]]]) -> list[str]:
    """The columns that say something: confirmed, spendable, and those not zero everywhere."""
    return [
        column
        for column in _COLUMNS
        if column in ("confirmed", "spendable")
        or any(getattr(item, column) for _record, balances in held for item in balances)
    ]


def _document(record: AccountRecord, balances: Sequence[AssetBalance]) -> dict[str, object]:
    return {
        "account": record.name,
        "chain": record.chain,
        "tip": record.to_json()["tip"],
        "balances": [item.to_json() for item in balances],
    }
