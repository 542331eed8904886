"""Signatures of several signers, one after the other: each verified and stored before anybody hears of it (BIP-174)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import Psbt
from bursar.errors import (
    ConflictError,
    CorruptStoreError,
    InvalidInputError,
    InvalidSignatureError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.signing.adoption import adopt_signatures
from bursar.signing.checks import name_of, request_signatures
from bursar.signing.preflight import check_psbt
from bursar.signing.reply import accepted_signatures
from bursar.wallet.accounts import AnyEthereum, load_account
from bursar.wallet.approving import approval_of, require_plan
from bursar.wallet.plan import SigningProgress
from bursar.wallet.records import TransferState
from bursar.wallet.replaced import replaced_by
from bursar.wallet.reserving import require_transfer
from bursar.wallet.signature_needs import SignatureNeeds, signature_needs, signers_in
from bursar.wallet.signatures import check_approval, check_reservation, check_signer, signed_of
from bursar.wallet.store.accounts import account_by_id
from bursar.wallet.store.signatures import SignatureRow, add_signature, signature_rows
from bursar.wallet.store.transfers import change_signing, change_transfer, stored_plan

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.signing.protocols import PsbtSigner
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context
    from bursar.wallet.plan import ApprovedPlan, SignedTransfer
    from bursar.wallet.store.accounts import AccountRow
    from bursar.wallet.store.transfers import TransferRow


@dataclass(frozen=True, slots=True)
class Work:
    """A transfer that may be signed, and the PSBT with the signatures that are there."""

    row: TransferRow
    account_row: AccountRow
    account: ScriptAccount
    question: Psbt


def add_signatures(
    context: Context,
    transfer_id: str,
    signer: PsbtSigner,
    policy: DigestedPolicy | None,
    approved: ApprovedPlan | None = None,
) -> SigningProgress:
    """See ``Wallet.add_signatures``."""
    with context.store.write() as connection:
        work = begin(connection, transfer_id, policy, approved)
        if work.row.raw is not None:
            return progress_of(connection, work.row)
        check_signer(signer, work.account)
        known = progress_of(connection, work.row)
        if str(signer.info.fingerprint) in known.have:
            return known
        original = replaced_by(connection, stored_plan(work.row))
        count(context, connection, work, "transfer.signing", signer=name_of(signer))
    context.passed("sign.begun")
    try:
        answer = request_signatures(signer, work.question, account=work.account, original=original)
    except (InvalidInputError, UserCancelledError, UnsupportedError) as error:
        # A refusal: there is no signature. Any other failure may have come after one.
        with context.store.write() as connection:
            change_signing(connection, work.row.id, -1)
            context.note(connection, "transfer.unsigned", id=work.row.id, reason=error.code)
        if error.code == "input.psbt.nothing-to-sign" and any(len(i.musig2_participants) for i in work.question.inputs):
            raise InvalidInputError(
                f"{name_of(signer)} cannot sign this by itself: its key is made by several signers together (MuSig2), "
                "who sign at once (sign_together, 'bursar sign --together')",
                code="input.psbt.together",
            ) from error
        raise
    context.passed("sign.answered")
    return keep(context, work, answer, name_of(signer), policy, approved)


def import_signatures(
    context: Context, transfer_id: str, psbt: Psbt, name: str, policy: DigestedPolicy | None
) -> SigningProgress:
    """See ``Wallet.import_signatures``."""
    with context.store.read() as connection:
        work = begin(connection, transfer_id, policy, None)
        if work.row.raw is not None:
            return progress_of(connection, work.row)
    question = work.question
    answer = adopt_signatures(question, psbt)
    if answer is not psbt:
        for ours, theirs in zip(question.inputs, answer.inputs, strict=True):
            theirs.fields.update(ours.fields)  # a second signature of the same key says nothing new
        if all(ours.fields == theirs.fields for ours, theirs in zip(question.inputs, answer.inputs, strict=True)):
            raise InvalidInputError("this psbt holds no signature that is not here already", code="input.psbt.unsigned")
    asked = check_psbt(question)
    accepted_signatures(question, answer, asked, fingerprint=None, name=name)
    with context.store.write() as connection:
        count(context, connection, work, "transfer.signing", signer=name)
    return keep(context, work, answer, name, policy, None)


def export_psbt(context: Context, transfer_id: str, policy: DigestedPolicy | None) -> Psbt:
    """See ``Wallet.export_psbt``."""
    with context.store.write() as connection:
        work = begin(connection, transfer_id, policy, None)
        if work.row.raw is not None:
            raise ConflictError(f"transfer {transfer_id} is signed already: send it")
        count(context, connection, work, "transfer.exported")
    context.passed("sign.exported")
    return work.question


def sign_by(
    context: Context, approved: ApprovedPlan, signer: PsbtSigner, policy: DigestedPolicy | None
) -> SignedTransfer:
    """Add one signer's signatures; ``ConflictError`` (``conflict.signatures``) while others lack: they are kept."""
    with context.store.read() as connection:
        require_plan(connection, approved.plan)
    found = add_signatures(context, approved.id, signer, policy, approved)
    if found.signed is None:
        raise ConflictError(
            f"{found.count} of {found.need} signatures of transfer {approved.id} are here and kept: add one of "
            f"{', '.join(found.missing)}",
            code="conflict.signatures",
        )
    return found.signed


