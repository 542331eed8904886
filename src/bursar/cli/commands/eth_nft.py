"""``bursar eth nft``: tokens with numbers, one of a kind (ERC-721) or several (ERC-1155)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import action_options, carry_out, chain_of, ethereum_account, node, payee
from bursar.cli.lazy import group, pass_session
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.units import MAX_UINT256
from bursar.wallet.actions import NftTransfer

if TYPE_CHECKING:
    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session

_OWNER_OF = "ownerOf(uint256) returns (address)"
_BALANCE_OF = "balanceOf(address,uint256) returns (uint256)"


@group(
    "nft",
    examples=(
        "bursar eth nft show gas 0xbc4c… 4711",
        "bursar eth nft send gas 0xbc4c… 4711 0x…",
        "bursar eth nft send gas 0x7687… 12 pay.example.eth --amount 3 --standard erc1155",
    ),
)
def nft() -> None:
    """Tokens with numbers (ERC-721, ERC-1155)."""


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 78) or int(text) > MAX_UINT256:
        raise InvalidInputError(f"a token's number is a decimal integer, not {text[:80]!r}", code="input.asset")
    return int(text)


@nft.command("show", examples=("bursar eth nft show gas 0xbc4c… 4711",))
@click.argument("account", shell_complete=account_names)
@click.argument("contract")
@click.argument("token_id", metavar="NUMBER")
@pass_session
def show(session: Session, account: str, contract: str, token_id: str) -> None:
    """Who owns the token NUMBER of CONTRACT (ERC-721), or how many of it ACCOUNT has (ERC-1155), as the chain says."""
    from bursar.ethereum.abi import AbiFunction
    from bursar.ethereum.address import Address

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    where, number = Address.from_text(contract), _number(token_id)
    mine = [one.address for one in wallet.addresses(account)]
    backend = node(session, record)
    if not backend.code(where):
        raise InvalidInputError(f"there is no contract at {where} on this chain", code="input.asset")
    single, several = AbiFunction.from_text(_OWNER_OF), AbiFunction.from_text(_BALANCE_OF)
    try:
        owner = str(single.decode_result(backend.call(where, single.encode_call(number)))[0])
    except (ChainError, InvalidInputError) as error:
        if isinstance(error, ChainError) and error.code != "chain.reverted":
            raise
        held = {
            one: several.decode_result(backend.call(where, several.encode_call(Address.from_text(one), number)))[0]
            for one in mine
        }
        rows = {one: amount for one, amount in held.items() if amount}
        document = {"standard": "erc1155", "held": {one: str(amount) for one, amount in rows.items()}}
        text = "\n".join(f"{one}  {amount}" for one, amount in rows.items()) or "none of it is held here"
        session.output.answer(document, lambda: click.echo(text))
        return
    ours = owner in mine
    words = f"{owner}{', of this account' if ours else ''}"
    session.output.answer({"standard": "erc721", "owner": owner, "ours": ours}, lambda: click.echo(words))


@nft.command(
    "send",
    examples=(
        "bursar eth nft send gas 0xbc4c… 4711 0x…",
        "bursar eth nft send gas 0x7687… 12 pay.example.eth --amount 3 --standard erc1155",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("contract")
@click.argument("token_id", metavar="NUMBER")
@click.argument("to", metavar="ADDRESS|NAME")
@click.option("--amount", type=click.IntRange(min=1), default=1, show_default=True, help="How many, of ERC-1155.")
@click.option(
    "--standard",
    type=click.Choice(["erc721", "erc1155"]),
    default="erc721",
    show_default=True,
    help="What its contract speaks.",
)
@action_options
@pass_session
def send(
    session: Session,
    account: str,
    contract: str,
    token_id: str,
    to: str,
    amount: int,
    standard: Literal["erc721", "erc1155"],
    how: How,
) -> None:
    """Give the token NUMBER of CONTRACT away; a receiving contract must say that it takes such tokens."""
    from bursar.ethereum.address import Address

    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    owner, _name = payee(session, to, chain_of(record))
    action = NftTransfer(str(Address.from_text(contract)), _number(token_id), str(owner), amount, standard)
    carry_out(session, wallet, record, action=action, how=how)
