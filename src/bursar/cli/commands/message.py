"""``bursar message``: messages and typed data signed and verified (BIP-137, EIP-191, EIP-712)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from bursar.bitcoin.address import Address as BitcoinAddress
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.ethereum.typed_data import TypedData

_LARGEST = 1_000_000


@group(
    "message",
    examples=(
        'bursar message sign savings 0 "I own this address"',
        'bursar message verify bc1q… "H…=" "I own this address"',
        "bursar message sign-typed permit.json --account gas",
    ),
)
def message() -> None:
    """Messages signed with an address's key."""


@message.command(
    "sign",
    examples=('bursar message sign savings 0 "I own this address"', "bursar message sign gas 0 - < statement.txt"),
)
@click.argument("account", shell_complete=account_names)
@click.argument("index", type=click.IntRange(0, 2**31 - 1))
@click.argument("message", metavar="MESSAGE")
@signer_options
@pass_session
def sign(session: Session, account: str, index: int, message: str, unlock: Unlock) -> None:
    """Sign MESSAGE ('-': standard input) with the key of ACCOUNT's address at INDEX.

    Bitcoin addresses sign in the legacy form (BIP-137), which taproot addresses do not have; Ethereum addresses sign
    personal messages (EIP-191).
    """
    from bursar.bitcoin import message as bitcoin_message
    from bursar.ethereum import message as ethereum_message
    from bursar.ethereum.account import EthereumAccount
    from bursar.keys.scheme import Scheme
    from bursar.signing.checks import request_message, request_personal_message
    from bursar.signing.protocols import MessageSigner, PersonalMessageSigner

    text = _text(message)
    record = compose.wallet(session).account(account)
    held = record.account
    if getattr(held, "scheme", None) is Scheme.BIP86:
        raise InvalidInputError("taproot addresses do not sign messages in this form", code="input.message")
    with compose.signer(session, unlock, record.signer) as (selector, opened):
        if isinstance(held, EthereumAccount):
            if not isinstance(opened, PersonalMessageSigner):
                raise UnsupportedError(f"{selector} does not sign messages", operation="sign_personal_message")
            address = str(held.address(index))
            signature = ethereum_message.encode_signature(
                request_personal_message(opened, held.path(index), text, sender=held.address(index))
            )
        else:
            if not isinstance(opened, MessageSigner):
                raise UnsupportedError(f"{selector} does not sign messages", operation="sign_message")
            address = str(held.address(0, index))
            signature = bitcoin_message.encode_signature(
                request_message(opened, held.path(0, index), text, public_key=held.key(0, index)), held.script_type
            )
    session.output.answer({"address": address, "signature": signature}, lambda: click.echo(f"{address}\n{signature}"))


@message.command(
    "verify",
    examples=(
        'bursar message verify bc1q… "H…=" "I own this address"',
        "bursar message verify 0x… 0x… - < statement.txt",
    ),
)
@click.argument("address")
@click.argument("signature")
@click.argument("message", metavar="MESSAGE")
@pass_session
def verify(session: Session, address: str, signature: str, message: str) -> None:
    """Check that ADDRESS signed MESSAGE ('-': standard input). A wrong signature is an error (exit code 2)."""
    from bursar.bitcoin import message as bitcoin_message
    from bursar.ethereum import message as ethereum_message
    from bursar.ethereum.address import Address as EthereumAddress

    text = _text(message)
    if address.startswith("0x"):
        ethereum_message.verify_message(EthereumAddress.from_text(address), text, signature)
    else:
        bitcoin_message.verify_message(_bitcoin_address(address), text, signature)
    session.output.answer({"address": address, "verified": True}, lambda: click.echo(f"Signed by {address}"))


@message.command(
    "sign-typed",
    examples=(
        "bursar message sign-typed permit.json --account gas",
        "bursar message sign-typed - --account gas --yes --password-fd 3 3<password.txt < order.json",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--account", required=True, shell_complete=account_names, help="Ethereum account that signs.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Index of its address (default: 0).")
@click.option("--any-chain", is_flag=True, help="Accept a domain that names no chain: the signature counts on all.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@signer_options
@pass_session
def sign_typed(
    session: Session, file: str, account: str, index: int, any_chain: bool, yes: bool, unlock: Unlock
) -> None:
    """Review and sign the typed data (EIP-712) in FILE, JSON as for eth_signTypedData_v4; '-' is standard input.

    Every field is shown, with what the signature lets others do. Permits (EIP-2612, Permit2) and payments by signature
    are put to the policy as payments of their whole amount, and what only looks like one as a call nobody can read.
    """
    from bursar.cli.typed_data_review import typed_data_review, typed_data_text
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.message import encode_signature
    from bursar.policy.verdict import require_allowed
    from bursar.signing.checks import request_typed_data
    from bursar.signing.protocols import TypedDataSigner

    typed = _typed(file)
    wallet = compose.wallet(session)
    record = wallet.account(account)
    held = record.account
    if not isinstance(held, EthereumAccount):
        raise InvalidInputError(f"account {record.name!r} is a bitcoin account", code="input.account")
    typed.check_chain(held.chain_id, absent=any_chain)
    address = held.address(index)
    tokens = {token.contract: token for token in wallet.tokens() if token.chain_id == held.chain_id}
    text = typed_data_text(typed, record.name, address, tokens)
    review = typed_data_review(typed, record.name, held.chain_id, tokens)
    if review is not None:
        rules, past = compose.policy(session), wallet.policy_history()
        text += f"\n{rules.explain(review, past)}\n"
    (session.output.aside if yes else session.human.tell)(text)
    if review is not None:
        require_allowed(rules.decide(review, past))
    if not yes and session.human.ask("Sign it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    with compose.signer(session, unlock, record.signer) as (selector, opened):
        if not isinstance(opened, TypedDataSigner):
            raise UnsupportedError(f"{selector} does not sign typed data", operation="sign_typed_data")
        signed = request_typed_data(
            opened, held.path(index), typed, sender=address, chain_id=held.chain_id, any_chain=any_chain
        )
    signature = encode_signature(signed)
    document = {"address": str(address), "signature": signature, "digest": f"0x{typed.digest().hex()}"}
    session.output.answer(document, lambda: click.echo(f"{address}\n{signature}"))


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
    from bursar.ethereum.address import Address
    from bursar.ethereum.typed_data import verify_typed_data

    typed = _typed(file)
    verify_typed_data(Address.from_text(address), typed, signature)
    session.output.answer({"address": address, "verified": True}, lambda: click.echo(f"Signed by {address}"))


def _typed(file: str) -> TypedData:
    from bursar.ethereum.typed_data import TypedData

    if file == "-":
        return TypedData.from_json(_text("-"))
    with Path(file).open("rb") as opened:
        return TypedData.from_json(opened.read(_LARGEST + 1))


def _bitcoin_address(text: str) -> BitcoinAddress:
    """On whichever network it belongs to: the network does not matter to a signature."""
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

    for network in (Network.TESTNET, Network.REGTEST):
        try:
            return Address.from_text(text, network)
        except InvalidInputError:
            continue
    return Address.from_text(text, Network.MAIN)


def _text(argument: str) -> bytes:
    if argument != "-":
        return argument.encode()
    data = sys.stdin.buffer.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InvalidInputError(f"the message is longer than {_LARGEST} bytes", code="input.message")
    return data
