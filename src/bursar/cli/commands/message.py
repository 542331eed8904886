"""``bursar message``: prove that an address is yours, and check such a proof (BIP-137, EIP-191)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError

if TYPE_CHECKING:
    from bursar.bitcoin.address import Address as BitcoinAddress
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session

_LARGEST = 1_000_000


@group(
    "message",
    examples=(
        'bursar message sign savings 0 "I own this address"',
        'bursar message verify bc1q… "H…=" "I own this address"',
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
