"""Transfers that several signers sign, one after the other: who can sign now, what is there, how to go on."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from bursar.cli import compose
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.signing.protocols import AddressDisplay, PsbtSigner

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bursar.cli.prompts import Unlock
    from bursar.cli.session import Session
    from bursar.policy.policy import RulePolicy
    from bursar.wallet.plan import SigningProgress
    from bursar.wallet.records import AccountRecord, TransferRecord
    from bursar.wallet.wallet import Wallet


def needs_several(record: AccountRecord) -> bool:
    """Whether its transfers collect signatures: several signers, or none that is known here."""
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.wallet.accounts import AnyEthereum

    return not isinstance(record.account, BitcoinAccount | AnyEthereum) or not record.signers


def collect(
    session: Session, wallet: Wallet, transfer_id: str, *, unlock: Unlock, policy: RulePolicy
) -> SigningProgress:
    """Ask the one signer that was named, or that can be reached and has not signed; with none, nothing changes."""
    known = wallet.signing_progress(transfer_id)
    if known.complete:
        return known
    selector = unlock.signer or reachable(session, known.missing)
    if selector is None:
        return known
    with ExitStack() as stack:
        found = compose.signer(session, unlock.naming(selector))
        selector, signer = stack.enter_context(found)
        if not isinstance(signer, PsbtSigner):
            raise UnsupportedError(f"{selector} does not sign psbts", operation="sign_psbt", model=signer.info.model)
        if isinstance(signer, AddressDisplay):
            session.output.aside("Compare payee, amount and fee on the device with the review.")
        with session.output.progress(f"{selector} signs"):
            return wallet.add_signatures(transfer_id, signer=signer, policy=policy)


def collect_together(
    session: Session, wallet: Wallet, transfer_id: str, *, unlock: Unlock, others: Sequence[str], policy: RulePolicy
) -> None:
    """Have several signers sign at once (MuSig2): their nonces live in this process only."""
    if unlock.signer is None:
        raise InvalidInputError("name the first signer with --signer, the others with --together", code="input.usage")
    with ExitStack() as stack:
        signers = [
            stack.enter_context(compose.signer(session, unlock.naming(selector)))[1]
            for selector in (unlock.signer, *others)
        ]
        with session.output.progress("signing together"):
            wallet.sign_together(transfer_id, signers=signers, policy=policy)


def reachable(session: Session, fingerprints: Collection[str]) -> str | None:
    """The one signer here with one of these fingerprints; several are an error that names them.

    A keystore counts: that it is locked says only that its password will be asked for.
    """
    from bursar.backends.software.backend import LOCKED
    from bursar.signing.registry import selectors_of

    seen = compose.registry(session).discover().signers
    found = [
        name
        for name, info in zip(selectors_of(seen), seen, strict=True)
        if info.trouble in (None, LOCKED) and str(info.fingerprint) in fingerprints
    ]
    if len(found) > 1:
        raise InvalidInputError(
            f"several signers can sign this: name one with --signer ({', '.join(found)})", code="input.signer"
        )
    return found[0] if found else None


def answer_progress(session: Session, record: TransferRecord, progress: SigningProgress) -> None:
    """What is there and what lacks, and how to go on."""

    def words() -> None:
        click.echo(f"Transfer {record.id}: {progress.count} of {progress.need} signatures.")
        if progress.have:
            click.echo(f"  signed by   {', '.join(progress.have)}")
        if progress.missing:
            click.echo(f"  can sign    {', '.join(progress.missing)}")
        short = record.id[:8]
        click.echo(f"\nNext: bursar sign {short} --signer …, on this machine or with this wallet's folder elsewhere;")
        click.echo(f"or by file: bursar sign {short} --export out.psbt, then bursar sign {short} --import signed.psbt")

    session.output.answer({"transfer": record.to_json(), "signing": progress.to_json()}, words)
