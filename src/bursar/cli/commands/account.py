"""``bursar account``: add, list and show accounts, and the tokens they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord

_SCHEMES = {
    "bip44": "P2PKH, addresses beginning with 1",
    "bip49": "P2SH-P2WPKH, beginning with 3",
    "bip84": "P2WPKH, beginning with bc1q",
    "bip86": "P2TR, beginning with bc1p",
}


@group(
    "account",
    examples=(
        "bursar account add savings --scheme bip84",
        "bursar account add gas --chain ethereum",
        "bursar account list",
    ),
)
def account() -> None:
    """Accounts: the public half of some keys, under a name of your choice."""


@account.command(
    "add",
    examples=(
        "bursar account add savings",
        "bursar account add vault --scheme bip86 --number 1",
        "bursar account add gas --chain ethereum --signer software:main",
    ),
)
@click.argument("name")
@click.option(
    "--chain", type=click.Choice(["bitcoin", "ethereum"]), default="bitcoin", show_default=True, help="Which chain."
)
@click.option(
    "--scheme",
    type=click.Choice(list(_SCHEMES)),
    help=f"Bitcoin only; {'; '.join(f'{name}: {what}' for name, what in _SCHEMES.items())}.  [default: bip84]",
)
@click.option(
    "--number", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account number in the path."
)
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@click.option("--chain-id", type=click.IntRange(min=1), help="Ethereum chain (default: the one in config.toml).")
@signer_options
@pass_session
def add(
    session: Session,
    name: str,
    chain: str,
    scheme: str | None,
    number: int,
    network: str | None,
    chain_id: int | None,
    unlock: Unlock,
) -> None:
    """Add an account under NAME: ask its signer for the extended public key and keep that.

    Bitcoin paths are m/PURPOSE'/COIN'/NUMBER' (BIP-44, BIP-49, BIP-84, BIP-86), Ethereum paths m/44'/60'/NUMBER'.
    """
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.network import Network
    from bursar.ethereum.account import EthereumAccount
    from bursar.keys.origin import UNKNOWN, KeyOrigin
    from bursar.keys.scheme import CoinType, Scheme, account_path

    settings = compose.settings(session)
    if chain == "ethereum" and (scheme or network):
        raise InvalidInputError("--scheme and --network are for bitcoin accounts", code="input.usage")
    if chain == "bitcoin" and chain_id:
        raise InvalidInputError("--chain-id is for ethereum accounts", code="input.usage")
    where = Network.from_text(network) if network else settings.network
    kind = Scheme.BIP44 if chain == "ethereum" else Scheme[(scheme or "bip84").upper()]
    path = account_path(kind, CoinType.ETHEREUM if chain == "ethereum" else where.coin_type, number)
    wallet = compose.wallet(session)
    with compose.signer(session, unlock) as (_name, opened):
        xpub = opened.xpub(path)
        fingerprint = compose.fingerprint_of(opened)
        # the Ethereum app of a Ledger does not tell its master key: the account's own key has to do
        responsible = opened.info.backend if fingerprint == UNKNOWN else str(fingerprint)
    origin = KeyOrigin(fingerprint, path)
    made = (
        EthereumAccount(chain_id or settings.chain_id, origin, xpub)
        if chain == "ethereum"
        else BitcoinAccount(where, kind, origin, xpub)
    )
    record = wallet.add_account(name, made, signer=responsible)
    session.output.answer({"account": record.to_json()}, lambda: _added(record))


@account.command("list", examples=("bursar account list", "bursar account list --json"))
@pass_session
def list_accounts(session: Session) -> None:
    """List all accounts."""
    records = compose.wallet(session).accounts()

    def words() -> None:
        if not records:
            click.echo("No accounts yet: bursar account add savings")
            return
        rows = [(r.name, r.chain, _where(r), _kind(r), str(r.account.origin.path), r.signer) for r in records]
        session.output.table(("name", "chain", "network", "kind", "path", "signer"), rows)

    session.output.answer({"accounts": [record.to_json() for record in records]}, words)


@account.command("show", examples=("bursar account show savings", "bursar account show savings --json"))
@click.argument("name", shell_complete=account_names)
@pass_session
def show(session: Session, name: str) -> None:
    """Show account NAME: its key, path and, for Bitcoin, its descriptors (BIP-380)."""
    record = compose.wallet(session).account(name)
    document = record.to_json()
    descriptors = _descriptors(record)
    if descriptors:
        document["descriptors"] = descriptors

    def words() -> None:
        pairs = [
            ("name", record.name),
            ("chain", f"{record.chain}, {_where(record)}"),
            ("kind", _kind(record)),
            ("signer", record.signer),
            ("origin", str(record.account.origin)),
            ("key", str(record.account.xpub)),
            *((f"descriptor {branch}", text) for branch, text in zip(("receive", "change"), descriptors, strict=False)),
        ]
        for label, text in pairs:
            click.echo(f"{label:<20}{text}")

    session.output.answer({"account": document}, words)


@account.command(
    "token",
    examples=(
        "bursar account token gas 0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48 USDC 6",
        "bursar send gas 0x… 12.5usdc",
    ),
)
@click.argument("name", shell_complete=account_names)
@click.argument("contract")
@click.argument("symbol")
@click.argument("decimals", type=click.IntRange(0, 77))
@pass_session
def token(session: Session, name: str, contract: str, symbol: str, decimals: int) -> None:
    """Make an ERC-20 token known on the chain of account NAME.

    SYMBOL and DECIMALS are your word, from a source you trust: what a contract says of itself proves nothing.
    """
    from bursar.ethereum.account import EthereumAccount
    from bursar.wallet.review_json import asset_to_json

    wallet = compose.wallet(session)
    held = wallet.account(name).account
    if not isinstance(held, EthereumAccount):
        raise InvalidInputError(f"account {name!r} is a bitcoin account: tokens live on ethereum", code="input.account")
    asset = wallet.add_token(held.chain_id, contract, symbol, decimals)
    session.output.answer(
        {"token": asset_to_json(asset)},
        lambda: click.echo(f"{asset.symbol} is {asset.contract} on chain {held.chain_id}"),
    )


def _added(record: AccountRecord) -> None:
    click.echo(f"Account {record.name}: {_kind(record)} on {_where(record)}, path {record.account.origin.path}")
    click.echo(f"\nNext: bursar address new {record.name}")


def _where(record: AccountRecord) -> str:
    chain_id = getattr(record.account, "chain_id", None)
    return f"chain {chain_id}" if chain_id is not None else str(getattr(record.account, "network", ""))


def _kind(record: AccountRecord) -> str:
    scheme = getattr(record.account, "scheme", None)
    if scheme is None:
        return "Ethereum"
    return f"{scheme.name.replace('BIP', 'BIP-')}, {_SCHEMES[scheme.name.lower()].partition(',')[0]}"


def _descriptors(record: AccountRecord) -> list[str]:
    from bursar.bitcoin.account import BitcoinAccount

    held = record.account
    return [held.descriptor(branch) for branch in (0, 1)] if isinstance(held, BitcoinAccount) else []
