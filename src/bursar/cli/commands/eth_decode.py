"""``bursar eth decode``: a transaction's bytes in words (EIP-2718, 155, 2930, 1559, 4844, 7702)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from bursar.cli.session import Session


@command(
    "decode",
    examples=(
        "bursar eth decode 0x02f8…",
        "bursar eth decode signed.hex",
        "bursar eth decode - --json < transaction.bin",
    ),
)
@click.argument("transaction")
@pass_session
def decode(session: Session, transaction: str) -> None:
    """Show what TRANSACTION is and does: hexadecimal digits, or a file with them, with the bytes or with JSON.

    Signed or not, of type 0 to 4, with blobs or without. Anything but the one form of a transaction is refused. Tokens
    are named that are registered in this wallet; no node is asked.
    """
    from bursar.cli.raw_transactions import given_transaction, review_of, transaction_document, transaction_text

    tx = given_transaction(transaction)
    review = review_of(session, tx)
    text = transaction_text(session, tx, review)
    session.output.answer(transaction_document(tx, review), lambda: click.echo(text, nl=False))
