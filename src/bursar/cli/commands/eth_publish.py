"""``bursar eth publish``: hand a transaction that was signed elsewhere to the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.lazy import command, pass_session
from bursar.errors import InvalidInputError, UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.session import Session
    from bursar.ethereum.transaction import SignedTransaction
    from bursar.wallet.wallet import Wallet


@command("publish", examples=("bursar eth publish 0x02f8…", "bursar eth publish signed.hex --yes"))
@click.argument("transaction")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def publish(session: Session, transaction: str, yes: bool) -> None:
    """Show the signed TRANSACTION, ask, and broadcast it: hexadecimal digits, or a file as for 'decode'.

    The node is that of its chain. The policy is not asked: it decides on what is signed here. Refused where its nonce
    belongs to a transfer of this wallet, whose place it would take.
    """
    from bursar.cli.raw_transactions import given_transaction, review_of, transaction_document, transaction_text
    from bursar.ethereum.transaction import SignedTransaction

    tx = given_transaction(transaction)
    if not isinstance(tx, SignedTransaction):
        raise InvalidInputError("this transaction is not signed: nobody would take it", code="input.transaction")
    wallet = compose.wallet(session)
    raw = tx.serialize() if tx.sidecar is None else tx.network_bytes()
    wallet.check_foreign(raw)
    review = review_of(session, tx)
    text = transaction_text(session, tx, review)
    owner = _owner(wallet, tx)
    if owner is not None:
        text += f"\nIts sender is of account {owner!r} here: what it costs is told after the next sync.\n"
    (session.output.aside if yes else session.human.tell)(text)
    if not yes and session.human.ask("Publish it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was published")
    node = compose.ethereum_node(session, tx.unsigned.chain_id)
    with session.output.progress("handing the transaction to the node"):
        tx_hash = wallet.publish(raw, node)
    document = {**transaction_document(tx, review), "published": True}
    session.output.answer(document, lambda: click.echo(f"Transaction {tx_hash}"))


def _owner(wallet: Wallet, tx: SignedTransaction) -> str | None:
    """The account here whose address signed it."""
    sender = str(tx.sender)
    for record in wallet.accounts():
        if record.chain == "ethereum" and any(one.address == sender for one in wallet.addresses(record.name)):
            return record.name
    return None
