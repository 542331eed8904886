"""Asking a PSBT signer for a message proof (BIP-322): the same door as for transactions, with the message checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.message import signed_message
from bursar.errors import InvalidInputError
from bursar.signing.checks import request_signatures
from bursar.signing.preflight import DEFAULT_LIMITS, PreflightLimits

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt
    from bursar.signing.protocols import PsbtSigner


def request_proof(signer: PsbtSigner, psbt: Psbt, message: bytes, *, limits: PreflightLimits = DEFAULT_LIMITS) -> Psbt:
    """Ask ``signer`` to sign a PSBT of ``message_psbt``; see ``request_signatures`` for what holds of its answer.

    ``InvalidInputError`` (``input.message``) unless it signs exactly ``message``. The limits on fees do not count: the
    coins of a proof of funds all go to the fee of a transaction that no chain can ever hold.
    """
    if signed_message(psbt) != message:
        raise InvalidInputError("the psbt does not sign this message: make it with message_psbt", code="input.message")
    return request_signatures(signer, psbt, limits=replace(limits, any_fee=True))
