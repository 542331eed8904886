"""``bursar message``: messages and typed data signed and verified (BIP-137, BIP-322, EIP-191, EIP-712)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.commands.eth_typed import sign_typed
from bursar.cli.commands.message_funds import prove, verify_funds
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.message_proofs import file_options, read_text
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.records import AccountRecord


@group(
    "message",
    examples=(
        'bursar message sign savings 0 "I own this address"',
        'bursar message verify bc1q… "H…=" "I own this address"',
        'bursar message prove savings "Reserves of November" -o reserves.txt',
        "bursar message sign-typed permit.json --account gas",
    ),
)
def message() -> None:
    """Messages signed with an address's keys, and proofs of what they can spend."""


@message.command(
    "sign",
    examples=(
        'bursar message sign savings 0 "I own this address"',
        "bursar message sign gas 0 - < statement.txt",
        'bursar message sign board 0 "We own this" --signer software:alpha --export half.psbt',
        'bursar message sign board 0 "We own this" --signer software:beta --import half.psbt',
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("index", type=click.IntRange(0, 2**31 - 1))
@click.argument("message", metavar="MESSAGE")
@click.option("--change", is_flag=True, help="With the change address at INDEX (Bitcoin).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", "legacy", "bip322"]),
    default="auto",
    show_default=True,
    help="auto: the old form (BIP-137) where the address has one, else BIP-322.",
)
@click.option("--full", is_flag=True, help="BIP-322: write the whole transaction, not only its witness.")
@click.option(
    "--sequence", type=click.IntRange(0, 2**32 - 1), default=0, help="BIP-322: age at which a timelock opens."
)
@click.option(
    "--locktime",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    help="BIP-322: height or time at which a timelock opens.",
)
@file_options
@signer_options
@pass_session
def sign(
    session: Session,
    account: str,
    index: int,
    message: str,
    change: bool,
    form: str,
    full: bool,
    sequence: int,
    locktime: int,
    given: Sequence[str],
    to: str | None,
    unlock: Unlock,
) -> None:
    """Sign MESSAGE ('-': standard input) with the keys of ACCOUNT's address at INDEX.

    Bitcoin addresses of one key sign in the old form that every wallet verifies (BIP-137); taproot, multisig and all
    other scripts by BIP-322, as a PSBT that signers sign here or elsewhere. Ethereum addresses sign personal messages
    (EIP-191).
    """
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.keys.scheme import Scheme
    from bursar.wallet.accounts import AnyEthereum

    text = read_text(message)
    record = compose.wallet(session).account(account)
    held = record.account
    old = isinstance(held, BitcoinAccount) and held.scheme is not Scheme.BIP86
    if form == "auto":
        form = "legacy" if old and not (full or given or to or sequence or locktime) else "bip322"
    if isinstance(held, AnyEthereum):
        if change or full or given or to or sequence or locktime:
            raise InvalidInputError("these options are for bitcoin addresses", code="input.usage")
        address, signature = _sign_personal(session, record, index, text, unlock)
    elif form == "legacy":
        if not isinstance(held, BitcoinAccount) or not old or full or given or to or sequence or locktime:
            raise InvalidInputError(
                "the old form is for addresses of one key that are not taproot, and has no PSBT: leave --format out",
                code="input.message",
            )
        address, signature = _sign_legacy(session, record, held, (int(change), index), text, unlock)
    else:
        from bursar.bitcoin.message import message_psbt
        from bursar.cli.message_proofs import prove

        branch = int(change)
        version = 2 if sequence or locktime else 0
        spending = held.spending(branch, index)
        psbt = message_psbt(spending, text, version=version, locktime=locktime, sequence=sequence)
        where = held.address(branch, index)
        proof = prove(session, record, psbt, text, where, unlock=unlock, given=given, to=to, full=full)
        if proof is None:
            return
        address, signature = str(where), proof
    session.output.answer({"address": address, "signature": signature}, lambda: click.echo(f"{address}\n{signature}"))


