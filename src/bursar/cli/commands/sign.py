"""``bursar sign``: add a signature to a transfer that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.cli.cosigning import answer_progress, collect, collect_together, needs_several
from bursar.cli.lazy import command, pass_session
from bursar.cli.prompts import signer_options
from bursar.cli.transferring import answer, find_transfer
from bursar.errors import ConflictError, InvalidInputError, UserCancelledError
from bursar.wallet.records import TransferState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.wallet.plan import Plan, SigningProgress
    from bursar.wallet.records import TransferRecord
    from bursar.wallet.wallet import Wallet


@command(
    "sign",
    examples=(
        "bursar sign 7d0c… --signer trezor:webusb:…",
        "bursar sign 7d0c… --export out.psbt               # for a cosigner elsewhere",
        "bursar sign 7d0c… --import signed.psbt",
        "bursar sign 7d0c… --signer software:alpha --together software:beta    # MuSig2",
    ),
)
@click.argument("transfer")
@click.option(
    "--export", "to", type=click.Path(), metavar="FILE", help="Write the PSBT with its signatures to a new FILE."
)
@click.option("--binary", is_flag=True, help="With --export: bytes instead of base64.")
@click.option(
    "--import", "given", type=click.Path(allow_dash=True), metavar="FILE", help="Take signatures over from FILE."
)
@click.option(
    "--together", multiple=True, metavar="SIGNER", help="Sign at once with this signer too (MuSig2); may be repeated."
)
@click.option("--no-send", is_flag=True, help="Do not hand the transaction to the node once it is complete.")
@click.option("--yes", is_flag=True, help="Do not ask; the policy still decides.")
@signer_options
@pass_session
def sign(
    session: Session,
    transfer: str,
    to: str | None,
    binary: bool,
    given: str | None,
    together: Sequence[str],
    no_send: bool,
    yes: bool,
    unlock: Unlock,
) -> None:
    """Add the signature of one more signer to TRANSFER (its id, or the beginning of it); the last one sends it.

    Signers may come in any order, days apart. What each signs is shown first and held to the policy in force; every
    signature is verified and stored before this command ends. A file carries the transfer to a signer elsewhere.
    """
    from bursar.cli import psbt_file

    wallet = compose.wallet(session)
    found = find_transfer(wallet, transfer)
    record = wallet.account(found.account)
    if not needs_several(record):
        raise InvalidInputError(
            f"account {record.name!r} has one signer: go on with 'bursar resume'", code="input.transfer"
        )
    if found.state is TransferState.PLANNED:
        raise ConflictError("this transfer was not approved: send anew, or go on with the same --idempotency-key")
    rules = compose.policy(session)
    if to is not None:
        psbt_file.require_new(to)
        psbt_file.write(session, wallet.export_psbt(found.id, policy=rules), to=to, binary=binary, transfer=found.id)
        return
    plan = wallet.plan_of(found.id)
    if given is not None:
        progress = wallet.import_signatures(found.id, psbt_file.read(given), name=given, policy=rules)
    else:
        _confirm(session, plan, yes=yes)
        if together:
            collect_together(session, wallet, found.id, unlock=unlock, others=together, policy=rules)
        before = wallet.signing_progress(found.id)
        progress = collect(session, wallet, found.id, unlock=unlock, policy=rules)
        if progress == before and not progress.complete:
            raise InvalidInputError(
                f"no signer that can sign this is reachable here ({', '.join(progress.missing) or 'none is missing'}): "
                "plug it in, name it with --signer, or use --export",
                code="input.signer",
            )
    _finish(session, wallet, found, plan, progress, send=not no_send)


def _confirm(session: Session, plan: Plan, *, yes: bool) -> None:
    from bursar.policy.render import review_text

    text = f"{review_text(plan.review)}\n"
    (session.output.aside if yes else session.human.tell)(text)
    if not yes and session.human.ask("Sign it? [y/N]").strip().lower() not in ("y", "yes"):
        raise UserCancelledError("not confirmed: nothing was signed")


def _finish(
    session: Session, wallet: Wallet, found: TransferRecord, plan: Plan, progress: SigningProgress, *, send: bool
) -> None:
    if progress.signed is None or not send:
        answer_progress(session, wallet.transfer(found.id), progress)
        return
    backend = compose.node_for(session, wallet.account(found.account))
    with session.output.progress("handing the transaction to the node"):
        wallet.send(progress.signed, backend)
    answer(session, plan, wallet.transfer(found.id))
