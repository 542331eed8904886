"""Completion of names that only the wallet knows; silent where there is no wallet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli.home import locate
from bursar.cli.session import Session
from bursar.errors import BursarError

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


def account_names(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Accounts whose names begin with what was typed."""
    from click.shell_completion import CompletionItem

    from bursar.wallet.wallet import Wallet

    session = ctx.find_object(Session)
    home = session.home if session else locate(None)
    if not home.wallet.is_file():
        return []
    try:
        with Wallet.open(home.wallet, busy_timeout=0.2) as wallet:
            return [
                CompletionItem(record.name, help=record.chain)
                for record in wallet.accounts()
                if record.name.startswith(incomplete)
            ]
    except BursarError:
        return []
