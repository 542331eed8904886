"""``bursar demo``: the whole job on private chains."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from bursar.cli.sandbox_process import Engine
    from bursar.cli.session import Session


@command("demo", examples=("bursar demo", "bursar demo --json | jq '.steps[] | {name, fee, height}'"))
@click.option(
    "--engine",
    type=click.Choice(["auto", "py-evm", "anvil"]),
    default="auto",
    help="Which EVM runs Ethereum.  [default: auto]",
)
@pass_session
def demo(session: Session, engine: Engine) -> None:
    """Show the whole job in under a minute, with no account, node or network, and leave nothing behind.

    In a temporary folder: a fresh mnemonic in an encrypted keystore, two Bitcoin accounts and an Ethereum account,
    private chains that mine to them, four transfers each planned, reviewed, put to a policy, signed, checked, stored,
    broadcast and confirmed, and two that are refused. Needs the extra 'sandbox'.
    """
    from bursar.cli.demo.house import House
    from bursar.cli.demo.story import Story

    started = time.monotonic()
    with House(ethereum=engine) as house:
        story = Story(session, house)
        story.tell()
    seconds = time.monotonic() - started
    session.output.answer(
        story.document, lambda: click.echo(f"Done in {seconds:.0f} s. The chains are stopped, the folder is removed.")
    )
