"""Signers who sign at once, in two rounds: MuSig2 (BIP-327). Their nonces live in this process and die with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import ConflictError, UnsupportedError
from bursar.signing.checks import name_of
from bursar.signing.musig2 import request_musig2_nonces, request_musig2_signatures
from bursar.signing.protocols import Musig2Signer
from bursar.wallet import collecting
from bursar.wallet.signatures import check_signer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.signing.protocols import Signer
    from bursar.wallet.approving import DigestedPolicy
    from bursar.wallet.context import Context
    from bursar.wallet.plan import SignedTransfer


def sign_together(
    context: Context, transfer_id: str, signers: Sequence[Signer], policy: DigestedPolicy | None
) -> SignedTransfer:
    """See ``Wallet.sign_together``."""
    rounds = [_musig2(signer) for signer in signers]
    names = ", ".join(name_of(signer) for signer in rounds)
    with context.store.write() as connection:
        work = collecting.begin(connection, transfer_id, policy)
        if work.row.raw is not None:
            found = collecting.progress_of(connection, work.row)
            assert found.signed is not None
            return found.signed
        for signer in rounds:
            check_signer(signer, work.account)
        collecting.count(context, connection, work, "transfer.signing", signer=names)
    context.passed("sign.begun")
    answer = work.question
    for signer in rounds:
        answer = request_musig2_nonces(signer, answer, account=work.account)
    for signer in rounds:
        answer = request_musig2_signatures(signer, answer, account=work.account)
    context.passed("sign.answered")
    if collecting.finished(answer) is None:
        # Nothing is kept: another attempt begins with fresh nonces.
        raise ConflictError(
            f"the signatures of {names} do not make transfer {transfer_id} whole: all participants sign together",
            code="conflict.signatures",
        )
    done = collecting.keep(context, work, answer, names, policy).signed
    assert done is not None
    return done


def _musig2(signer: Signer) -> Musig2Signer:
    if not isinstance(signer, Musig2Signer):
        raise UnsupportedError(
            f"{name_of(signer)} knows no MuSig2: spend by another way of the account, with the signers it names",
            operation="musig2_sign",
            model=signer.info.model,
        )
    return signer
