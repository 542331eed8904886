"""``bursar account import`` and ``export``: accounts from and to the files of other wallets."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import account_words, compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.formats import WalletFile
    from bursar.bitcoin.network import Network
    from bursar.cli.session import Session
    from bursar.wallet.labels import LabelReport
    from bursar.wallet.records import AccountRecord

_LARGEST = 64 << 20
_HINTS = {
    "core": "Bitcoin Core: bitcoin-cli -rpcwallet=NAME importdescriptors",
    "descriptor": "Sparrow, Nunchuk, Green, Bitcoin Safe: output descriptors as text",
    "bsms": "BIP-129: Sparrow, Nunchuk, Coldcard",
    "specter": "Specter Desktop",
    "specter-diy": "Specter DIY, as a QR code's text",
    "electrum": "Electrum",
    "coldcard": "multisig for Coldcard, Passport, Keystone, Jade, SeedSigner",
    "caravan": "Caravan",
}


@command(
    "import",
    examples=(
        "bursar account import sparrow.txt --name vault",
        "bursar account import electrum-wallet --labels --json",
        "bursar account import core.json --network signet --watch-only",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--name", help="Name of the account (default: the one in the file).")
@click.option("--network", help="Which test network its keys belong to (default: that of config.toml, where it fits).")
@click.option(
    "--format", "form", type=click.Choice(list(_HINTS)), help="Format of FILE (default: told by its content)."
)
@click.option("--watch-only", is_flag=True, help="Nobody signs for it.")
@click.option("--labels", is_flag=True, help="Take in the labels and frozen coins that the file knows about, too.")
@pass_session
def import_account(
    session: Session,
    file: str,
    name: str | None,
    network: str | None,
    form: str | None,
    watch_only: bool,
    labels: bool,
) -> None:
    """Add the account, or all accounts, of another wallet's FILE ('-': standard input): the public half of it.

    Read are files of Bitcoin Core, Sparrow, Specter, Electrum, Caravan, Coldcard, and BIP-129 records. Compare the
    first address with the one that the other program or the device shows: a file is changed more easily than a screen.
    """
    from bursar.bitcoin.accounts import account_of_descriptor
    from bursar.bitcoin.formats import WalletFormat, read_wallet_files
    from bursar.keys.origin import UNKNOWN

    data = _read(file)
    kind = None if form is None else WalletFormat(form)
    wanted = _network(session, network)
    found = read_wallet_files(data, form=kind, network=wanted if network else None)
    if network is None and any(one.network is not wanted for one in found):
        found = _elsewhere(found, data, kind, wanted)
    names = _names(found, name, file)
    accounts = [account_of_descriptor(str(one.descriptor), one.network) for one in found]  # all are read before one is
    wallet = compose.wallet(session)
    made: list[tuple[WalletFile, AccountRecord, LabelReport | None]] = []
    for given, account, called in zip(found, accounts, names, strict=True):
        signers = [] if watch_only else [str(one) for one in account.fingerprints if one != UNKNOWN]
        record = wallet.add_account(called, account, signer=signers)
        report = None
        if labels and given.labels:
            from bursar.wallet.labels import import_labels

            report = import_labels(wallet, given.labels, account=called)
        made.append((given, record, report))
    session.output.answer({"accounts": [_document(*one) for one in made]}, lambda: _told(made))


@command(
    "export",
    examples=(
        "bursar account export savings --format core -o savings.json",
        "bursar account export board --format coldcard -o board.txt",
        "bursar account export savings                     # its descriptor",
    ),
)
@click.argument("name", shell_complete=account_names)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_HINTS)),
    default="descriptor",
    show_default=True,
    help="; ".join(f"{name}: {hint}" for name, hint in _HINTS.items()) + ".",
)
@click.option("-o", "--output", "to", type=click.Path(), metavar="FILE", help="Write to a new FILE, not to the screen.")
@pass_session
def export_account(session: Session, name: str, form: str, to: str | None) -> None:
    """Write the Bitcoin account NAME as a file that another wallet imports; its public half only.

    Whoever has the file sees every address and amount of the account, and can move nothing.
    """
    from bursar.bitcoin.accounts import descriptor_of
    from bursar.bitcoin.formats import WalletFile, WalletFormat, write_wallet_files
    from bursar.cli.home import write_private
    from bursar.wallet.accounts import AnyEthereum

    record = compose.wallet(session).account(name)
    held = record.account
    if isinstance(held, AnyEthereum):
        raise InvalidInputError(
            f"account {name!r} is on ethereum: such files are for bitcoin accounts", code="input.account"
        )
    given = WalletFile(name, held.network, descriptor_of(held))
    text = write_wallet_files(WalletFormat(form), given)
    text = text if text.endswith("\n") else text + "\n"
    if to is not None:
        write_private(Path(to), text)
    document = {"format": form, "text": text, "first": given.address(), **({} if to is None else {"file": to})}

    def words() -> None:
        if to is None:
            click.echo(text, nl=False)
            return
        click.echo(f"Written to {to}, for {_HINTS[form].partition(':')[0]}.")
        click.echo(f"First address: {given.address()}\nCompare it with the one the other program shows.")

    session.output.answer({"export": document}, words)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(_LARGEST + 1)
    with Path(file).open("rb") as opened:
        return opened.read(_LARGEST + 1)


def _network(session: Session, named: str | None) -> Network:
    from bursar.bitcoin.network import Network

    return Network.from_text(named) if named else compose.settings(session).network


def _elsewhere(found: tuple[WalletFile, ...], data: bytes, kind: Any, usual: Network) -> tuple[WalletFile, ...]:
    """Test networks share their keys: a file that names none is of the usual one, where that is one of them."""
    from bursar.bitcoin.formats import read_wallet_files
    from bursar.bitcoin.network import Network

    if usual.testnet and all(one.network is Network.TESTNET for one in found):
        return read_wallet_files(data, form=kind, network=usual)
    return found


def _names(found: tuple[WalletFile, ...], name: str | None, file: str) -> list[str]:
    """One for each: the given one, that in the file, or the file's own; numbered where there are several."""
    stem = "imported" if file == "-" else Path(file).stem
    if name is not None and len(found) > 1:
        return [f"{name}-{number}" for number in range(1, len(found) + 1)]
    names: list[str] = []
    for one in found:
        base = called = name or _usable(one.name) or _usable(stem) or "imported"
        number = 2
        while called in names:
            called, number = f"{base}-{number}", number + 1
        names.append(called)
    return names


