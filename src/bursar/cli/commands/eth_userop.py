"""``bursar eth userop``: user operations of smart accounts hashed, reviewed, signed and verified (ERC-4337)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.completion import account_names
from bursar.cli.lazy import group, pass_session
from bursar.cli.prompts import signer_options
from bursar.cli.user_operations import operation_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address_account import AddressAccount
    from bursar.ethereum.user_operation import EntryPoint, UserOperation


@group(
    "userop",
    examples=(
        "bursar eth userop hash operation.json --version 0.7 --chain base",
        "bursar eth userop sign operation.json --version 0.8 --account gas --to signed.json",
        "bursar eth userop verify signed.json --version 0.8 --owner 0x…",
    ),
)
def userop() -> None:
    """User operations: what smart accounts are asked to do through an entry point."""


@userop.command(
    "hash",
    examples=(
        "bursar eth userop hash operation.json --version 0.6",
        "bursar eth userop hash - --version 0.7 --chain base --json < operation.json",
    ),
)
@operation_options
@pass_session
def hash_(
    session: Session, file: str, version: str, which: str | None, contract: str | None, delegate: str | None
) -> None:
    """Print the userOpHash of the operation in FILE, JSON as for eth_sendUserOperation; '-' is standard input."""
    from bursar.cli.user_operations import read_operation

    one, point = read_operation(session, file, version=version, which=which, contract=contract, delegate=delegate)
    digest = f"0x{one.digest(point).hex()}"
    document = {"user_op_hash": digest, "entry_point": str(point.address), "chain_id": point.chain_id}
    if version == "0.8":
        typed = one.typed_data(point)
        document |= {
            "domain_hash": f"0x{typed.domain_separator.hex()}",
            "message_hash": f"0x{typed.message_hash.hex()}",
        }
    session.output.answer(document, lambda: click.echo(digest))


@userop.command(
    "sign",
    examples=(
        "bursar eth userop sign operation.json --version 0.8 --account gas --to signed.json",
        "bursar eth userop sign operation.json --version 0.7 --chain base --account gas --json",
    ),
)
@operation_options
@click.option("--account", required=True, shell_complete=account_names, help="Account that owns the smart account.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), default=0, help="Index of its address (default: 0).")
@click.option(
    "--as",
    "form",
    type=click.Choice(["auto", "typed", "personal"]),
    default="auto",
    show_default=True,
    help="What the smart account wants signed; auto: typed data in 0.8, before it the hash as a message.",
)
@click.option("--to", "target", type=click.Path(), metavar="FILE", help="Write the signed operation to a new FILE.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@signer_options
@pass_session
def sign(
    session: Session,
    file: str,
    version: str,
    which: str | None,
    contract: str | None,
    delegate: str | None,
    account: str,
    index: int,
    form: str,
    target: str | None,
    yes: bool,
    unlock: Unlock,
) -> None:
    """Review the user operation in FILE and sign it; the signature is put into the operation, nothing is sent.

    What its calldata does is put to the policy: calls of execute and executeBatch are unfolded, and what nobody can
    read needs a rule (allow-calls) that names the smart account.
    """
    from bursar.cli import safe_files
    from bursar.cli.advice import after_verdict
    from bursar.cli.ethereum_accounts import ethereum_account, require_signer
    from bursar.cli.user_operations import operation_text, read_operation, review_of
    from bursar.policy.verdict import require_allowed

    if target is not None:
        safe_files.require_new(target)
    one, point = read_operation(session, file, version=version, which=which, contract=contract, delegate=delegate)
    if form == "typed" and version != "0.8":
        raise InvalidInputError("only entry point 0.8 has typed data: sign it --as personal", code="input.usage")
    wallet = compose.wallet(session)
    record = wallet.account(account)
    held = ethereum_account(record)
    if held.chain_id != point.chain_id:
        raise InvalidInputError(
            f"the operation is for chain {point.chain_id}, account {record.name!r} on {held.chain_id}",
            code="input.account",
        )
    signs_for = require_signer(record)
    review = review_of(session, one, point, record.name)
    rules, past = compose.policy(session), wallet.policy_history(signature=one.digest(point))
    text = f"{operation_text(one, point, review)}\n{rules.explain(review, past)}\n"
    verdict = rules.decide(review, past)
    text += after_verdict(verdict, review, session.home.policy, past)
    (session.output.aside if yes else session.human.tell)(text)
    require_allowed(verdict)
    if not yes and session.human.ask(f"Sign it as {held.address(index)}? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    wallet.approve_signature(review, rules, digest=one.digest(point))
    typed = form == "typed" or (form == "auto" and version == "0.8")
    with compose.signer(session, unlock, signs_for) as (selector, opened):
        signature = _signed(selector, opened, held, index, one, point, typed=typed)
    marked = signature.compact() + bytes((27 + (signature.y_parity or 0),))
    made = one.with_signature(marked).to_rpc(point)
    written = json.dumps(made, indent=2) + "\n"
    if target is not None:
        safe_files.write_new(target, written)
        session.output.aside(f"Written to {target}")
    document = {
        "owner": str(held.address(index)),
        "user_op_hash": f"0x{one.digest(point).hex()}",
        "signature": f"0x{marked.hex()}",
        "user_operation": made,
    }
    session.output.answer(document, lambda: click.echo(written, nl=False) if target is None else None)


def _signed(
    selector: str,
    opened: object,
    held: EthereumAccount | AddressAccount,
    index: int,
    one: UserOperation,
    point: EntryPoint,
    *,
    typed: bool,
) -> EcdsaSignature:
    from bursar.signing.checks import request_personal_message, request_typed_data
    from bursar.signing.protocols import PersonalMessageSigner, TypedDataSigner

    sender = held.address(index)
    if typed:
        if not isinstance(opened, TypedDataSigner):
            raise UnsupportedError(f"{selector} does not sign typed data", operation="sign_typed_data")
        data = one.typed_data(point)
        return request_typed_data(opened, held.path(index), data, sender=sender, chain_id=point.chain_id)
    if not isinstance(opened, PersonalMessageSigner):
        raise UnsupportedError(f"{selector} does not sign messages", operation="sign_personal_message")
    return request_personal_message(opened, held.path(index), one.digest(point), sender=sender)


@userop.command(
    "verify",
    examples=(
        "bursar eth userop verify signed.json --version 0.8 --owner 0x…",
        "bursar eth userop verify signed.json --version 0.7 --chain base",
    ),
)
@operation_options
@click.option("--owner", metavar="ADDRESS", help="Whose key must have signed; without it the smart account is asked.")
@pass_session
def verify(
    session: Session,
    file: str,
    version: str,
    which: str | None,
    contract: str | None,
    delegate: str | None,
    owner: str | None,
) -> None:
    """Check the signature in the operation in FILE. A wrong one is an error (exit code 2).

    With --owner, by the key: as typed data, or as a message. Without it, by the smart account on its chain
    (validateUserOp), which must exist there.
    """
    from bursar.cli.user_operations import read_operation
    from bursar.ethereum.address import Address
    from bursar.ethereum.user_operation_checks import account_accepts, check_owner

    one, point = read_operation(session, file, version=version, which=which, contract=contract, delegate=delegate)
    document: dict[str, object] = {"user_op_hash": f"0x{one.digest(point).hex()}", "verified": True}
    if owner is not None:
        form = check_owner(one, point, Address.from_text(owner))
        session.output.answer(
            {**document, "owner": owner, "as": form}, lambda: click.echo(f"Signed by {owner}, as {form}")
        )
        return
    backend = compose.ethereum_node(session, point.chain_id)
    with session.output.progress("asking the smart account"):
        times = account_accepts(one, point, lambda to, data: backend.call(to, data, sender=point.address))
    document |= {"valid_after": times.after, "valid_until": times.until}
    session.output.answer(document, lambda: click.echo(f"{one.sender} accepts the signature{times.words}"))