def progress(context: Context, transfer_id: str) -> SigningProgress:
    """See ``Wallet.signing_progress``."""
    with context.store.read() as connection:
        return progress_of(connection, require_transfer(connection, transfer_id))


def begin(
    connection: Connection, transfer_id: str, policy: DigestedPolicy | None, approved: ApprovedPlan | None = None
) -> Work:
    """The transfer, if it may be signed now: approved, under the policy in force, its coins still held."""
    row = require_transfer(connection, transfer_id)
    account_row = account_by_id(connection, row.account_id)
    account = load_account(account_row)
    plan = stored_plan(row)
    if isinstance(account, AnyEthereum) or plan.psbt is None:
        raise ConflictError(f"transfer {row.id} is on ethereum: one signer signs it, with sign()")
    work = Work(row, account_row, account, _collected(connection, row))
    if row.raw is None:
        known = approved or approval_of(row)
        if known is None:
            raise ConflictError(f"transfer {row.id} is {row.state} and not approved: approve it first")
        check_approval(connection, row, known, policy)
        check_reservation(connection, account_row, row, plan)
    return work


def count(context: Context, connection: Connection, work: Work, kind: str, **body: str) -> None:
    """From here on a signature may exist, whatever becomes of this process."""
    change_signing(connection, work.row.id, 1)
    context.note(connection, kind, id=work.row.id, plan=work.row.plan_digest, **body)


def keep(
    context: Context,
    work: Work,
    answer: Psbt,
    name: str,
    policy: DigestedPolicy | None,
    approved: ApprovedPlan | None = None,
) -> SigningProgress:
    """Store verified signatures, and the transaction once they suffice."""
    with context.store.write() as connection:
        row = require_transfer(connection, work.row.id)
        if row.raw is not None:
            return progress_of(connection, row)  # another process completed it meanwhile
        begin(connection, row.id, policy, approved)
        merged, news = _merged(_collected(connection, row), answer)
        if news:
            add_signature(connection, row.id, SignatureRow(name, context.now(), str(merged)))
            context.note(connection, "transfer.signature", id=row.id, signer=name, inputs=news)
        signed = _finished_once_more(row, merged)
        if signed is not None:
            raw, txid = signed
            change_transfer(
                connection, row.id, expect=[TransferState.APPROVED], state=TransferState.SIGNED, raw=raw, txid=txid
            )
            context.note(connection, "transfer.signed", id=row.id, plan=row.plan_digest, txid=txid)
        found = progress_of(connection, require_transfer(connection, row.id))
    context.passed("sign.stored" if signed else "sign.collected")
    return found


def _collected(connection: Connection, row: TransferRow) -> Psbt:
    """The plan's PSBT with every signature stored."""
    planned = Psbt.from_text(stored_plan(row).psbt or "")
    try:
        return combine([planned, *(Psbt.from_text(one.psbt) for one in signature_rows(connection, row.id))])
    except InvalidInputError as error:
        raise _damaged(row, error.message) from error


def _merged(here: Psbt, answer: Psbt) -> tuple[Psbt, int]:
    """``here`` with what ``answer`` adds, and to how many inputs; where both have a signature of a key, ours stays."""
    merged = here.copy()
    news = 0
    for ours, theirs in zip(merged.inputs, answer.inputs, strict=True):
        fresh = {key: value for key, value in theirs.fields.items() if key not in ours.fields}
        ours.fields.update(fresh)
        news += bool(fresh)
    return merged, news


def _finished_once_more(row: TransferRow, psbt: Psbt) -> tuple[bytes, str] | None:
    """As ``finished``; what was stored is verified again, for a transaction called signed is kept for ever."""
    try:
        return finished(psbt, verify=True)
    except InvalidSignatureError as error:
        raise _damaged(row, error.message) from error


def _damaged(row: TransferRow, reason: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"the signatures kept of transfer {row.id} are not those that were stored ({reason}): restore the store "
        "from a backup"
    )


def finished(psbt: Psbt, *, verify: bool = False) -> tuple[bytes, str] | None:
    """The bytes to broadcast and their id; ``None`` while signatures lack."""
    try:
        tx = extract(finalize(psbt, verify=verify))
    except InvalidInputError as error:
        if error.code != "input.psbt.unsigned":
            raise
        return None
    return tx.serialize(), str(tx.txid)


def progress_of(connection: Connection, row: TransferRow) -> SigningProgress:
    """Whose signatures are there, and whose lack."""
    account = load_account(account_by_id(connection, row.account_id))
    if isinstance(account, AnyEthereum):
        raise InvalidInputError(f"transfer {row.id} is on ethereum: it has one signer", code="input.transfer")
    psbt = _collected(connection, row)
    needs: SignatureNeeds = signature_needs(account, stored_plan(row).transfer.spend_with, psbt)
    by_input = [signers_in(one) for one in psbt.inputs]
    everywhere = set(by_input[0]).intersection(*by_input) if by_input else set()
    have = tuple(str(one) for one in account.fingerprints if one in everywhere)
    return SigningProgress(
        id=row.id,
        need=needs.signatures,
        count=min((len(found) for found in by_input), default=0) if row.raw is None else needs.signatures,
        have=have,
        missing=tuple(name for name in needs.signers if name not in have) if row.raw is None else (),
        words=str(needs),
        signed=None if row.raw is None else signed_of(row),
    )
