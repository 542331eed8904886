"""``bursar eth delegate``: let an account run a contract's code, end that, or do so for another account (EIP-7702)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.advice import after_verdict
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import (
    action_options,
    carry_out,
    chain_of,
    ethereum_account,
    node,
    payee,
    require_signer,
)
from bursar.cli.lazy import command, pass_session
from bursar.cli.transferring import Sending
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from bursar.cli.ethereum_sending import How
    from bursar.cli.session import Session
    from bursar.ethereum.authorization import SignedAuthorization
    from bursar.wallet.delegations import PlannedAuthorization
    from bursar.wallet.records import AccountRecord
    from bursar.wallet.wallet import Wallet

_LONGEST = 64 * 1024


@command(
    "delegate",
    examples=(
        "bursar eth delegate gas 0x…                          # from now on, gas runs this contract's code",
        "bursar eth delegate gas --revoke",
        "bursar eth delegate gas 0x… --export signed.json     # for somebody else to send, and to pay for",
        "bursar eth delegate sponsor --import signed.json",
    ),
)
@click.argument("account", shell_complete=account_names)
@click.argument("contract", required=False)
@click.option("--revoke", is_flag=True, help="Give the account back to its key alone.")
@click.option("--any-chain", is_flag=True, help="Have it count on every chain where the nonce fits.")
@click.option("--export", type=click.Path(), metavar="FILE", help="Sign, and write it to a new FILE; send nothing.")
@click.option(
    "--import",
    "given",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Send what other accounts signed.",
)
@action_options
@pass_session
def delegate(
    session: Session,
    account: str,
    contract: str | None,
    revoke: bool,
    any_chain: bool,
    export: str | None,
    given: str | None,
    how: How,
) -> None:
    """Let ACCOUNT run the code of CONTRACT, which may then do anything with it, its tokens included.

    What is signed first is the authorization; it is put to the policy (allow-delegations), as is the transaction that
    carries it. With --export it is signed for another sender, who pays: it is good as long as the account sends nothing
    else, and whoever has the file can use it. A signer that signs authorizations and no such transactions (a Ledger)
    exports, and another account imports.
    """
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    if sum((contract is not None, revoke, given is not None)) != 1:
        raise InvalidInputError("give CONTRACT, --revoke or --import FILE", code="input.usage")
    if given is not None:
        if any_chain or export is not None:
            raise InvalidInputError("--import sends what is signed: no --any-chain, no --export", code="input.usage")
        _sponsor(session, wallet, record, given, how)
        return
    if export is not None and Path(export).exists():
        raise InvalidInputError(f"{export} exists: choose another name for the output", code="input.name")
    if not how.dry_run:
        require_signer(record)
    code = None if contract is None else str(payee(session, contract, chain_of(record))[0])
    known = _known(wallet, record, how.key)
    with Sending(session, wallet, record, unlock=how.unlock, yes=how.yes, key=how.key) as sending:
        compose.synchronise(session, wallet, record)
        backend = node(session, record)
        if known is not None:
            sending.finish(wallet.plan_of(known), backend)
            return
        planned = wallet.plan_authorization(
            record.name, code, backend, any_chain=any_chain, sponsored=export is not None, source=how.source
        )
        _show(session, wallet, planned, how)
        if how.dry_run:
            document = {"dry_run": True, "authorization": _unsigned(planned)}
            session.output.answer(document, lambda: click.echo("Dry run: nothing was signed or sent."))
            return
        rules = compose.policy(session)
        signed = wallet.sign_authorization(planned, signer=sending.signer(), policy=rules)
        if export is not None:
            _export(session, signed, export)
            return
        _send(session, wallet, record, planned, signed, how, sending)


def _send(
    session: Session,
    wallet: Wallet,
    record: AccountRecord,
    planned: PlannedAuthorization,
    signed: SignedAuthorization,
    how: How,
    sending: Sending,
) -> None:
    from bursar.cli.ethereum_sending import transfer_of
    from bursar.wallet.actions import Delegate

    transfer = transfer_of(session, record, action=Delegate((signed,)), how=how, source=str(planned.authority))
    backend = node(session, record)
    try:
        sending.finish(wallet.plan(transfer, backend), backend)
    except UnsupportedError as error:
        if not error.operation.startswith("transaction type"):
            raise
        raise UnsupportedError(
            f"{error.message}. It does sign the authorization: run this with --export FILE, and send that from another "
            "account with --import FILE",
            operation=error.operation,
            model=error.model,
        ) from error


def _known(wallet: Wallet, record: AccountRecord, key: str | None) -> str | None:
    """The transfer made under an idempotency key before: its authorization is signed already."""
    if key is None:
        return None
    made = (one for one in wallet.transfers(record.name) if one.transfer.idempotency_key == key)
    found = next(made, None)
    if found is not None and (found.transfer.action is None or found.transfer.action.kind != "delegate"):
        raise InvalidInputError(f"idempotency key {key[:80]!r} was used for something else", code="input.usage")
    return None if found is None else found.id


def _show(session: Session, wallet: Wallet, planned: PlannedAuthorization, how: How) -> None:
    from bursar.policy.render import review_text
    from bursar.policy.verdict import require_allowed

    rules, past = compose.policy(session), wallet.policy_history()
    verdict = rules.decide(planned.review, past)
    text = review_text(planned.review).replace("Transfer to approve", "Authorization to sign", 1)
    text += f"\n{rules.explain(planned.review, past)}\n"
    text += after_verdict(verdict, planned.review, session.home.policy, past)
    asks = not (how.yes or how.dry_run)
    (session.human.tell if asks else session.output.aside)(text)
    require_allowed(verdict)
    if asks and session.human.ask("Sign this authorization? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")


def _unsigned(planned: PlannedAuthorization) -> dict[str, object]:
    wanted = planned.authorization
    return {
        "authority": str(planned.authority),
        "delegate": str(wanted.delegate),
        "nonce": wanted.nonce,
        "chain_id": wanted.chain_id,
    }


def _export(session: Session, signed: SignedAuthorization, name: str) -> None:
    from bursar.ethereum.authorization_json import authorization_to_rpc

    made = authorization_to_rpc(signed)
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(made, indent=2) + "\n")
    document = {"authority": str(signed.authority), "authorization": made, "file": name}
    words = f"Written to {name}: whoever has it can let {signed.authority} run that code."
    session.output.answer(document, lambda: click.echo(words))


def _sponsor(session: Session, wallet: Wallet, record: AccountRecord, given: str, how: How) -> None:
    from bursar.ethereum.authorization_json import read_authorizations
    from bursar.wallet.actions import Delegate

    if given == "-":
        content = sys.stdin.buffer.read(_LONGEST + 1)
    else:
        with Path(given).open("rb") as file:
            content = file.read(_LONGEST + 1)
    held = read_authorizations(content)
    backend = node(session, record)
    for one in held:
        count, wanted = backend.nonce(one.authority), one.authorization.nonce
        own = any(row.address == str(one.authority) for row in wallet.addresses(record.name))
        if count != wanted and not own:
            session.output.aside(
                f"The authorization of {one.authority} is for its nonce {wanted}, which is {count} now: as it stands "
                "it would have no effect."
            )
    carry_out(session, wallet, record, action=Delegate(held), how=how)
