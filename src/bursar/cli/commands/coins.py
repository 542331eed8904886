"""``bursar coins``: the unspent outputs of a Bitcoin account, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.session import Session
    from bursar.wallet.coin_records import CoinRecord


@group(
    "coins",
    examples=(
        "bursar coins list savings",
        "bursar coins freeze savings 5f1c…:0",
        "bursar coins label savings 5f1c…:0 'rent, November'",
    ),
)
def coins() -> None:
    """Coins: what a Bitcoin account can spend, one by one."""


@coins.command("list", examples=("bursar coins list savings", "bursar coins list savings --json"))
@click.argument("account", shell_complete=account_names)
@click.option("--offline", is_flag=True, help="As of the last sync; ask no node.")
@pass_session
def list_coins(session: Session, account: str, offline: bool) -> None:
    """List the unspent outputs of ACCOUNT, the newest first."""
    wallet = compose.wallet(session)
    record = wallet.account(account)
    if not offline:
        compose.synchronise(session, wallet, record)
    found = wallet.coins(account)

    def words() -> None:
        from bursar.bitcoin.units import Sats

        if not found:
            click.echo("No coins.")
            return
        rows = [
            (one.outpoint, Sats(one.value).to_btc_text(), one.address, _state(one), one.label or "") for one in found
        ]
        session.output.table(("coin", "amount", "address", "state", "label"), rows, numbers=("amount",))

    session.output.answer({"coins": [one.to_json() for one in found]}, words)


def _state(one: CoinRecord) -> str:
    if one.frozen:
        return "frozen"
    if one.reserved_by is not None:
        return f"reserved by {one.reserved_by[:8]}"
    if one.state == "confirmed":
        return f"{one.confirmations} confirmation{'' if one.confirmations == 1 else 's'}"
    return one.state


@coins.command("freeze", examples=("bursar coins freeze savings 5f1c…:0", "bursar coins freeze savings bc1q…"))
@click.argument("account", shell_complete=account_names)
@click.argument("refs", nargs=-1, required=True, metavar="COIN|ADDRESS...")
@pass_session
def freeze(session: Session, account: str, refs: Sequence[str]) -> None:
    """Keep each COIN (txid:vout), or whatever an own ADDRESS holds, from being spent until it is unfrozen."""
    wallet = compose.wallet(session)
    for ref in refs:
        wallet.freeze(account, ref)
    session.output.answer({"frozen": list(refs)}, lambda: click.echo(f"Frozen: {', '.join(refs)}"))


@coins.command("unfreeze", examples=("bursar coins unfreeze savings 5f1c…:0",))
@click.argument("account", shell_complete=account_names)
@click.argument("refs", nargs=-1, required=True, metavar="COIN|ADDRESS...")
@pass_session
def unfreeze(session: Session, account: str, refs: Sequence[str]) -> None:
    """Let each COIN or ADDRESS be spent again."""
    wallet = compose.wallet(session)
    for ref in refs:
        wallet.unfreeze(account, ref)
    session.output.answer({"unfrozen": list(refs)}, lambda: click.echo(f"Unfrozen: {', '.join(refs)}"))


@coins.command("label", examples=("bursar coins label savings 5f1c…:0 'rent, November'",))
@click.argument("account", shell_complete=account_names)
@click.argument("ref", metavar="COIN|ADDRESS|TXID")
@click.argument("text")
@pass_session
def label(session: Session, account: str, ref: str, text: str) -> None:
    """Write TEXT about a coin, an address or a transaction; an empty TEXT takes it away (BIP-329)."""
    compose.wallet(session).label(account, ref, text or None)
    session.output.answer({"ref": ref, "label": text or None}, lambda: click.echo(f"{ref}: {text or 'no label'}"))