def _usable(text: str) -> str:
    """What an account may be called, as near as can be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")[:64]


def _document(given: WalletFile, record: AccountRecord, report: LabelReport | None) -> dict[str, Any]:
    return {
        "account": record.to_json(),
        "descriptor": str(given.descriptor),
        "first": given.address(),
        "remarks": list(given.remarks),
        "birth_height": given.birth_height,
        "birth_time": given.birth_time,
        "labels_known": len(given.labels),
        "labels": None if report is None else report.to_json(),
    }


def _told(made: list[tuple[WalletFile, AccountRecord, LabelReport | None]]) -> None:
    for given, record, report in made:
        kind, where = account_words.kind(record), account_words.where(record)
        click.echo(f"Account {record.name}: {kind} on {where}; signer {account_words.signer(record)}")
        click.echo(f"  first address  {given.address()}")
        for remark in given.remarks:
            click.echo(f"  note           {remark}")
        if report is not None:
            click.echo(f"  labels         {len(report.changes)} taken in, {len(report.skipped)} passed over")
        elif given.labels:
            click.echo(f"  labels         {len(given.labels)} in the file, left there: import it again with --labels")
    click.echo("\nCompare the first address with the one the other program, or the device, shows.")
    click.echo(f"Next: bursar balance {made[0][1].name}")
