"""``bursar sandbox``: private chains that stay up, for this wallet and for other programs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.errors import ChainUnavailableError

if TYPE_CHECKING:
    from bursar.cli.sandbox_money import Money
    from bursar.cli.sandbox_process import Engine
    from bursar.cli.session import Session
    from bursar.nodes.sandbox import SandboxState


@group(
    "sandbox",
    examples=(
        "bursar init --network regtest && bursar account add savings",
        "bursar sandbox up",
        "bursar sandbox fund savings",
        "bursar sandbox down",
    ),
)
def sandbox() -> None:
    """A private Bitcoin chain (regtest) and a private Ethereum chain on this machine. Their money is worth nothing."""


@sandbox.command("up", examples=("bursar sandbox up", "bursar sandbox up --foreground --engine anvil"))
@click.option(
    "--foreground", is_flag=True, help="Stay in this terminal until Ctrl-C instead of going to the background."
)
@click.option(
    "--engine", type=click.Choice(["auto", "py-evm", "anvil"]), default="auto", help="Which EVM.  [default: auto]"
)
@click.option("--electrum", is_flag=True, help="A server of the Electrum protocol over the Bitcoin chain, too.")
@click.option("--esplora", is_flag=True, help="A server of Esplora's REST interface over it, too.")
@pass_session
def up(session: Session, foreground: bool, engine: Engine, electrum: bool, esplora: bool) -> None:
    """Start both chains, or say where they are if they run already.

    They are kept in the wallet's folder and go on where they stopped. Bitcoin answers Bitcoin Core's JSON-RPC with a
    cookie, Ethereum the usual JSON-RPC; both on the loopback interface only. Needs the extra 'sandbox'.
    """
    from bursar.cli import sandbox_process

    found = compose.sandbox(session)
    servers = sandbox_process.Servers(electrum, esplora)
    if found is None and foreground:
        sandbox_process.serve(session, engine=engine, servers=servers, ready=lambda state: _told(session, state))
        return
    if found is None:
        with session.output.progress("starting the chains"):
            found = sandbox_process.spawn(session, engine=engine, servers=servers)
    _told(session, found)


@sandbox.command("status", examples=("bursar sandbox status", "bursar sandbox status --json | jq -r .bitcoin_url"))
@pass_session
def status(session: Session) -> None:
    """Say whether the chains run, and where."""
    found = compose.sandbox(session)
    if found is None:
        session.output.answer({"running": False}, lambda: click.echo("Not running: bursar sandbox up"))
    else:
        _told(session, found)


@sandbox.command("down", examples=("bursar sandbox down",))
@pass_session
def down(session: Session) -> None:
    """Stop the chains; they are kept for the next time."""
    from bursar.nodes.sandbox import stop

    with session.output.progress("stopping the chains"):
        stopped = stop(session.home.sandbox)
    words = "Stopped." if stopped else "It was not running."
    session.output.answer({"running": False, "stopped": stopped}, lambda: click.echo(words))


@sandbox.command(
    "mine",
    examples=("bursar sandbox mine", "bursar sandbox mine 6 --chain bitcoin --to savings"),
)
@click.argument("blocks", type=click.IntRange(1, 10_000), default=1)
@click.option("--chain", type=click.Choice(["bitcoin", "ethereum"]), help="Only this chain (default: both).")
@click.option("--to", metavar="ACCOUNT", shell_complete=account_names, help="Account that gets the Bitcoin rewards.")
@pass_session
def mine(session: Session, blocks: int, chain: str | None, to: str | None) -> None:
    """Mine BLOCKS blocks (default 1), so that waiting transactions confirm."""
    money = _money(session)
    heights: dict[str, int] = {}
    if chain != "ethereum":
        address = None if to is None else compose.wallet(session).new_address(to).address
        heights["bitcoin"] = money.mine_bitcoin(blocks, address)
    if chain != "bitcoin":
        heights["ethereum"] = money.mine_ethereum(blocks)

    def words() -> None:
        for name, height in heights.items():
            click.echo(f"{name} is at block {height}")

    session.output.answer({"heights": heights}, words)


@sandbox.command(
    "fund",
    examples=("bursar sandbox fund savings", "bursar sandbox fund gas 5eth", "bursar sandbox fund gas 1000susd"),
)
@click.argument("account", shell_complete=account_names)
@click.argument("amount", required=False)
@pass_session
def fund(session: Session, account: str, amount: str | None) -> None:
    """Give ACCOUNT money out of nothing: AMOUNT, or 1btc, or 10eth; also the sandbox's token, once it is known.

    It is mined at once, so it may be spent at once. 'bursar account token' makes the token known.
    """
    money = _money(session)
    wallet = compose.wallet(session)
    record = wallet.account(account)
    given = money.fund(wallet, record, amount, compose.coin(session, record))
    session.output.answer({"account": account, "funded": given}, lambda: click.echo(f"{account} got {given}"))


def _money(session: Session) -> Money:
    from bursar.cli.sandbox_money import Money

    found = compose.sandbox(session)
    if found is None:
        raise ChainUnavailableError("the sandbox is not running: start it with 'bursar sandbox up'")
    return click.get_current_context().with_resource(closing(Money(found)))


def _told(session: Session, found: SandboxState) -> None:
    def words() -> None:
        click.echo(f"Bitcoin   regtest, {found.bitcoin_url}, cookie {found.bitcoin_cookie}")
        for name, url in (("Electrum", found.electrum_url), ("Esplora", found.esplora_url)):
            if url is not None:
                click.echo(f"{name:<10}{url}")
        click.echo(f"Ethereum  chain {found.ethereum_chain_id}, {found.ethereum_url}, {found.ethereum_engine}")
        if found.token is not None:
            contract, symbol, decimals = found.token
            click.echo(f"Token     {symbol}, {contract}, {decimals} decimals")

    session.output.answer({"running": True, **found.to_json()}, words)
