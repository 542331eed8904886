"""``bursar silent sweep``: spend the silent payments that scans found (BIP-352)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from bursar.cli import compose
from bursar.cli.advice import after_verdict
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.cli.transferring import fee_options
from bursar.errors import BroadcastRejectedError, InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.build import BuiltTransfer
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.transaction import Transaction
    from bursar.chain.protocols import BitcoinBackend, FeeEstimator
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.cli.silent_book import Book
    from bursar.cli.silent_sweeping import Sweepable
    from bursar.policy.review import Review


@command(
    "sweep",
    examples=(
        "bursar silent sweep $(bursar address new savings)",
        "bursar silent sweep bc1q… --coin 5f1c…:0 --fee-rate 3sat/vb",
        "bursar silent sweep bc1q… --dry-run",
    ),
)
@click.argument("to", metavar="ADDRESS")
@click.option("--coin", "named", multiple=True, metavar="COIN", help="Only this coin (txid:vout); may be repeated.")
@click.option("--dry-run", is_flag=True, help="Plan, review and ask the policy; sign and send nothing.")
@fee_options
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@click.option(
    "--number", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Account number in the path."
)
@click.option("--network", help="Bitcoin network (default: the one in config.toml).")
@signer_options
@pass_session
def sweep(
    session: Session,
    to: str,
    named: Sequence[str],
    dry_run: bool,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
    yes: bool,
    number: int,
    network: str | None,
    unlock: Unlock,
) -> None:
    """Spend the silent payments that scans found, whole and less the fee, to ADDRESS: usually one of an account here.

    All that are confirmed and unspent, or those named with --coin. The node is asked about each. Payments spent
    together are seen to have one owner. The policy counts what was sent from this wallet before; a sweep it does not
    count later. Its rules know these coins as the account silent-FINGERPRINT-NUMBER.
    """
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network
    from bursar.cli.silent_book import locked
    from bursar.cli.silent_sending import is_silent

    if speed and fee_rate:
        raise InvalidInputError("give --speed or --fee-rate, not both", code="input.usage")
    if is_silent(to):
        raise InvalidInputError(
            "silent payments are swept to an ordinary address: 'bursar address new ACCOUNT'", code="input.address"
        )
    usual = compose.settings(session).network
    where = Network.from_text(network) if network else usual
    payee = Address.from_text(to, where)
    folder = session.home.folder / "silent"
    with locked(folder):
        book = _book(session, unlock, folder, where, number)
        node = compose.bitcoin_node(session, where)
        built, found = _built(session, book, node, payee, named, speed or "normal", fee_rate, max_fee)
        review = _reviewed(session, built, found, payee, book, yes=yes or dry_run)
        if dry_run:
            document = {"dry_run": True, "review": _json(review)}
            session.output.answer(document, lambda: click.echo("Dry run: nothing was signed or sent."))
            return
        if not yes and session.human.ask("Sign and send it? [y/N]").strip().lower() not in ("y", "yes"):
            raise UserCancelledError("not confirmed: nothing was signed")
        tx = _signed(session, unlock, book, built)
        _send(session, book, node, tx)
    spent = [str(one.outpoint) for one in tx.inputs]
    document = {"txid": str(tx.txid), "address": to, "coins": spent, "raw": tx.serialize().hex()}
    session.output.answer({"sweep": document, "review": _json(review)}, lambda: click.echo(f"Transaction {tx.txid}"))


def _book(session: Session, unlock: Unlock, folder: Path, network: Network, number: int) -> Book:
    """The one record that is meant; no keystore is opened for it."""
    from bursar.cli.silent_book import Book

    books = [one for one in Book.every(folder, network.name) if one.number == number and one.found]
    if unlock.signer is not None:
        fingerprint = compose.registry(session).find(unlock.signer).fingerprint
        books = [one for one in books if one.fingerprint == str(fingerprint)]
    if len(books) > 1:
        names = ", ".join(one.fingerprint for one in books)
        raise InvalidInputError(
            f"several keystores received silent payments: name one with --signer ({names})", code="input.signer"
        )
    if not books:
        raise InvalidInputError(
            "no silent payment was found yet: look for them with 'bursar silent scan'",
            code="input.silent-payment.spent",
        )
    return books[0]


def _built(
    session: Session,
    book: Book,
    node: BitcoinBackend,
    to: Address,
    named: Sequence[str],
    speed: Literal["slow", "normal", "fast"],
    rate: str | None,
    max_fee: str | None,
) -> tuple[BuiltTransfer, Sweepable]:
    from bursar.bitcoin.silent_payments.sweeping import build_sweep
    from bursar.bitcoin.units import Sats
    from bursar.cli import silent_sweeping as sweeping
    from bursar.keys.origin import Fingerprint, KeyOrigin
    from bursar.keys.scheme import CoinType, silent_payment_paths

    network = to.network
    cap = None if max_fee is None else Sats.from_text(max_fee)
    spend = sweeping.spend_key(book, network)
    with session.output.progress("asking the node about the coins"):
        node.check_network()
        found = sweeping.sweepable(book, network, named, spend, node)
        chosen = sweeping.fee_rate(node, network, speed, rate, _estimators(session, network))
    path = silent_payment_paths(CoinType.TESTNET if network.testnet else CoinType.BITCOIN, book.number)[1]
    built = build_sweep(
        found.coins,
        to,
        spend=spend,
        origin=KeyOrigin(Fingerprint.from_text(book.fingerprint), path),
        fee_rate=chosen,
        tip_height=found.tip_height,
    )
    if cap is not None and built.fee > cap:
        raise InvalidInputError(
            f"the fee of {built.fee} sat is over the cap of {cap} sat: raise the cap or wait", code="input.fee.cap"
        )
    return built, found


def _estimators(session: Session, network: Network) -> dict[str, FeeEstimator]:
    settings = compose.settings(session)
    node = settings.bitcoin.get(network)
    if node is None or not node.fees:
        return {}
    from bursar.cli.chain_sources import fee_estimators

    return fee_estimators(settings.bitcoin, session.home)[network]


def _reviewed(
    session: Session, built: BuiltTransfer, found: Sweepable, to: Address, book: Book, *, yes: bool
) -> Review:
    """Shown, and allowed by the policy."""
    from bursar.cli.silent_sweeping import review_of
    from bursar.policy.render import review_text
    from bursar.policy.verdict import require_allowed

    wallet = compose.wallet(session)
    rules, past = compose.policy(session), wallet.policy_history()
    review = review_of(built, to, book, wallet)
    verdict = rules.decide(review, past)
    text = "".join(f"{line}\n" for line in _notes(built, found, book))
    text += (
        f"{review_text(review)}\n{rules.explain(review, past)}\n"
        f"{after_verdict(verdict, review, session.home.policy, past)}"
    )
    (session.output.say if yes else session.human.tell)(text)
    require_allowed(verdict)
    return review


def _notes(built: BuiltTransfer, found: Sweepable, book: Book) -> list[str]:
    """What a human may wonder about: coins that stay behind, and an earlier sweep of the same ones."""
    used = {str(coin.outpoint) for coin in built.coins}
    notes = [
        f"{name} is left alone: {txid}, which waits for a block, spends it." for name, txid in found.leaving.items()
    ]
    idle = [str(one.outpoint) for one in found.coins if str(one.outpoint) not in used]
    notes += [f"{name} is left alone: it is not worth its fee." for name in idle]
    before = sorted({txid for name in used if (txid := book.found[name].spent) is not None})
    return notes + [
        f"Signed before: {txid}, which the node does not know. It spends the same coins, so only one will be mined."
        for txid in before
    ]


def _signed(session: Session, unlock: Unlock, book: Book, built: BuiltTransfer) -> Transaction:
    from bursar.bitcoin.finalize import extract, finalize
    from bursar.signing.silent import SilentPaymentSigner, request_silent_signatures

    with compose.signer(session, unlock, book.fingerprint) as (selector, opened):
        if not isinstance(opened, SilentPaymentSigner):
            raise UnsupportedError(
                f"{selector} does not spend silent payments: they are received by keystores in software",
                operation="silent_payment",
                model=opened.info.model,
            )
        with session.output.progress("signing"):
            signed = request_silent_signatures(opened, built.psbt, approved=built.psbt.tx.txid)
    return extract(finalize(signed))


def _send(session: Session, book: Book, node: BitcoinBackend, tx: Transaction) -> None:
    """Noted first: whatever happens then, the next run knows that a signature exists."""
    spent = [book.found[str(one.outpoint)] for one in tx.inputs]
    before = [one.spent for one in spent]
    for one in spent:
        one.spent = str(tx.txid)
    book.write()
    try:
        with session.output.progress("handing the transaction to the node"):
            node.broadcast(tx)
    except BroadcastRejectedError:
        for one, earlier in zip(spent, before, strict=True):
            one.spent = earlier
        book.write()
        raise


def _json(review: Review) -> dict[str, Any]:
    from bursar.wallet.review_json import review_to_json

    return review_to_json(review)
