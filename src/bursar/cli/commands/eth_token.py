"""``bursar eth token``: tokens of an account (ERC-20): what their contracts say, registering them, paying with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import (
    action_options,
    carry_out,
    chain_of,
    ethereum_account,
    named_orders,
    node,
    registered_token,
)
from bursar.cli.lazy import group, pass_session
from bursar.errors import ChainError, InvalidInputError, UserCancelledError
from bursar.wallet.transfer import PaymentOrder

if TYPE_CHECKING:
    from bursar.chain.protocols import EthereumBackend
    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address

_MOST_DECIMALS = 36


@group(
    "token",
    examples=(
        "bursar eth token show gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "bursar eth token add gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
        "bursar eth token send gas usdc pay.example.eth 12.5usdc",
    ),
)
def token() -> None:
    """Tokens of an account (ERC-20)."""


def _said(backend: EthereumBackend, contract: Address) -> tuple[str, int]:
    """Symbol and decimals as the contract says them: claims, made plain and bounded."""
    from bursar.ethereum.token import CALL_DECIMALS, CALL_SYMBOL, decode_symbol, decode_uint256

    if not backend.code(contract):
        raise InvalidInputError(f"there is no contract at {contract} on this chain", code="input.asset")
    try:
        symbol = decode_symbol(backend.call(contract, CALL_SYMBOL))
        decimals = decode_uint256(backend.call(contract, CALL_DECIMALS))
    except (InvalidInputError, ChainError) as error:
        if isinstance(error, ChainError) and error.code != "chain.reverted":
            raise
        raise InvalidInputError(
            f"{contract} does not say its symbol and decimals as a token does: {error.message}; "
            "if you know them, register it with 'bursar account token'",
            code="input.asset",
        ) from error
    if decimals > _MOST_DECIMALS:
        raise InvalidInputError(f"{contract} claims {str(decimals)[:20]} decimals: no such token", code="input.asset")
    return symbol, decimals


@token.command("show", examples=("bursar eth token show gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",))
@click.argument("account", shell_complete=account_names)
@click.argument("contract")
@pass_session
def show(session: Session, account: str, contract: str) -> None:
    """What the CONTRACT says of itself on the chain of ACCOUNT; anybody can write what they like there."""
    from bursar.ethereum.address import Address

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    where = Address.from_text(contract)
    symbol, decimals = _said(node(session, record), where)
    here = [one for one in wallet.tokens() if one.chain_id == chain_of(record)]
    ours = next((one for one in here if one.contract == where), None)
    twins = [str(one.contract) for one in here if one.symbol.lower() == symbol.lower() and one.contract != where]
    document = {
        "contract": str(where),
        "symbol": symbol,
        "decimals": decimals,
        "registered": None if ours is None else ours.to_json(),
        "same_symbol": twins,
    }

    def words() -> None:
        click.echo(f"{where} calls itself {symbol}, with {decimals} decimals.")
        click.echo("It is not registered here." if ours is None else f"It is registered here as {ours.symbol}.")
        for twin in twins:
            click.echo(f"Another token is registered under that symbol: {twin}.")

    session.output.answer(document, words)


@token.command("add", examples=("bursar eth token add gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",))
@click.argument("account", shell_complete=account_names)
@click.argument("contract")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def add(session: Session, account: str, contract: str, yes: bool) -> None:
    """Register the token CONTRACT on the chain of ACCOUNT with the symbol and decimals it says of itself.

    Compare the address with the issuer's own page: the symbol proves nothing.
    """
    from bursar.ethereum.address import Address

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    where = Address.from_text(contract)
    symbol, decimals = _said(node(session, record), where)
    here = [one for one in wallet.tokens() if one.chain_id == chain_of(record) and one.contract != where]
    twin = next((one for one in here if one.symbol.lower() == symbol.lower()), None)
    if twin is not None:
        raise InvalidInputError(
            f"{where} calls itself {symbol}, and that is what {twin.contract} is registered as: one of them may be an "
            "imitation; forget the other with 'bursar eth token remove', or register this one under another symbol "
            "with 'bursar account token'",
            code="input.token",
        )
    if not yes:
        session.human.tell(f"{where} calls itself {symbol}, with {decimals} decimals.")
        if session.human.ask("Register it? [y/N]").strip().lower() not in ("y", "yes"):
            raise UserCancelledError("not confirmed: the token is not registered")
    wallet.add_token(chain_of(record), str(where), symbol, decimals)
    words = f"{symbol} at {where} is registered."
    session.output.answer(
        {"token": {"contract": str(where), "symbol": symbol, "decimals": decimals}}, lambda: click.echo(words)
    )


@token.command(
    "remove",
    examples=(
        "bursar eth token remove gas usdc",
        "bursar eth token remove gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("name", metavar="TOKEN")
@pass_session
def remove(session: Session, account: str, name: str) -> None:
    """Forget TOKEN (its symbol, or its contract's address) on the chain of ACCOUNT; what is held of it stays there."""
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    known = registered_token(wallet, record, name)
    wallet.remove_token(chain_of(record), str(known.contract))
    words = f"{known.symbol} at {known.contract} is forgotten here; nothing on the chain changed."
    session.output.answer({"removed": known.to_json()}, lambda: click.echo(words))


@token.command("list", examples=("bursar eth token list gas",))
@click.argument("account", shell_complete=account_names)
@pass_session
def list_(session: Session, account: str) -> None:
    """The tokens registered on the chain of ACCOUNT, and what it can spend of each as of its last sync."""
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    held = {one.asset.contract: one for one in wallet.balance(account)}
    here = [one for one in wallet.tokens() if one.chain_id == chain_of(record)]
    rows = []
    for one in here:
        found = held.get(str(one.contract))
        rows.append({**one.to_json(), "spendable": str(found.spendable if found else 0)})

    def words() -> None:
        for one, row in zip(here, rows, strict=True):
            click.echo(f"{one.format_amount(int(row['spendable'])):>24}  {one.contract}")
        if not here:
            click.echo("No token is registered on this chain: see 'bursar eth token add'.")

    session.output.answer({"tokens": rows}, words)


@token.command("send", examples=("bursar eth token send gas usdc pay.example.eth 12.5usdc",))
@click.argument("account", shell_complete=account_names)
@click.argument("name", metavar="TOKEN")
@click.argument("payee", metavar="ADDRESS|NAME")
@click.argument("amount")
@action_options
@pass_session
def send(session: Session, account: str, name: str, payee: str, amount: str, how: How) -> None:
    """Pay AMOUNT of TOKEN (its symbol, or its contract's address); 'all' sends everything the address holds."""
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    known = registered_token(wallet, record, name)
    everything = amount.strip().lower() == "all"
    units = 0 if everything else known.parse_amount(amount)
    orders = (PaymentOrder(to=payee, amount=units, asset=str(known.contract)),)
    payments = named_orders(session, record, orders)
    carry_out(session, wallet, record, payments=payments, everything=everything, how=how)
