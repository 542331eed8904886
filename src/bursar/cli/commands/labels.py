"""``bursar labels``: what was written about coins, addresses and transactions, and its files (BIP-329)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session

if TYPE_CHECKING:
    from bursar.bitcoin.labels import LabelRecord
    from bursar.bitcoin.network import Network
    from bursar.cli.session import Session
    from bursar.wallet.labels import LabelReport

_LARGEST = 64 << 20
_NETWORK = click.option("--network", help="Bitcoin network, where no account is named (default: that of config.toml).")


@group(
    "labels",
    examples=(
        "bursar labels set savings bc1q… 'rent, November'",
        "bursar labels list savings",
        "bursar labels import sparrow.jsonl --account savings",
        "bursar labels export savings -o savings.jsonl",
    ),
)
def labels() -> None:
    """What you wrote about coins, addresses and transactions; it moves between wallets as a file (BIP-329)."""


@labels.command("list", examples=("bursar labels list savings", "bursar labels list --network main --json"))
@click.argument("account", required=False, shell_complete=account_names)
@_NETWORK
@pass_session
def list_labels(session: Session, account: str | None, network: str | None) -> None:
    """List the labels of ACCOUNT, or all of the network."""
    from bursar.wallet.labels import export_labels

    wallet = compose.wallet(session)
    found = export_labels(wallet, account=account, network=_network(session, account, network))

    def words() -> None:
        if not found:
            click.echo("No labels yet: bursar labels set ACCOUNT COIN|ADDRESS|TXID TEXT")
            return
        rows = [(one.type.value, one.reference, _state(one), one.label or "") for one in found]
        session.output.table(("type", "about", "state", "label"), rows)

    session.output.answer({"labels": [one.to_json() for one in found]}, words)


@labels.command(
    "set",
    examples=(
        "bursar labels set savings bc1q… 'rent, November'",
        "bursar labels set savings 5f1c…:0 'rent, November'",
        "bursar labels set savings 5f1c… ''                 # takes it away",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("ref", metavar="COIN|ADDRESS|TXID")
@click.argument("text")
@pass_session
def set_label(session: Session, account: str, ref: str, text: str) -> None:
    """Write TEXT about a coin (txid:vout), an address or a transaction; an empty TEXT takes it away."""
    compose.wallet(session).label(account, ref, text or None)
    session.output.answer({"ref": ref, "label": text or None}, lambda: click.echo(f"{ref}: {text or 'no label'}"))


@labels.command(
    "import",
    examples=(
        "bursar labels import sparrow.jsonl --account savings",
        "bursar labels import old.jsonl --keep --forgiving",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--account", shell_complete=account_names, help="Pass over records that name another wallet's origin.")
@_NETWORK
@click.option("--keep", is_flag=True, help="Where both say something, what is here stays (else the file wins).")
@click.option("--forgiving", is_flag=True, help="Pass over lines that break the standard, and say which.")
@pass_session
def import_file(
    session: Session, file: str, account: str | None, network: str | None, keep: bool, forgiving: bool
) -> None:
    """Take in the labels of FILE ('-': standard input), JSON lines as Sparrow, Nunchuk, Coldcard and others write them.

    All or none. Coins that the file marks as not spendable are frozen. What changed is listed.
    """
    from bursar.bitcoin.labels import read_labels
    from bursar.wallet.labels import import_labels

    found = read_labels(_read(file), forgiving=forgiving)
    wallet = compose.wallet(session)
    report = import_labels(
        wallet, found.records, account=account, network=_network(session, account, network), keep=keep
    )
    for remark in found.remarks:
        session.output.aside(f"line {remark.line}: {remark.reason}")
    document = {**report.to_json(), "remarks": [{"line": one.line, "reason": one.reason} for one in found.remarks]}
    session.output.answer({"import": document}, lambda: _told(report))


@labels.command(
    "export",
    examples=("bursar labels export savings -o savings.jsonl", "bursar labels export > all.jsonl"),
)
@click.argument("account", required=False, shell_complete=account_names)
@_NETWORK
@click.option("-o", "--output", "to", type=click.Path(), metavar="FILE", help="Write to a new FILE, not to the screen.")
@pass_session
def export_file(session: Session, account: str | None, network: str | None, to: str | None) -> None:
    """Write the labels of ACCOUNT, or all of the network, as JSON lines (BIP-329).

    The file tells whoever reads it what your money is for: delete it when it has done its work.
    """
    from bursar.bitcoin.labels import write_labels
    from bursar.cli.home import write_private
    from bursar.wallet.labels import export_labels

    wallet = compose.wallet(session)
    found = export_labels(wallet, account=account, network=_network(session, account, network))
    text = write_labels(found).decode()
    if to is not None:
        write_private(Path(to), text)
    document = {"labels": [one.to_json() for one in found], **({} if to is None else {"file": to})}
    count = f"{len(found)} label{'' if len(found) == 1 else 's'}"
    session.output.answer(
        document, lambda: click.echo(text, nl=False) if to is None else click.echo(f"{count} written to {to}")
    )


def _network(session: Session, account: str | None, named: str | None) -> Network | None:
    from bursar.bitcoin.network import Network

    if named is not None:
        return Network.from_text(named)
    return None if account is not None else compose.settings(session).network


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(_LARGEST + 1)
    with Path(file).open("rb") as opened:
        return opened.read(_LARGEST + 1)


def _state(one: LabelRecord) -> str:
    return "" if one.spendable is None else ("spendable" if one.spendable else "frozen")


def _told(report: LabelReport) -> None:
    for change in report.changes:
        before, after = change.before, change.after
        was = "" if before is None or before.label == after.label else f" (was {before.label or 'without label'})"
        state = "" if before is not None and before.spendable == after.spendable else _state(after)
        click.echo(f"{after.type.value} {after.reference}: {after.label or 'no label'}{was} {state}".rstrip())
    for record, reason in report.skipped:
        click.echo(f"passed over {record.reference}: {reason}")
    count = len(report.changes)
    click.echo(f"{count} label{'' if count == 1 else 's'} changed, {len(report.skipped)} passed over.")
