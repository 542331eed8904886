"""``bursar message``: messages and typed data signed and verified (BIP-137, BIP-322, EIP-191, EIP-712)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.commands.message_funds import prove, verify_funds
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.message_proofs import file_options, read_text
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.typed_data import TypedData
    from bursar.wallet.records import AccountRecord

_LARGEST = 1_000_000


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
    from bursar.ethereum.account import EthereumAccount
    from bursar.keys.scheme import Scheme

    text = read_text(message)
    record = compose.wallet(session).account(account)
    held = record.account
    old = isinstance(held, BitcoinAccount) and held.scheme is not Scheme.BIP86
    if form == "auto":
        form = "legacy" if old and not (full or given or to or sequence or locktime) else "bip322"
    if isinstance(held, EthereumAccount):
        if change or full or given or to or sequence or locktime:
            raise InvalidInputError("these options are for bitcoin addresses", code="input.usage")
        address, signature = _sign_personal(session, record, held, index, text, unlock)
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


def _sign_personal(
    session: Session, record: AccountRecord, held: EthereumAccount, index: int, text: bytes, unlock: Unlock
) -> tuple[str, str]:
    from bursar.ethereum.message import encode_signature
    from bursar.signing.checks import request_personal_message
    from bursar.signing.protocols import PersonalMessageSigner

    with compose.signer(session, unlock, record.signer) as (selector, opened):
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
        return TypedData.from_json(read_text("-"))
    with Path(file).open("rb") as opened:
        return TypedData.from_json(opened.read(_LARGEST + 1))


message.add_command(prove)
message.add_command(verify_funds)
