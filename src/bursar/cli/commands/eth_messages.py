"""``bursar eth sign-message``: personal messages, sign-ins and data for a contract (EIP-191, EIP-4361)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.address import Address
    from bursar.ethereum.sign_in import SignInMessage
    from bursar.keys.path import DerivationPath
    from bursar.signing.protocols import Signer


@command(
    "sign-message",
    examples=(
        'bursar eth sign-message "I own this address" --account gas',
        "bursar eth sign-message --file login.txt --account gas --domain app.example",
        "bursar eth sign-message --hex 0xc0ffee --account gas --validator 0x…",
        "bursar eth sign-message - --account gas --yes --password-fd 3 3<password.txt < statement.txt",
    ),
)
@click.argument("message", required=False)
@click.option("--account", required=True, shell_complete=account_names, help="Ethereum account that signs.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Index of its address (default: 0).")
@click.option("--file", type=click.Path(), metavar="FILE", help="Sign the bytes of FILE, without changing any.")
@click.option("--hex", "hexadecimal", is_flag=True, help="The message is written in hexadecimal: sign the bytes.")
@click.option("--validator", metavar="ADDRESS", help="Sign for this contract only (version 0x00), not for people.")
@click.option("--domain", help="Sign-in: the site that asks, as the browser's address bar shows it.")
@click.option("--uri", help="Sign-in: the URI it must name.")
@click.option("--nonce", help="Sign-in: the nonce it must have.")
@click.option("--any-chain", is_flag=True, help="Sign-in: take one that names another chain than the account's.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@signer_options
@pass_session
def sign_message(
    session: Session,
    message: str | None,
    account: str,
    index: int,
    file: str | None,
    hexadecimal: bool,
    validator: str | None,
    domain: str | None,
    uri: str | None,
    nonce: str | None,
    any_chain: bool,
    yes: bool,
    unlock: Unlock,
) -> None:
    """Show MESSAGE ('-': standard input) and sign it as Ethereum wallets do (EIP-191, "personal_sign").

    A sign-in (EIP-4361) must be for the site that asks, for this account and its chain, and valid now. Not signed are
    transactions in disguise, 32 bytes that nobody can read, and sign-ins that leave their form.
    """
    from bursar.cli import ethereum_messages as messages
    from bursar.cli.ethereum_accounts import ethereum_account, require_signer
    from bursar.ethereum.address import Address
    from bursar.ethereum.message import encode_compact_signature, encode_signature, personal_digest, validator_digest
    from bursar.ethereum.message_review import review_message

    data = messages.read_message(message, hexadecimal=hexadecimal, file=file)
    record = compose.wallet(session).account(account)
    held = ethereum_account(record)
    usual, address = require_signer(record), held.address(index)
    contract = None if validator is None else Address.from_text(validator)
    review = review_message(data)
    remarks: list[str] = []
    if contract is None:
        messages.refuse_tricks(review)
        digest = personal_digest(data)
        if review.sign_in is not None:
            asked_by = _site(session, review.sign_in, domain, yes)
            remarks = messages.check_sign_in(
                review.sign_in,
                domain=asked_by,
                address=address,
                chain_id=None if any_chain else held.chain_id,
                uri=uri,
                nonce=nonce,
            )
    else:
        digest = validator_digest(contract, data)
        remarks = [f"is for the contract {contract}: only its code says what the signature is good for"]
    if (review.sign_in is None or contract is not None) and (domain or uri or nonce or any_chain):
        raise InvalidInputError(
            "--domain, --uri, --nonce and --any-chain are for a sign-in, and this message is none", code="input.usage"
        )
    (session.output.aside if yes else session.human.tell)(
        messages.message_words(review, record.name, address, digest, remarks)
    )
    if not yes and session.human.ask("Sign it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    with compose.signer(session, unlock, usual) as (selector, opened):
        signed = _signed(opened, selector, held.path(index), contract, data, address)
    signature = encode_signature(signed)
    document = {
        "address": str(address),
        "signature": signature,
        "compact": encode_compact_signature(signed),
        "digest": f"0x{digest.hex()}",
        "version": "0x45" if contract is None else "0x00",
        "validator": None if contract is None else str(contract),
        "sign_in": None if contract is not None else messages.sign_in_document(review.sign_in),
    }
    session.output.answer(document, lambda: click.echo(f"{address}\n{signature}"))


def _site(session: Session, message: SignInMessage, given: str | None, yes: bool) -> str:
    """Who asks, in the human's words: whoever only nods at what a message says of itself signs in for a thief."""
    from bursar.cli.ethereum_messages import site

    if given is None:
        if yes:
            raise InvalidInputError(
                f"this is a sign-in to {message.domain}: say which site asks for it, with --domain", code="input.usage"
            )
        given = session.human.ask("This is a sign-in. Which site asks for it? As your browser's address bar shows it")
    return site(given)


def _signed(
    opened: Signer, selector: str, path: DerivationPath, contract: Address | None, data: bytes, sender: Address
) -> EcdsaSignature:
    from bursar.signing.checks import request_personal_message
    from bursar.signing.protocols import PersonalMessageSigner
    from bursar.signing.validator_messages import request_validator_message

    if contract is not None:
        return request_validator_message(opened, path, contract, data, sender=sender)
    if not isinstance(opened, PersonalMessageSigner):
        raise UnsupportedError(f"{selector} does not sign messages", operation="sign_personal_message")
    return request_personal_message(opened, path, data, sender=sender)
