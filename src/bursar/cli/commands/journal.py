"""``bursar journal``: the hash-chained record of everything the wallet did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import group, pass_session
from bursar.errors import InvalidInputError, SignerMisbehavedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.cli.session import Session
    from bursar.signing.nonces import Placed
    from bursar.wallet.records import JournalHead
    from bursar.wallet.wallet import Wallet


@group("journal", examples=("bursar journal verify", "bursar journal export journal.jsonl"))
def journal() -> None:
    """The journal: append-only, each line bound to the one before by its hash."""


@journal.command(
    "verify",
    examples=("bursar journal verify", "bursar journal verify --anchor 42:9f86d081…   # a head kept elsewhere"),
)
@click.option("--anchor", metavar="NUMBER:HASH", help="A head you noted before: the journal must still contain it.")
@pass_session
def verify(session: Session, anchor: str | None) -> None:
    """Walk the whole chain; the first record that was changed, lost or moved is named (exit code 51).

    Then look through every signature that was made here for a nonce that served twice, which gives its key away.
    """
    with session.output.progress("verifying the journal"):
        wallet = compose.wallet(session)
        head = wallet.journal.verify(anchor=_anchor(anchor))
        _check_nonces(wallet)
    session.output.answer({"journal": head.to_json(), "verified": True}, lambda: _verified(head))


@journal.command("export", examples=("bursar journal export journal.jsonl",))
@click.argument("file")
@pass_session
def export(session: Session, file: str) -> None:
    """Verify, then write one JSON line for each record to a new FILE."""
    head = compose.wallet(session).journal.export(Path(file))
    session.output.answer(
        {"journal": head.to_json(), "file": file}, lambda: click.echo(f"{head.sequence} records in {file}")
    )


def _verified(head: JournalHead) -> None:
    click.echo(f"{head.sequence} records, unbroken.")
    if head.sequence:
        click.echo(f"Head {head.sequence}:{head.hash}")


def _check_nonces(wallet: Wallet) -> None:
    from bursar.signing.nonces import repeated_nonces

    for nonce in repeated_nonces(_signatures(wallet)):
        raise SignerMisbehavedError(
            f"one nonce served twice, in {' and '.join(nonce.places)}: whoever sees both can compute the key; "
            "move what it holds to another signer's at once"
        )


def _signatures(wallet: Wallet) -> Iterator[Placed]:
    from bursar.bitcoin.transaction import Transaction
    from bursar.ethereum.transaction import SignedTransaction
    from bursar.signing.nonces import signatures_of_bitcoin, signatures_of_ethereum
    from bursar.wallet.accounts import AnyEthereum

    ethereum = {one.name for one in wallet.accounts() if isinstance(one.account, AnyEthereum)}
    for one in wallet.transfers():
        if one.raw is None:
            continue
        if one.account in ethereum:
            yield from signatures_of_ethereum(SignedTransaction.parse(one.raw))
        else:
            yield from signatures_of_bitcoin(Transaction.parse(one.raw))


def _anchor(text: str | None) -> JournalHead | None:
    from bursar.wallet.records import JournalHead

    if text is None:
        return None
    number, _, digits = text.partition(":")
    if not (number.isascii() and number.isdigit()) or len(digits) != 64:
        raise InvalidInputError("an anchor is NUMBER:HASH, as 'bursar journal verify' prints it", code="input.anchor")
    return JournalHead(int(number), digits)
