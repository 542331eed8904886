"""``bursar silent``: silent payments (BIP-352) received by a keystore in software: its address, and scanning blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bursar.cli import compose
from bursar.cli.commands.silent_sweep import sweep
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.bitcoin.network import Network
    from bursar.bitcoin.silent_payments import FoundOutput, SilentPaymentKeys
    from bursar.bitcoin.transaction import Transaction
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.cli.silent_book import Book, Found
    from bursar.nodes.bitcoind import BitcoindBackend

_SAVED_EVERY = 200  # blocks
_NUMBER = click.option(
    "--number", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account number in the path."
)
_NETWORK = click.option("--network", help="Bitcoin network (default: the one in config.toml).")


@group(
    "silent",
    examples=(
        "bursar silent address",
        "bursar silent scan --from-height 870000          # the first time; later from where it stopped",
        "bursar silent list",
        "bursar silent sweep $(bursar address new savings)",
    ),
)
def silent() -> None:
    """Be paid at one public address without anybody seeing the payments belong together (BIP-352).

    Keystores in software only. The scan key is derived anew from the keystore each time its password is given; no key
    is kept in the wallet's folder. Coins found here belong to no account until 'bursar silent sweep' moves them.
    """


@silent.command("address", examples=("bursar silent address", "bursar silent address --label 3"))
@click.option(
    "--label",
    type=click.IntRange(1, 2**32 - 1),
    metavar="N",
    help="An address of its own for payer or purpose N; payments to it are told apart, by us alone.",
)
@_NUMBER
@_NETWORK
@signer_options
@pass_session
def address(session: Session, label: int | None, number: int, network: str | None, unlock: Unlock) -> None:
    """Print the silent payment address of a keystore: it may stand on a poster and be used by everybody.

    Labels that were handed out are remembered in the wallet's folder, and scans look for them.
    """
    from bursar.cli.silent_book import Book, locked

    with locked(_folder(session)):
        fingerprint, keys = _keys(session, unlock, _network(session, network), number)
        book = Book.of(_folder(session), fingerprint, keys.network.name, number)
        book.address = str(keys.address())
        text = book.address if label is None else str(keys.address(label))
        if label is not None and label not in book.labels:
            book.labels = sorted([*book.labels, label])
        keys.scan.wipe()
        book.write()
    document = {
        "address": text,
        "label": label,
        "fingerprint": fingerprint,
        "network": book.network,
        "number": number,
    }
    session.output.answer({"silent": document}, lambda: click.echo(text))


@silent.command(
    "scan",
    examples=("bursar silent scan --from-height 870000", "bursar silent scan", "bursar silent scan --json"),
)
@click.option(
    "--from-height",
    type=click.IntRange(min=0),
    metavar="N",
    help="First block to look at (default: the one after the last scanned).",
)
@click.option("--label", "labels", type=click.IntRange(1, 2**32 - 1), multiple=True, help="Look for this label, too.")
@_NUMBER
@_NETWORK
@signer_options
@pass_session
def scan(
    session: Session,
    from_height: int | None,
    labels: Sequence[int],
    number: int,
    network: str | None,
    unlock: Unlock,
) -> None:
    """Look through the blocks of your own Bitcoin Core for payments to the keystore's silent payment addresses.

    Every block is read whole: the main network takes hours for a year. It may be interrupted and goes on from there.
    Electrum and Esplora servers cannot be asked without telling them the scan key, so they are not.
    """
    from bursar.cli.silent_book import Book, locked
    from bursar.nodes.bitcoind import BitcoindBackend

    where = _network(session, network)
    node = compose.bitcoin_node(session, where)
    if not isinstance(node, BitcoindBackend):
        raise UnsupportedError(
            "silent payments are found in blocks and what they spend, which only Bitcoin Core tells: set its url "
            f"in [bitcoin.{where.name}]",
            operation="silent_scan",
        )
    with locked(_folder(session)):
        fingerprint, keys = _keys(session, unlock, where, number)
        book = Book.of(_folder(session), fingerprint, where.name, number)
        book.address = str(keys.address())
        book.labels = sorted({*book.labels, *labels})
        start = _start(book, from_height, node)
        try:
            _scan(session, book, keys, node, start)
        finally:
            keys.scan.wipe()
            book.write()
    spendable = _unspent(node, book)
    _answer(session, [book], spendable)


@silent.command("list", examples=("bursar silent list", "bursar silent list --json"))
@_NETWORK
@pass_session
def list_found(session: Session, network: str | None) -> None:
    """List what scans found, as of the last one; no node and no keystore is asked."""
    from bursar.cli.silent_book import Book

    _answer(session, Book.every(_folder(session), _network(session, network).name), None)


silent.add_command(sweep)


def _folder(session: Session) -> Path:
    session.home.require()
    return session.home.folder / "silent"


def _network(session: Session, named: str | None) -> Network:
    from bursar.bitcoin.network import Network

    return Network.from_text(named) if named else compose.settings(session).network


def _keys(session: Session, unlock: Unlock, network: Network, number: int) -> tuple[str, SilentPaymentKeys]:
    """Of the keystore, which is closed again: scanning takes long."""
    from bursar.backends.software import SoftwareSigner

    with compose.signer(session, unlock) as (selector, opened):
        if not isinstance(opened, SoftwareSigner):
            raise UnsupportedError(
                f"{selector} does not give its scan key away: silent payments are received by keystores in software",
                operation="silent_payment",
                model=opened.info.model,
            )
        return str(opened.info.fingerprint), opened.silent_payment_keys(network, number)


def _start(book: Book, wanted: int | None, node: BitcoindBackend) -> int:
    """The first block to read; what a reorganised chain took away is forgotten."""
    if wanted is not None:
        book.forget_from(wanted)
        return wanted
    if not book.scanned:
        raise InvalidInputError(
            "nothing was scanned yet: say from which block on with --from-height (its height when the address was "
            "first given to somebody)",
            code="input.usage",
        )
    tip = node.check_network().height
    for height, name in reversed(book.scanned):
        if height <= tip and node.taproot_payments(height)[0].hash == name:
            book.forget_from(height + 1)
            return height + 1
    first = book.scanned[0][0]
    book.forget_from(first)
    return first


def _scan(session: Session, book: Book, keys: SilentPaymentKeys, node: BitcoindBackend, start: int) -> None:
    from bursar.bitcoin.silent_payments import Scanner

    scanner = Scanner(keys, labels=book.labels)
    tip = node.check_network().height
    with session.output.progress("scanning") as more:
        for height in range(start, tip + 1):
            block, transactions = node.taproot_payments(height)
            for tx, spent in transactions:
                _keep(book, keys.network, tx, scanner.transaction(tx, spent), height)
            book.note(height, block.hash)
            if height % _SAVED_EVERY == 0:
                book.write()
                more(f"block {height} of {tip}, {len(book.found)} found")


def _keep(book: Book, network: Network, tx: Transaction, found: Sequence[FoundOutput], height: int) -> None:
    from bursar.bitcoin.address import Address
    from bursar.cli.silent_book import Found

    for one in found:
        coin = f"{tx.txid}:{one.vout}"
        amount = int(tx.outputs[one.vout].value)
        where = str(Address.from_script(one.script, network))
        book.found[coin] = Found(coin, amount, where, one.label, height, one.tweak.expose().hex())


def _unspent(node: BitcoindBackend, book: Book) -> set[str]:
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network
    from bursar.chain.protocols import SyncRequest

    network = Network.from_text(book.network)
    scripts = tuple(Address.from_text(one.address, network).script for one in book.found.values())
    if not scripts:
        return set()
    return {str(coin.outpoint) for coin in node.sync(SyncRequest(scripts)).coins}


def _answer(session: Session, books: Sequence[Book], unspent: set[str] | None) -> None:
    from bursar.bitcoin.units import Sats

    found = [one for book in books for one in book.found.values()]

    def document(book: Book) -> dict[str, Any]:
        payments = [
            {
                "coin": one.coin,
                "amount": str(one.amount),
                "address": one.address,
                "label": one.label,
                "height": one.height,
                "unspent": None if unspent is None else one.coin in unspent,
                "spent": one.spent,
            }
            for one in book.found.values()
        ]
        return {
            "fingerprint": book.fingerprint,
            "network": book.network,
            "number": book.number,
            "address": book.address,
            "labels": book.labels,
            "height": book.height,
            "payments": payments,
        }

    def words() -> None:
        for book in books:
            until = "not scanned yet" if book.height is None else f"scanned up to block {book.height}"
            click.echo(f"{book.address}\n  {until}; labels {', '.join(map(str, book.labels)) or 'none'}")
        if not books:
            click.echo("No silent payment address yet: bursar silent address")
        elif not found:
            click.echo("No payments found.")
        else:
            rows = [
                (
                    one.coin,
                    Sats(one.amount).to_btc_text(),
                    "change" if one.label == 0 else "" if one.label is None else str(one.label),
                    str(one.height),
                    _state(one, unspent),
                )
                for one in found
            ]
            session.output.table(("coin", "amount", "label", "block", "state"), rows, numbers=("amount",))

    session.output.answer({"silent": [document(book) for book in books]}, words)


def _state(one: Found, unspent: set[str] | None) -> str:
    """As the node sees it where it was asked; else what this wallet did."""
    if unspent is None or (one.coin in unspent and one.spent is not None):
        return "" if one.spent is None else "swept"
    return "unspent" if one.coin in unspent else "spent"
