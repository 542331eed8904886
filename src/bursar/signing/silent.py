"""Asking a signer to spend silent payments (BIP-352) by a PSBT that names spend key and tweaks (BIP-376)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.bitcoin.psbt import note_signature
from bursar.bitcoin.sighash import DEFAULT
from bursar.signing.checks import check_question, misbehaved, name_of
from bursar.signing.preflight import DEFAULT_LIMITS, PreflightLimits
from bursar.signing.protocols import Signer
from bursar.signing.reply import accepted_signatures

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import Txid


@runtime_checkable
class SilentPaymentSigner(Signer, Protocol):
    """Signs a PSBT of version 2 that spends nothing but silent payments to a spend key of its own."""

    def sign_silent_payments(self, psbt: Psbt) -> Psbt: ...


def request_silent_signatures(
    signer: SilentPaymentSigner, psbt: Psbt, *, approved: Txid, limits: PreflightLimits = DEFAULT_LIMITS
) -> Psbt:
    """``psbt`` with a verified signature for every input, and nothing else from the signer; ``psbt`` is not changed.

    Before it is asked: ``check_psbt``, and that this is the transaction ``approved``. After, as ``request_signatures``:
    ``SignerMisbehavedError`` for any other answer.
    """
    asked = check_question(psbt, None, approved=approved, limits=limits)
    question = psbt.copy()
    answer = signer.sign_silent_payments(psbt.copy())
    added = accepted_signatures(question, answer, asked, fingerprint=None, name=name_of(signer))
    if len(added) != len(question.inputs):
        raise misbehaved(signer, f"it signed {len(added)} of {len(question.inputs)} inputs and gave no reason")
    for index, key, value in added:
        question.inputs[index].fields[key] = value
        note_signature(question, DEFAULT)
    return question
