"""``bursar address``: hand out, list and show receiving addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.commands.address_uri import uri
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.cli.receiving import check_device
from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session


@group(
    "address",
    examples=(
        "bursar address new savings",
        "bursar address list savings",
        "bursar address uri savings --amount 0.1btc --qr",
    ),
)
def address() -> None:
    """Receiving addresses of an account."""


@address.command(
    "new",
    examples=("bursar address new savings", "bursar address new savings --json | jq -r .address.address"),
)
@click.argument("account", shell_complete=account_names)
@click.option("--beyond-gap", is_flag=True, help="Also when 20 in a row are unused, which another wallet would miss.")
@pass_session
def new(session: Session, account: str, beyond_gap: bool) -> None:
    """Hand out the next unused address of ACCOUNT."""
    wallet = compose.wallet(session)
    check_device(session, wallet.account(account))
    record = wallet.new_address(account, beyond_gap=beyond_gap)
    session.output.answer({"address": record.to_json()}, lambda: click.echo(record.address))


@address.command("list", examples=("bursar address list savings", "bursar address list savings --json"))
@click.argument("account", shell_complete=account_names)
@pass_session
def list_addresses(session: Session, account: str) -> None:
    """List the addresses of ACCOUNT that were handed out or used, change included."""
    records = compose.wallet(session).addresses(account)

    def words() -> None:
        if not records:
            click.echo(f"No address was handed out yet: bursar address new {account}")
            return
        rows = [
            (r.address, "receive" if r.branch == 0 else "change", "used" if r.used else "unused", r.path)
            for r in records
        ]
        session.output.table(("address", "for", "state", "path"), rows)

    session.output.answer({"addresses": [record.to_json() for record in records]}, words)


@address.command(
    "show",
    examples=("bursar address show savings 0", "bursar address show savings 3 --on-device"),
)
@click.argument("account", shell_complete=account_names)
@click.argument("index", type=click.IntRange(0, 2**31 - 1))
@click.option("--change", is_flag=True, help="On the change branch (Bitcoin).")
@click.option("--on-device", is_flag=True, help="Have the signer show it on its own screen and compare.")
@signer_options
@pass_session
def show(session: Session, account: str, index: int, change: bool, on_device: bool, unlock: Unlock) -> None:
    """Show the address of ACCOUNT at INDEX, computed anew from the account's key, and its path."""
    from bursar.ethereum.address_account import AddressAccount
    from bursar.wallet.accounts import AnyEthereum

    record = compose.wallet(session).account(account)
    held = record.account
    if isinstance(held, AnyEthereum):
        if change:
            raise InvalidInputError("ethereum accounts have no change addresses", code="input.usage")
        text, path = str(held.address(index)), str(held.path(index))
    else:
        text, path = str(held.address(int(change), index)), held.place(int(change), index)
    if on_device:
        if isinstance(held, AddressAccount):
            raise InvalidInputError("one address has no path that a device could show it for", code="input.usage")
        from bursar.signing.checks import confirm_address
        from bursar.signing.protocols import AddressDisplay

        with compose.signer(session, unlock, record.signer) as (selector, opened):
            if not isinstance(opened, AddressDisplay):
                raise UnsupportedError(
                    f"{selector} has no screen of its own: leave --on-device out",
                    operation="display_address",
                    model=opened.info.model,
                )
            confirm_address(opened, held, index, branch=int(change))
    document = {"account": account, "address": text, "path": path, "branch": int(change), "index": index}
    document["confirmed_on_device"] = on_device

    def words() -> None:
        click.echo(f"{text}\n{path}" + ("\nThe device shows the same." if on_device else ""))

    session.output.answer({"address": document}, words)


address.add_command(uri)