def _sign_personal(session: Session, record: AccountRecord, index: int, text: bytes, unlock: Unlock) -> tuple[str, str]:
    from bursar.cli.ethereum_accounts import ethereum_account, require_signer
    from bursar.cli.ethereum_messages import refuse_tricks
    from bursar.ethereum.message import encode_signature
    from bursar.ethereum.message_review import review_message
    from bursar.signing.checks import request_personal_message
    from bursar.signing.protocols import PersonalMessageSigner

    held, usual = ethereum_account(record), require_signer(record)
    review = review_message(text)
    refuse_tricks(review)
    if review.sign_in is not None:
        raise InvalidInputError(
            f"this is a sign-in to {review.sign_in.domain}: 'bursar eth sign-message' checks and signs it",
            code="input.message",
        )
    for caution in review.cautions:
        session.output.aside(f"! the message {caution.text}")
    with compose.signer(session, unlock, usual) as (selector, opened):
        if not isinstance(opened, PersonalMessageSigner):
            raise UnsupportedError(f"{selector} does not sign messages", operation="sign_personal_message")
        signed = request_personal_message(opened, held.path(index), text, sender=held.address(index))
    return str(held.address(index)), encode_signature(signed)


def _sign_legacy(
    session: Session, record: AccountRecord, held: BitcoinAccount, place: tuple[int, int], text: bytes, unlock: Unlock
) -> tuple[str, str]:
    from bursar.bitcoin.message import encode_signature
    from bursar.signing.checks import request_message
    from bursar.signing.protocols import MessageSigner

    with compose.signer(session, unlock, record.signer) as (selector, opened):
        if not isinstance(opened, MessageSigner):
            raise UnsupportedError(
                f"{selector} does not sign messages in this form: --format bip322 asks it by PSBT",
                operation="sign_message",
            )
        signed = request_message(opened, held.path(*place), text, public_key=held.key(*place))
    return str(held.address(*place)), encode_signature(signed, held.script_type)


@message.command(
    "verify",
    examples=(
        'bursar message verify bc1q… "H…=" "I own this address"',
        "bursar message verify 0x… 0x… - < statement.txt",
        'bursar message verify bc1p… proof.txt "I own this address"',
    ),
)
@click.argument("address")
@click.argument("signature", metavar="SIGNATURE|FILE")
@click.argument("message", metavar="MESSAGE")
@pass_session
def verify(session: Session, address: str, signature: str, message: str) -> None:
    """Check that ADDRESS signed MESSAGE ('-': standard input). A wrong signature is an error (exit code 2).

    Every form is understood: the old ones of Bitcoin, BIP-322 in all its kinds, EIP-191. Where a script is of a kind
    that cannot be judged here, that is an error of its own.
    """
    from bursar.cli.message_proofs import bitcoin_address, proof_document, proof_words, read_signature

    text, signed = read_text(message), read_signature(signature)
    if address.startswith("0x"):
        from bursar.ethereum.address import Address as EthereumAddress
        from bursar.ethereum.message import verify_message as verify_personal

        verify_personal(EthereumAddress.from_text(address), text, signed)
        session.output.answer({"address": address, "verified": True}, lambda: click.echo(f"Signed by {address}"))
        return
    from bursar.bitcoin.message import verify_message

    proof = verify_message(bitcoin_address(address), text, signed)
    document = {"address": address, "verified": True, **proof_document(proof)}
    session.output.answer(document, lambda: click.echo("\n".join([f"Signed by {address}", *proof_words(proof)])))


@message.command(
    "verify-typed",
    examples=("bursar message verify-typed 0x… 0x… permit.json",),
)
@click.argument("address")
@click.argument("signature")
@click.argument("file", type=click.Path(allow_dash=True))
@pass_session
def verify_typed(session: Session, address: str, signature: str, file: str) -> None:
    """Check that ADDRESS signed the typed data in FILE ('-': standard input). If not, it is an error (exit code 2)."""
    from bursar.cli.typed_data_review import read_typed_data
    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import verify_typed_data

    typed = read_typed_data(file)
    verify_typed_data(Address.from_text(address), typed, signature)
    session.output.answer({"address": address, "verified": True}, lambda: click.echo(f"Signed by {address}"))


message.add_command(prove)
message.add_command(verify_funds)
message.add_command(sign_typed)
