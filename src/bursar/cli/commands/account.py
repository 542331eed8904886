"""``bursar account``: add, list and show accounts, and the tokens they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import account_words, compose
from bursar.cli.account_words import ETHEREUM_SCHEMES, SCHEMES
from bursar.cli.commands.account_discover import discover
from bursar.cli.commands.account_files import export_account, import_account
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.keys.scheme import Scheme
    from bursar.wallet.records import AccountRecord

_LONGEST = 100_000  # characters of a file with a descriptor


@group(
    "account",
    examples=(
        "bursar account add savings --scheme bip84",
        "bursar account add gas --chain ethereum",
        "bursar account list",
        "bursar account import sparrow.txt --name vault",
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
        "bursar account add old --chain ethereum --scheme ledger-live --number 3",
        "bursar account add theirs --chain ethereum --chain-id base --address 0x…",
        "bursar account add board --descriptor board.txt",
        "bursar account add audited --descriptor 'wpkh([d34db33f/84h/0h/0h]xpub…/<0;1>/*)' --watch-only",
    ),
)
@click.argument("name")
@click.option(
    "--chain", type=click.Choice(["bitcoin", "ethereum"]), default="bitcoin", show_default=True, help="Which chain."
)
@click.option(
    "--scheme",
    type=click.Choice([*SCHEMES, *(one for one in ETHEREUM_SCHEMES if one not in SCHEMES)]),
    help=f"Bitcoin: {'; '.join(f'{name}: {what}' for name, what in SCHEMES.items())} (default: bip84). "
    "Ethereum: bip44 (default), ledger-live (each number its own address), legacy (old Ledger, MyEtherWallet).",
)
@click.option(
    "--number", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account number in the path."
)
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@click.option("--chain-id", metavar="CHAIN", help="Ethereum chain, by id or name (default: the one in config.toml).")
@click.option("--address", metavar="ADDRESS", help="One Ethereum address: watched, unless --signer holds its only key.")
@click.option(
    "--descriptor",
    metavar="TEXT|FILE",
    help="Take the keys from an output descriptor (BIP-380) or one extended key (xpub, zpub …); no signer is asked.",
)
@click.option("--watch-only", is_flag=True, help="With --descriptor or --address: nobody signs for it.")
@click.option(
    "--gap-limit", type=click.IntRange(20, 100_000), default=20, show_default=True, help="Unused addresses in a row."
)
@signer_options
@pass_session
def add(
    session: Session,
    name: str,
    chain: str,
    scheme: str | None,
    number: int,
    network: str | None,
    chain_id: str | None,
    address: str | None,
    descriptor: str | None,
    watch_only: bool,
    gap_limit: int,
    unlock: Unlock,
) -> None:
    """Add an account under NAME: ask its signer for the extended public key and keep that.

    With --descriptor the account is whatever the descriptor says: one key, a multisig, miniscript (BIP-379), a tree of
    scripts. Those whose fingerprints stand in it sign for it.

    Bitcoin paths are m/PURPOSE'/COIN'/NUMBER' (BIP-44, BIP-49, BIP-84, BIP-86). Ethereum's addresses are at
    m/44'/60'/NUMBER'/0/i (bip44), m/44'/60'/NUMBER'/0/0 (ledger-live) and m/44'/60'/NUMBER'/i (legacy): 'bursar
    account discover' says where a seed was used. A keystore of one key gives the account of that key.
    """
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.network import Network
    from bursar.keys.origin import UNKNOWN, KeyOrigin
    from bursar.keys.scheme import Scheme, account_path

    settings = compose.settings(session)
    if chain == "ethereum":
        if network or descriptor or scheme not in (None, *ETHEREUM_SCHEMES):
            raise InvalidInputError(
                f"--network, --descriptor and --scheme {scheme or 'bip84'} are for bitcoin accounts", code="input.usage"
            )
        from bursar.cli.ethereum_adding import add_ethereum

        record = add_ethereum(
            session,
            name,
            chain=chain_id,
            scheme=scheme,
            number=number,
            address=address,
            watch_only=watch_only,
            gap_limit=gap_limit,
            unlock=unlock,
        )
        session.output.answer({"account": record.to_json()}, lambda: _added(record))
        return
    if chain_id or address or scheme not in (None, *SCHEMES):
        raise InvalidInputError(
            "--chain-id, --address, --scheme ledger-live and --scheme legacy go with --chain ethereum",
            code="input.usage",
        )
    where = Network.from_text(network) if network else settings.network
    if descriptor is not None:
        if number:
            raise InvalidInputError("a descriptor says all: no --number", code="input.usage")
        text = _descriptor_text(descriptor, None if scheme is None else Scheme[scheme.upper()])
        record = _add_descriptor(session, name, text, where, watch_only=watch_only, gap_limit=gap_limit)
        session.output.answer({"account": record.to_json()}, lambda: _added(record))
        return
    if watch_only:
        raise InvalidInputError("--watch-only goes with --descriptor", code="input.usage")
    kind = Scheme[(scheme or "bip84").upper()]
    path = account_path(kind, where.coin_type, number)
    wallet = compose.wallet(session)
    with compose.signer(session, unlock) as (_name, opened):
        xpub = opened.xpub(path)
        fingerprint = compose.fingerprint_of(opened)
        responsible = opened.info.backend if fingerprint == UNKNOWN else str(fingerprint)
    made = BitcoinAccount(where, kind, KeyOrigin(fingerprint, path), xpub)
    record = wallet.add_account(name, made, signer=responsible, gap_limit=gap_limit)
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
        words = account_words
        rows = [(r.name, r.chain, words.where(r), words.kind(r), words.path(r), words.signer(r)) for r in records]
        session.output.table(("name", "chain", "network", "kind", "path", "signer"), rows)

    session.output.answer({"accounts": [record.to_json() for record in records]}, words)


@account.command("show", examples=("bursar account show savings", "bursar account show savings --json"))
@click.argument("name", shell_complete=account_names)
@pass_session
def show(session: Session, name: str) -> None:
    """Show account NAME: its key, path and, for Bitcoin, its descriptors (BIP-380)."""
    record = compose.wallet(session).account(name)
    document = record.to_json()
    descriptors, meaning = _descriptors(record), _meaning(record)
    if descriptors:
        document["descriptors"] = descriptors

    def words() -> None:
        pairs = [
            ("name", record.name),
            ("chain", f"{record.chain}, {account_words.where(record)}"),
            ("kind", account_words.kind(record)),
            ("signer", account_words.signer(record)),
            *(("spent by", line) for line in meaning),
            *((label, line) for label, line in _keys(record)),
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
    from bursar.cli.ethereum_accounts import ethereum_account
    from bursar.wallet.review_json import asset_to_json

    wallet = compose.wallet(session)
    held = ethereum_account(wallet.account(name))
    here = [one for one in wallet.tokens() if one.chain_id == held.chain_id and str(one.contract) != contract]
    twin = next((one for one in here if one.symbol.lower() == symbol.lower()), None)
    if twin is not None:
        raise InvalidInputError(
            f"{twin.contract} is registered as {twin.symbol} already: choose another symbol, or forget that one with "
            "'bursar eth token remove'",
            code="input.token",
        )
    asset = wallet.add_token(held.chain_id, contract, symbol, decimals)
    session.output.answer(
        {"token": asset_to_json(asset)},
        lambda: click.echo(f"{asset.symbol} is {asset.contract} on chain {held.chain_id}"),
    )


def _add_descriptor(
    session: Session, name: str, text: str, network: Network, *, watch_only: bool, gap_limit: int
) -> AccountRecord:
    from bursar.bitcoin.accounts import account_of_descriptor
    from bursar.keys.origin import UNKNOWN

    account = account_of_descriptor(text, network)
    signers = [] if watch_only else [str(one) for one in account.fingerprints if one != UNKNOWN]
    return compose.wallet(session).add_account(name, account, signer=signers, gap_limit=gap_limit)


def _descriptor_text(given: str, scheme: Scheme | None) -> str:
    """A descriptor, or the one that a file holds; a lone extended key stands for the account its prefix names."""
    from bursar.keys.scheme import Scheme
    from bursar.keys.slip132 import read_extended_key

    text = given.strip()
    if "(" not in text and Path(text).is_file():
        with Path(text).open("rb") as file:
            lines = file.read(_LONGEST).decode("utf-8", "replace").splitlines()
        lines = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if len(lines) != 1:
            raise InvalidInputError(
                f"{given} holds {len(lines)} lines, not one descriptor: take a file of another wallet in with 'bursar "
                f"account import {given} --name …'",
                code="input.descriptor",
            )
        text = lines[0]
    if "(" in text:
        if scheme is not None:
            raise InvalidInputError("the descriptor says what its scripts are: leave --scheme out", code="input.usage")
        return text
    found = read_extended_key(text)
    meant = found.script or scheme
    if meant is None:
        raise InvalidInputError("an xpub does not say what its scripts are: add --scheme", code="input.usage")
    if not isinstance(meant, Scheme) or scheme not in (None, meant):
        raise InvalidInputError(
            f"the prefix of this extended key says {meant.name}, not a single key of --scheme: give a descriptor",
            code="input.descriptor",
        )
    key = f"{found.xpub}/<0;1>/*"
    if meant is Scheme.BIP49:
        return f"sh(wpkh({key}))"
    name = {Scheme.BIP44: "pkh", Scheme.BIP84: "wpkh", Scheme.BIP86: "tr"}[meant]
    return f"{name}({key})"


def _added(record: AccountRecord) -> None:
    path = account_words.path(record)
    where = f"{account_words.kind(record)} on {account_words.where(record)}" + (f", path {path}" if path else "")
    click.echo(f"Account {record.name}: {where}; signer {account_words.signer(record)}")
    for line in _meaning(record):
        click.echo(f"  {line}")
    following = "address new" if record.signer else "balance"
    click.echo(f"\nNext: bursar {following} {record.name}")


def _descriptors(record: AccountRecord) -> list[str]:
    from bursar.wallet.accounts import AnyEthereum

    held = record.account
    return [] if isinstance(held, AnyEthereum) else [held.descriptor(branch) for branch in held.branches]


def _keys(record: AccountRecord) -> list[tuple[str, str]]:
    """Each extended key behind its origin, or the one address."""
    from bursar.bitcoin.accounts import descriptor_of
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount

    held = record.account
    if isinstance(held, AddressAccount):
        return [("address", str(held.only))]
    if isinstance(held, EthereumAccount):
        return [("key", f"[{held.origin}]{held.xpub}"), ("first address", str(held.address(0)))]
    keys = dict.fromkeys(str(key).partition("/<")[0].partition("/*")[0] for key in descriptor_of(held).keys)
    return [("key", one) for one in keys]


def _meaning(record: AccountRecord) -> tuple[str, ...]:
    """Who can spend, in words, where that is more than one key."""
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.accounts import descriptor_of
    from bursar.bitcoin.descriptors.analysis import describe
    from bursar.wallet.accounts import AnyEthereum

    held = record.account
    return () if isinstance(held, BitcoinAccount | AnyEthereum) else describe(descriptor_of(held))


account.add_command(discover)
account.add_command(import_account)
account.add_command(export_account)
