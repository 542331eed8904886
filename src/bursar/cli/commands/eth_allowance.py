"""``bursar eth allowance``: who may take tokens of an account without asking again (ERC-20)."""

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
    node,
    payee,
    registered_token,
)
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError
from bursar.wallet.actions import SetAllowance

if TYPE_CHECKING:
    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session

_EVERYTHING = (1 << 256) - 1


@group(
    "allowance",
    examples=(
        "bursar eth allowance show gas usdc 0x…",
        "bursar eth allowance set gas usdc 0x… 250usdc",
        "bursar eth allowance revoke gas usdc 0x…",
    ),
)
def allowance() -> None:
    """Who may take tokens of an account without asking again."""


@allowance.command(
    "show", examples=("bursar eth allowance show gas usdc 0x…", "bursar eth allowance show gas usdc 0x… --from 0x…")
)
@click.argument("account", shell_complete=account_names)
@click.argument("token")
@click.argument("spender")
@click.option("--from", "owner", metavar="ADDRESS", help="Of this address only, not of all of the account's.")
@pass_session
def show(session: Session, account: str, token: str, spender: str, owner: str | None) -> None:
    """How much of TOKEN the SPENDER may take from each address of ACCOUNT, as the chain says now."""
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import decode_uint256, encode_allowance, is_unlimited

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    known = registered_token(wallet, record, token)
    taker, _name = payee(session, spender, chain_of(record))
    mine = [
        one.address
        for one in wallet.addresses(account)
        if owner is None or one.address == str(Address.from_text(owner))
    ]
    if not mine:
        raise InvalidInputError(f"{str(owner)[:90]} is no address of account {account!r}", code="input.source")
    backend = node(session, record)
    found = {
        address: decode_uint256(backend.call(known.contract, encode_allowance(Address.from_text(address), taker)))
        for address in mine
    }
    rows = [
        {"owner": one, "spender": str(taker), "token": str(known.contract), "amount": str(amount)}
        for one, amount in found.items()
    ]

    def words() -> None:
        for one, amount in found.items():
            text = "everything, now and later" if is_unlimited(amount) else known.format_amount(amount)
            click.echo(f"{one}  {text}")

    session.output.answer({"allowances": rows}, words)


@allowance.command(
    "set",
    examples=(
        "bursar eth allowance set gas usdc 0x… 250usdc",
        "bursar eth allowance set gas usdc 0x… unlimited       # refused by most policies",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("token")
@click.argument("spender")
@click.argument("amount")
@action_options
@pass_session
def set_(session: Session, account: str, token: str, spender: str, amount: str, how: How) -> None:
    """Let SPENDER take up to AMOUNT of TOKEN from ACCOUNT, now or later, without asking again.

    One that is set already is taken back first: raising it in one step lets the spender take both.
    """
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    known = registered_token(wallet, record, token)
    taker, _name = payee(session, spender, chain_of(record))
    unlimited = amount.strip().lower() == "unlimited"
    units = _EVERYTHING if unlimited else known.parse_amount(amount)
    action = SetAllowance(str(known.contract), str(taker), units, unlimited=unlimited)
    carry_out(session, wallet, record, action=action, how=how)


@allowance.command("revoke", examples=("bursar eth allowance revoke gas usdc 0x…",))
@click.argument("account", shell_complete=account_names)
@click.argument("token")
@click.argument("spender")
@action_options
@pass_session
def revoke(session: Session, account: str, token: str, spender: str, how: How) -> None:
    """Take back what SPENDER may take of TOKEN from ACCOUNT."""
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    known = registered_token(wallet, record, token)
    taker, _name = payee(session, spender, chain_of(record))
    carry_out(session, wallet, record, action=SetAllowance(str(known.contract), str(taker), 0), how=how)
