"""``bursar backup``: the wallet's public side in one sealed file, the drill that it restores, and restoring it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError, WrongPasswordError
from bursar.signing.protocols import SecretRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.cli.session import Session
    from bursar.crypto.secret import Secret
    from bursar.wallet.backup import Bundle, DrillReport, RestoreReport
    from bursar.wallet.wallet import Wallet

_ATTEMPTS = 3
_PASSWORD = click.option(
    "--password-fd",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the backup's password from file descriptor N (its next line).",
)


@group(
    "backup",
    examples=(
        "bursar backup write wallet-2026-11.backup",
        "bursar backup check wallet-2026-11.backup         # the drill: opens it, restores nothing",
        "bursar backup restore wallet-2026-11.backup --home ~/new",
    ),
)
def backup() -> None:
    """Back up what no seed phrase gives back: accounts, multisig policies, labels, tokens, rules. No private keys."""


@backup.command(
    "write",
    examples=(
        "bursar backup write wallet-2026-11.backup",
        "bursar backup write /media/card/wallet.backup --password-fd 3 3<password.txt",
    ),
)
@click.argument("file", type=click.Path())
@_PASSWORD
@pass_session
def write(session: Session, file: str, password_fd: int | None) -> None:
    """Write a new FILE, sealed under a password of its own, and open it again to see that it can be.

    In it: every account's public half, labels and frozen coins, tokens, what is registered on Ledgers, silent payment
    addresses and what was found for them, and policy.toml.
    Not in it: private keys and seed phrases. Choose six random words or more as its password: whoever finds the file
    may guess for ever.
    """
    from bursar.wallet.backup import restore_drill, write_backup

    path = Path(file)
    if path.exists():
        raise InvalidInputError(f"{path} exists and is not overwritten: choose another name", code="input.file")
    bundle = _bundle(session)
    report = restore_drill(bundle)
    with (
        _password(session, password_fd, "new-password", "New password for this backup") as password,
        session.output.progress("sealing the backup and opening it again"),
    ):
        write_backup(path, bundle, password)

    def words() -> None:
        _told(report, "holds")
        click.echo(f"\nWritten to {file}. Keep it where this machine is not; it holds no private keys.")
        click.echo(f"Next: bursar backup check {file}")

    session.output.answer({"backup": {"file": file, **report.to_json()}}, words)


@backup.command(
    "check",
    examples=("bursar backup check wallet-2026-11.backup", "bursar backup check wallet-2026-11.backup --json"),
)
@click.argument("file", type=click.Path())
@_PASSWORD
@pass_session
def check(session: Session, file: str, password_fd: int | None) -> None:
    """Rehearse restoring FILE and change nothing; anything that is not as it was written is an error.

    Each account's first addresses are derived anew, by the account and by its descriptor, and compared with those
    written then. With a wallet in the folder, what it has and the backup lacks is listed, and the journal must still
    hold the record at which the backup was made.
    """
    from bursar.wallet.backup import restore_drill

    bundle = _opened(session, file, password_fd)
    wallet = compose.wallet(session) if session.home.config.is_file() else None
    report = restore_drill(bundle, wallet=wallet)
    differences = [*report.missing, *(() if wallet is None else _beside(session, wallet, bundle))]

    def words() -> None:
        _told(report, "restores")
        if wallet is None:
            click.echo(f"\nNo wallet in {session.home.folder} to compare it with.")
        elif differences:
            click.echo("\nIt differs from this wallet; make a new backup:")
            for line in differences:
                click.echo(f"  {line}")
        else:
            click.echo("\nIt holds everything this wallet has, and the journal goes on from it unbroken.")

    session.output.answer(
        {"check": {"file": file, **report.to_json(), "missing": differences, "compared": wallet is not None}}, words
    )


@backup.command(
    "restore",
    examples=(
        "bursar backup restore wallet-2026-11.backup",
        "bursar backup restore wallet-2026-11.backup --home ~/new --json",
    ),
)
@click.argument("file", type=click.Path())
@_PASSWORD
@pass_session
def restore(session: Session, file: str, password_fd: int | None) -> None:
    """Add what FILE holds to the wallet in the folder, or to a new one, after the same drill as 'backup check'.

    What is there stays: labels, tokens and registrations that are there win, another policy.toml is kept and the
    backup's written beside it. It may be repeated. Private keys come from their own backup: 'bursar restore', or the
    device.
    """
    from bursar.cli import setup
    from bursar.cli.ledger_registrations import adopt
    from bursar.cli.silent_book import Book
    from bursar.wallet.backup import restore as restore_bundle
    from bursar.wallet.backup import restore_drill

    bundle = _opened(session, file, password_fd)
    restore_drill(bundle)
    home = session.home
    new = not home.config.is_file()
    rules = _restore_rules(session, bundle)
    if new:
        network, chain_id = _usual(bundle)
        setup.furnish(session, network=network, chain_id=chain_id)
    report = restore_bundle(bundle, compose.wallet(session))
    policies = adopt(home.ledger_policies, bundle.policies)
    silent = Book.adopt(home.folder / "silent", bundle.silent)
    document = {
        "home": str(home.folder),
        "new": new,
        "accounts": list(report.accounts),
        "labels": report.labels,
        "tokens": report.tokens,
        "policies": policies,
        "silent": silent,
        "rules": None if rules is None else str(rules),
    }
    session.output.answer({"restored": document}, lambda: _restored(session, bundle, report, policies, rules))


def _bundle(session: Session) -> Bundle:
    from bursar.cli.ledger_registrations import registered
    from bursar.cli.silent_book import Book
    from bursar.wallet.backup import gather

    home = session.home
    wallet = compose.wallet(session)
    rules = home.policy.read_text(encoding="utf-8") if home.policy.is_file() else None
    silent = [one.to_json() for one in Book.every(home.folder / "silent")]
    return gather(wallet, policies=registered(home.ledger_policies), rules=rules, silent=silent)


def _opened(session: Session, file: str, password_fd: int | None) -> Bundle:
    from bursar.wallet.backup import read_backup

    path = Path(file)
    path.open("rb").close()  # a missing file must not cost the human a password
    for attempts_left in reversed(range(1 if password_fd is not None else _ATTEMPTS)):
        with _password(session, password_fd, "password", f"Password of the backup {path.name}") as password:
            try:
                with session.output.progress("opening the backup"):
                    return read_backup(path, password)
            except WrongPasswordError as error:
                if not attempts_left:
                    raise
                session.human.tell(f"{error.message}; once more.")
    raise AssertionError("every attempt returns or raises")


def _password(session: Session, password_fd: int | None, kind: str, question: str) -> Secret:
    from bursar.cli.prompts import SecretSource

    return SecretSource(session.human, session.output.aside, password_fd).ask(SecretRequest(kind, question))


def _beside(session: Session, wallet: Wallet, bundle: Bundle) -> list[str]:
    """What the drill does not compare: labels, rules and registrations."""
    from bursar.cli.ledger_registrations import registered
    from bursar.cli.silent_book import Book

    home = session.home
    found = []
    changed = len(set(wallet.labels()) ^ {record for _, record in bundle.labels})
    if changed:
        found.append(f"{_counter()(changed, 'label')} differ{'s' if changed == 1 else ''}")
    rules = home.policy.read_text(encoding="utf-8") if home.policy.is_file() else None
    if rules != bundle.rules:
        found.append("policy.toml is not the one in the backup")
    kept = {_page(one): one.get("labels") for one in bundle.silent}
    found += [
        f"silent payment address {one.address[:12]}… or a label of it is not in the backup"
        for one in Book.every(home.folder / "silent")
        if kept.get(_page(one.to_json())) != one.labels
    ]
    here = set(registered(home.ledger_policies))
    found += [f"registration {one.policy.name} is not in the backup" for one in here - set(bundle.policies)]
    found += [f"registration {one.policy.name} is not in this folder" for one in set(bundle.policies) - here]
    return found


def _page(record: dict[str, Any]) -> tuple[str, ...]:
    """Whose record of silent payments it is."""
    return tuple(str(record.get(name)) for name in ("fingerprint", "network", "number"))


def _restore_rules(session: Session, bundle: Bundle) -> Path | None:
    """Put the rules where there are none, beside others that differ; where they were put."""
    from bursar.cli.home import write_private

    home = session.home
    if bundle.rules is None:
        return None
    home.create()
    for path in (home.policy, home.policy.with_name("policy.restored.toml")):
        if not path.exists():
            write_private(path, bundle.rules)
            return path
        if path.read_text(encoding="utf-8") == bundle.rules:
            return None
    return None


def _usual(bundle: Bundle) -> tuple[str, int | None]:
    """The network and the chain most accounts are on."""
    from collections import Counter

    from bursar.wallet.accounts import AnyEthereum

    accounts = [one.account for one in bundle.accounts]
    networks = Counter(one.network.name for one in accounts if not isinstance(one, AnyEthereum))
    chains = Counter(one.chain_id for one in accounts if isinstance(one, AnyEthereum))
    return (
        networks.most_common(1)[0][0] if networks else "main",
        chains.most_common(1)[0][0] if chains else None,
    )


def _told(report: DrillReport, verb: str) -> None:
    from datetime import UTC, datetime

    made = datetime.fromtimestamp(report.created, UTC)
    counted = _counter()
    click.echo(f"The backup of {made:%Y-%m-%d %H:%M} UTC {verb}:")
    names = f" ({', '.join(report.accounts)})" if report.accounts else ""
    click.echo(f"  {counted(len(report.accounts), 'account')}{names}")
    click.echo(f"  {counted(report.addresses, 'address')} derived anew, by account and by descriptor, and compared")
    click.echo(f"  {counted(report.labels, 'label')}, {counted(report.tokens, 'token')}")
    click.echo(f"  {counted(report.policies, 'registration')} on Ledgers")
    click.echo(f"  {'the rules of policy.toml, read' if report.rules else 'no policy.toml'}")


def _restored(session: Session, bundle: Bundle, report: RestoreReport, policies: int, rules: Path | None) -> None:
    counted = _counter()
    click.echo(f"Restored into {session.home.folder}:")
    names = f" ({', '.join(report.accounts)})" if report.accounts else ""
    click.echo(f"  {counted(len(report.accounts), 'account')} added{names}")
    click.echo(
        f"  {counted(report.labels, 'label')}, {counted(report.tokens, 'token')} and "
        f"{counted(policies, 'registration')} added"
    )
    if rules is not None:
        differ = "" if rules == session.home.policy else ", for you to compare with the policy.toml in force"
        click.echo(f"  the backup's rules in {rules}{differ}")
    signers = sorted({name for one in bundle.accounts for name in one.signers})
    if signers:
        click.echo(f"\nTheir signers: {', '.join(signers)}. Those of this machine: bursar devices")
        click.echo("A keystore in software comes back from its words: bursar restore")
    click.echo("Next: bursar balance" + (", once its nodes are in config.toml" if report.accounts else ""))


def _counter() -> Callable[[int, str], str]:
    plural: dict[str, Any] = {"address": "addresses"}
    return lambda count, word: f"{count} {word if count == 1 else plural.get(word, word + 's')}"
