"""``bursar account discover``: which addresses of a seed were used on an Ethereum chain, in every scheme of wallets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.chain.ethereum_discovery import Sighting
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token
    from bursar.wallet.wallet import Wallet


@command(
    "discover",
    examples=(
        "bursar account discover",
        "bursar account discover --chain-id base --signer ledger",
        "bursar account discover --gap 25 --json",
    ),
)
@click.option("--chain-id", "chain", metavar="CHAIN", help="Ethereum chain, by id or name (default: config.toml's).")
@click.option(
    "--gap",
    type=click.IntRange(1, 1_000),
    default=10,
    show_default=True,
    help="A scheme is given up after so many unused addresses in a row.",
)
@signer_options
@pass_session
def discover(session: Session, chain: str | None, gap: int, unlock: Unlock) -> None:
    """Look for the signer's used addresses where wallets put them: BIP-44, Ledger Live, and the legacy paths.

    An address counts as used if it sent anything or holds coins or registered tokens. The node learns that these
    addresses belong together. Nothing is added: the command to do that is printed.
    """
    from bursar.chain.ethereum_discovery import discover as search
    from bursar.cli.ethereum_accounts import coin_symbol
    from bursar.signing.single import OneAddressSigner

    chain_id = compose.chain_id_of(session, chain)
    wallet = compose.wallet(session)
    backend = compose.ethereum_node(session, chain_id)
    backend.check_chain()
    tokens = {one.contract: one for one in wallet.tokens() if one.chain_id == chain_id}
    with compose.signer(session, unlock) as (selector, opened):
        if isinstance(opened, OneAddressSigner):
            click.echo(f"{selector} has one key: bursar account add NAME --chain ethereum --signer {selector}")
            return
        looked: list[Sighting] = []
        with session.output.progress("looking") as more:
            for one in search(backend, opened.xpub, gap=gap, tokens=tuple(tokens)):
                looked.append(one)
                more(str(one.place.path))
    used = [one for one in looked if one.used]
    known = _known(wallet, chain_id)
    counted = Counter(one.place.scheme.value for one in looked)
    symbol = coin_symbol(session, chain_id)
    document = {
        "chain_id": chain_id,
        "signer": selector,
        "looked_at": dict(counted),
        "used": [_document(one, tokens, known) for one in used],
    }

    def words() -> None:
        looked_at = ", ".join(f"{number} {name}" for name, number in counted.items())
        if used:
            columns = ("path", "scheme", "address", "sent", "balance", "account")
            rows = [_row(one, tokens, symbol, known) for one in used]
            session.output.table(columns, rows, numbers=("sent",))
        click.echo(f"{len(used)} used of {len(looked)} addresses looked at on chain {chain_id} ({looked_at})")
        commands = _commands(used, known, chain, selector)
        if commands:
            click.echo("\nNext:" + "".join(f"\n  {line}" for line in commands))
        elif not used:
            click.echo("\nAnother passphrase, another chain (--chain-id) or a larger --gap may have them.")

    session.output.answer(document, words)


def _known(wallet: Wallet, chain_id: int) -> Mapping[str, str]:
    """The wallet's accounts by their addresses."""
    found: dict[str, str] = {}
    for record in wallet.accounts():
        if getattr(record.account, "chain_id", None) == chain_id:
            from bursar.cli.ethereum_accounts import ethereum_account

            for text in ethereum_account(record).addresses(0, 200):
                found[text] = record.name
    return found


def _row(
    one: Sighting, tokens: Mapping[Address, Token], symbol: str, known: Mapping[str, str]
) -> tuple[str, str, str, str, str, str]:
    from bursar.cli.account_words import ETHEREUM_SCHEMES
    from bursar.policy.render import amount_text
    from bursar.policy.review import Asset

    held = [amount_text(int(one.balance), Asset("ethereum", "", symbol, 18))]
    held += [tokens[contract].format_amount(amount) for contract, amount in one.tokens.items() if amount]
    scheme = ETHEREUM_SCHEMES[one.place.scheme.value]
    address = str(one.address)
    return str(one.place.path), scheme, address, str(one.transactions), ", ".join(held), known.get(address, "")


def _document(one: Sighting, tokens: Mapping[Address, Token], known: Mapping[str, str]) -> dict[str, Any]:
    return {
        "scheme": one.place.scheme.value,
        "number": one.place.account,
        "index": one.place.index,
        "path": str(one.place.path),
        "address": str(one.address),
        "transactions": one.transactions,
        "balance": str(int(one.balance)),
        "tokens": {tokens[contract].symbol: str(amount) for contract, amount in one.tokens.items() if amount},
        "account": known.get(str(one.address)),
    }


def _commands(used: list[Sighting], known: Mapping[str, str], chain: str | None, selector: str) -> list[str]:
    """One for each account that is not here yet."""
    wanted = {(one.place.scheme.value, one.place.account) for one in used if str(one.address) not in known}
    ending = (f" --chain-id {chain}" if chain else "") + f" --signer {selector}"
    return [
        f"bursar account add NAME --chain ethereum --scheme {scheme}"
        + (f" --number {number}" if number else "")
        + ending
        for scheme, number in sorted(wanted)
    ]
