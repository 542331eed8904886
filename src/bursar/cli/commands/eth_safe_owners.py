"""What owners do with a Safe's proposal: sign it, bring signatures together, check them, execute it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.clear_words import names_option
from bursar.cli.completion import account_names
from bursar.cli.ethereum_sending import action_options
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.errors import InvalidInputError, UnsupportedError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.ethereum_sending import How
    from bursar.cli.prompts import Unlock
    from bursar.cli.safe_chain import Standing
    from bursar.cli.session import Session
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.address import Address
    from bursar.ethereum.address_account import AddressAccount
    from bursar.ethereum.safe import OwnerSignature, Proposal

_LOOKED_AT = 20  # addresses of an account that are looked for among the owners


@command(
    "sign",
    examples=(
        "bursar eth safe sign pay.json --account board",
        "bursar eth safe sign pay.json --account board --to mine.json",
        "bursar eth safe sign pay.json --account board --allow-delegate 0x526643F69b81B008F46d95CD5ced5eC0edFFDaC6",
    ),
)
@click.argument("file", type=click.Path())
@click.option("--account", required=True, shell_complete=account_names, help="Account one of whose addresses owns it.")
@click.option("--index", type=click.IntRange(0, 2**31 - 1), help="Index of that address, where it is not clear.")
@click.option("--to", "target", type=click.Path(), metavar="FILE", help="Write the signature alone to a new FILE.")
@click.option("--personal", is_flag=True, help="Sign the hash as a message, for signers without typed data.")
@click.option(
    "--allow-delegate", "allowed", multiple=True, metavar="ADDRESS", help="Let this contract run as the Safe."
)
@click.option("--any-chain", is_flag=True, help="Accept a Safe before 1.3.0, whose signatures count on every chain.")
@click.option("--offline", is_flag=True, help="Do not ask the chain; owners and nonce are then what the file says.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@names_option
@signer_options
@pass_session
def sign(
    session: Session,
    file: str,
    account: str,
    index: int | None,
    target: str | None,
    personal: bool,
    allowed: Sequence[str],
    any_chain: bool,
    offline: bool,
    yes: bool,
    unlock: Unlock,
) -> None:
    """Review the proposal in FILE and sign it as an owner; the signature is added to FILE.

    The hashes are computed here and by the Safe's contract, and shown to be compared with the device's. The policy sees
    what the Safe would do, batches unfolded. Code of another contract that would run as the Safe itself (a delegate
    call) is refused unless --allow-delegate names it and the policy allows calling it (allow-calls).
    """
    from bursar.cli import safe_files
    from bursar.cli.advice import after_verdict
    from bursar.cli.clear_words import words_of_safe
    from bursar.cli.ethereum_accounts import ethereum_account, require_signer
    from bursar.cli.safe_chain import stand
    from bursar.cli.safe_making import delegates_of
    from bursar.cli.safe_review import proposal_text, review_of
    from bursar.ethereum.safe import OwnerConfirmation
    from bursar.policy.verdict import require_allowed

    if target is not None:
        safe_files.require_new(target)
    before = safe_files.read_whole(file)
    if before.transaction.safe.any_chain and not any_chain:
        raise InvalidInputError(
            "a signature for this Safe names no chain and counts on every one: accept that with --any-chain",
            code="input.safe",
        )
    standing = stand(session, before, offline=offline)
    tx, delegates = standing.proposal.transaction, delegates_of(allowed)
    tx.typed_data(delegates=delegates)  # refuses delegate calls before anything is shown
    wallet = compose.wallet(session)
    record = wallet.account(account)
    held = ethereum_account(record)
    if held.chain_id != tx.safe.chain_id:
        raise InvalidInputError(
            f"the Safe is on chain {tx.safe.chain_id}, account {record.name!r} on {held.chain_id}", code="input.account"
        )
    signs_for = require_signer(record)
    place = _owned(held, standing, index)
    review = review_of(session, standing, record.name, delegates=delegates)
    rules, past = compose.policy(session), wallet.policy_history()
    clear = words_of_safe(session, wallet, tx)
    text = f"{proposal_text(standing, review, clear=clear.text)}\n{rules.explain(review, past)}\n"
    verdict = rules.decide(review, past)
    text += after_verdict(verdict, review, session.home.policy, past)
    (session.output.aside if yes else session.human.tell)(text)
    require_allowed(verdict)
    if not yes and session.human.ask(f"Sign it as {held.address(place)}? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")
    with compose.signer(session, unlock, signs_for) as (selector, opened):
        made = _signature(selector, opened, held, place, standing.proposal, delegates, personal=personal)
    after = standing.proposal.add(made)
    if target is not None:
        safe_files.write_new(target, OwnerConfirmation(tx.digest(), made).to_text())
    else:
        after = _with_news(after, before, safe_files.read_whole(file))
        safe_files.replace(file, after.to_text())
    missing = after.confirmations.missing
    answer = {
        "owner": str(made.owner),
        "signature": f"0x{made.body.hex()}",
        "safe_tx_hash": f"0x{tx.digest().hex()}",
        "file": target or file,
        "missing": missing,
        "clear_signing": clear.to_json(),
    }
    still = f"{missing} more needed" if missing else "enough to execute it"
    session.output.answer(answer, lambda: click.echo(f"Signed as {made.owner}, {still}: {target or file}"))


def _with_news(after: Proposal, before: Proposal, now: Proposal) -> Proposal:
    """With what others added to the file while this signer was asked."""
    known = {*before.confirmations.signatures, *after.confirmations.signatures}
    for one in now.confirmations.signatures:
        if one not in known and one.owner in after.confirmations.owners and now.hashes == after.hashes:
            after = after.add(one)
    return after


def _owned(held: EthereumAccount | AddressAccount, standing: Standing, index: int | None) -> int:
    from bursar.ethereum.address import Address

    owners = standing.proposal.confirmations.owners
    if index is None:
        own = map(Address.from_text, held.addresses(0, _LOOKED_AT))
        places = [place for place, address in enumerate(own) if address in owners]
        if len(places) == 1:
            return places[0]
        if places:
            named = ", ".join(f"{place} ({held.address(place)})" for place in places)
            raise InvalidInputError(
                f"several addresses own the Safe: name one with --index, {named}", code="input.safe"
            )
        raise InvalidInputError(
            f"none of the account's first {_LOOKED_AT} addresses owns the Safe: see 'bursar eth safe show'",
            code="input.safe",
        )
    if held.address(index) not in owners:
        raise InvalidInputError(f"{held.address(index)} is no owner of the Safe", code="input.safe")
    return index


def _signature(
    selector: str,
    opened: object,
    held: EthereumAccount | AddressAccount,
    place: int,
    proposal: Proposal,
    delegates: frozenset[Address],
    *,
    personal: bool,
) -> OwnerSignature:
    from bursar.ethereum.safe import OwnerSignature
    from bursar.signing.checks import request_personal_message, request_typed_data
    from bursar.signing.protocols import PersonalMessageSigner, TypedDataSigner

    tx, sender = proposal.transaction, held.address(place)
    if personal:
        if not isinstance(opened, PersonalMessageSigner):
            raise UnsupportedError(f"{selector} does not sign messages", operation="sign_personal_message")
        signed = request_personal_message(opened, held.path(place), tx.digest(), sender=sender)
        return OwnerSignature.personal(tx.digest(), signed)
    if not isinstance(opened, TypedDataSigner):
        raise UnsupportedError(
            f"{selector} does not sign typed data: --personal has it sign the hash as a message",
            operation="sign_typed_data",
        )
    typed = tx.typed_data(delegates=delegates)
    safe = tx.safe
    signed = request_typed_data(
        opened, held.path(place), typed, sender=sender, chain_id=safe.chain_id, any_chain=safe.any_chain
    )
    return OwnerSignature.typed(tx.digest(), signed)


@command(
    "confirmations",
    examples=(
        "bursar eth safe confirmations pay.json",
        "bursar eth safe confirmations pay.json from-the-cfo.json from-the-ceo.json",
    ),
)
@click.argument("file", type=click.Path())
@click.argument("others", nargs=-1, type=click.Path(allow_dash=True), metavar="[OTHER]...")
@click.option("--offline", is_flag=True, help="Do not ask the chain who owns the Safe and who approved it there.")
@pass_session
def confirmations(session: Session, file: str, others: Sequence[str], offline: bool) -> None:
    """Show who has agreed to the proposal in FILE, and add the signatures in OTHER files to it.

    An OTHER is a copy of the same proposal or one owner's signature ('sign --to'). One of another transaction, or of
    nobody who owns the Safe, is refused. Without --offline, FILE is brought up to date with the chain: owners,
    threshold, approvals made there; signatures of former owners are left out.
    """
    from bursar.cli import safe_files
    from bursar.cli.safe_chain import stand
    from bursar.cli.safe_review import document, hash_rows, owner_rows

    proposal = safe_files.read_whole(file)
    before = proposal
    for name in others:
        proposal = proposal.merged(safe_files.read(name))
    standing = stand(session, proposal, offline=offline)
    if standing.proposal != before:
        safe_files.replace(file, standing.proposal.to_text())
    held = standing.proposal.confirmations

    def words() -> None:
        rows = [*hash_rows(standing), *owner_rows(standing)]
        click.echo("\n".join(f"{name.ljust(42)}  {value}" for name, value in rows))
        for doubt in standing.doubts:
            click.echo(f"  ! {doubt}")
        enough = f"{held.missing} more needed" if held.missing else "enough to execute it"
        click.echo(f"{len(held.signatures)} of {held.threshold} agree: {enough}")

    session.output.answer(document(standing), words)


@command(
    "verify",
    examples=(
        "bursar eth safe verify pay.json --hash 0x…",
        "bursar eth safe verify pay.json --domain-hash 0x… --message-hash 0x… --offline",
    ),
)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--hash", "safe_tx", metavar="HASH", help="The safeTxHash that somebody else shows.")
@click.option("--domain-hash", "domain", metavar="HASH", help="The domain hash that a device shows.")
@click.option("--message-hash", "message", metavar="HASH", help="The message hash that a device shows.")
@click.option("--offline", is_flag=True, help="Do not ask the Safe's contract for its own hash.")
@pass_session
def verify(
    session: Session, file: str, safe_tx: str | None, domain: str | None, message: str | None, offline: bool
) -> None:
    """Compute the hashes of the proposal in FILE and compare them with what others show. A difference is an error.

    Compared are the hashes in the file, those given here, the one the Safe's contract computes, and every signature
    with its owner.
    """
    from bursar.cli import safe_files
    from bursar.cli.safe_chain import stand
    from bursar.cli.safe_review import document, hash_rows
    from bursar.ethereum.safe.proposal import read_hash

    proposal = safe_files.read_whole(file)
    given = {"safe_tx": safe_tx, "domain": domain, "message": message}
    said = {name: text for name, text in given.items() if text is not None}
    for text in said.values():
        read_hash(text.lower())
    proposal.hashes.compare(said, by="what is shown elsewhere")
    standing = stand(session, proposal, offline=offline)
    if standing.doubts:
        raise InvalidInputError("; ".join(standing.doubts), code="input.safe")

    def words() -> None:
        click.echo("\n".join(f"{name.ljust(12)}  {value}" for name, value in hash_rows(standing)))
        where = "" if offline else ", the contract computes the same hash"
        click.echo(f"{len(proposal.confirmations.signatures)} signatures are of their owners{where}.")

    session.output.answer({**document(standing), "verified": True}, words)


@command(
    "execute",
    examples=(
        "bursar eth safe execute pay.json --account gas",
        "bursar eth safe execute pay.json --account gas --speed fast --yes",
        "bursar eth safe execute pay.json --prepare --json",
    ),
)
@click.argument("file", type=click.Path())
@click.option("--account", shell_complete=account_names, help="Account that sends the transaction and pays for it.")
@click.option("--prepare", is_flag=True, help="Send nothing: print the call, for any wallet to send.")
@click.option(
    "--allow-delegate", "allowed", multiple=True, metavar="ADDRESS", help="Let this contract run as the Safe."
)
@action_options
@pass_session
def execute(session: Session, file: str, account: str | None, prepare: bool, allowed: Sequence[str], how: How) -> None:
    """Execute the proposal in FILE once enough owners agree, by a transaction of ACCOUNT; any account will do.

    The chain is asked first: that the Safe's contract computes the same hash, that the signatures are of its owners
    now, that the nonce is its next one, and that the execution would succeed. The transaction then goes the way of any
    other: review, policy, signature, broadcast.
    """
    from bursar.cli import safe_files
    from bursar.cli.ethereum_sending import carry_out, ethereum_account
    from bursar.cli.safe_chain import stand
    from bursar.cli.safe_execution import prepared, tried
    from bursar.cli.safe_making import delegates_of
    from bursar.wallet.actions import ContractCall

    if (account is None) != prepare:
        raise InvalidInputError("name the --account that pays, or have it --prepare the call", code="input.usage")
    standing = stand(session, safe_files.read_whole(file), offline=False)
    nonce = standing.proposal.transaction.nonce
    if standing.place:
        raise InvalidInputError(
            f"the Safe's next nonce is {nonce - standing.place}: {standing.place} other transactions come first",
            code="input.safe.nonce",
        )
    data = tried(session, standing, delegates_of(allowed))
    safe = standing.proposal.transaction.safe
    if account is None:
        prepared(session, safe, data)
        return
    wallet = compose.wallet(session)
    record = ethereum_account(wallet, account)
    noted = replace(how, memo=how.memo or f"Safe {safe.address}, nonce {nonce}")
    carry_out(session, wallet, record, action=ContractCall(str(safe.address), data), how=noted)
