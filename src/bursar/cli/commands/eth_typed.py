"""``bursar eth sign-typed``: typed data (EIP-712) reviewed field by field, put to the policy, and signed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.clear_words import names_option
from bursar.cli.completion import account_names
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session


@command(
    "sign-typed",
    examples=(
        "bursar eth sign-typed permit.json --account gas",
        "bursar eth sign-typed - --account gas --yes --password-fd 3 3<password.txt < order.json",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--account", required=True, shell_complete=account_names, help="Ethereum account that signs.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Index of its address (default: 0).")
@click.option("--any-chain", is_flag=True, help="Accept a domain that names no chain: the signature counts on all.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@names_option
@signer_options
@pass_session
def sign_typed(
    session: Session, file: str, account: str, index: int, any_chain: bool, yes: bool, unlock: Unlock
) -> None:
    """Review and sign the typed data (EIP-712) in FILE, JSON as for eth_signTypedData_v4; '-' is standard input.

    Every field is shown, with what the signature lets others do. Permits (EIP-2612, Permit2) are put to the policy as
    allowances, payments by signature as payments, and what only looks like one as a call nobody can read.
    """
    from bursar.cli.advice import after_verdict
    from bursar.cli.clear_words import words_of_typed_data
    from bursar.cli.ethereum_accounts import coin_symbol, ethereum_account, require_signer
    from bursar.cli.typed_data_review import read_typed_data, typed_data_text
    from bursar.ethereum.message import encode_signature
    from bursar.policy.typed_data import gives_nothing, review_of_typed_data
    from bursar.policy.verdict import require_allowed
    from bursar.signing.checks import request_typed_data
    from bursar.signing.protocols import TypedDataSigner

    typed = read_typed_data(file)
    wallet = compose.wallet(session)
    record = wallet.account(account)
    held = ethereum_account(record)
    usual = require_signer(record)
    typed.check_chain(held.chain_id, absent=any_chain)
    address = held.address(index)
    tokens = {token.contract: token for token in wallet.tokens() if token.chain_id == held.chain_id}
    review = review_of_typed_data(
        typed,
        account=record.name,
        chain_id=held.chain_id,
        tokens=tokens,
        symbol=coin_symbol(session, held.chain_id),
        now=int(time.time()),
        signer=address,
    )
    clear = words_of_typed_data(session, wallet, typed, address, held.chain_id)
    text = typed_data_text(typed, record.name, address, tokens, review, clear=clear.text)
    free = gives_nothing(review)
    if not free:
        rules, past = compose.policy(session), wallet.policy_history(signature=typed.digest())
        verdict = rules.decide(review, past)
        text += f"\n{rules.explain(review, past)}\n{after_verdict(verdict, review, session.home.policy, past)}"
    (session.output.aside if yes else session.human.tell)(text)
    if not free:
        require_allowed(verdict)
    if not yes and session.human.ask("Sign it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    if not free:
        wallet.approve_signature(review, rules, digest=typed.digest())
    with compose.signer(session, unlock, usual) as (selector, opened):
        if not isinstance(opened, TypedDataSigner):
            raise UnsupportedError(f"{selector} does not sign typed data", operation="sign_typed_data")
        signed = request_typed_data(
            opened, held.path(index), typed, sender=address, chain_id=held.chain_id, any_chain=any_chain
        )
    signature = encode_signature(signed)
    document = {
        "address": str(address),
        "signature": signature,
        "digest": f"0x{typed.digest().hex()}",
        "clear_signing": clear.to_json(),
    }
    session.output.answer(document, lambda: click.echo(f"{address}\n{signature}"))
