"""The two rounds of MuSig2 with a signer: each nonce and each partial signature held to the question (BIP-327, 373)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import InputDigests, note_signature
from bursar.bitcoin.psbt.musig2 import MusigSpend, musig_spends
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError
from bursar.signing.checks import check_question, name_of
from bursar.signing.preflight import DEFAULT_LIMITS, PreflightLimits
from bursar.signing.reply import UnfitError, accepted_fields, check_owner

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import Txid
    from bursar.keys.origin import Fingerprint
    from bursar.signing.amounts import SeenAmounts
    from bursar.signing.protocols import Musig2Signer

_PUB_NONCE, _PARTIAL_SIG = 0x1B, 0x1C


def request_musig2_nonces(
    signer: Musig2Signer,
    psbt: Psbt,
    *,
    account: ScriptAccount | None = None,
    approved: Txid | None = None,
    limits: PreflightLimits = DEFAULT_LIMITS,
    seen: SeenAmounts | None = None,
) -> Psbt:
    """First round: ``psbt`` with the signer's public nonces for the aggregate keys it takes part in.

    The checks before are those of ``request_signatures``; after, only nonces of its own participant keys were added,
    each of two points. ``SignerMisbehavedError`` for any other answer.
    """
    fingerprint = signer.info.fingerprint
    check_question(psbt, fingerprint, account=account, approved=approved, limits=limits, seen=seen)
    question = psbt.copy()
    spends = _spends(question)
    answer = signer.musig2_nonces(psbt.copy())

    def judge(index: int, key: bytes, value: bytes) -> None:
        _spend_of(question, spends, index, key, _PUB_NONCE, fingerprint)
        for point in (value[:33], value[33:]):
            try:
                parse_public_key(point)
            except InvalidInputError as error:
                raise UnfitError(f"its nonce for input {index} is no pair of points") from error

    for index, key, value in accepted_fields(question, answer, judge, what="nonce", name=name_of(signer)):
        question.inputs[index].fields[key] = value
    return question


def request_musig2_signatures(
    signer: Musig2Signer,
    psbt: Psbt,
    *,
    account: ScriptAccount | None = None,
    approved: Txid | None = None,
    limits: PreflightLimits = DEFAULT_LIMITS,
    seen: SeenAmounts | None = None,
) -> Psbt:
    """Second round: ``psbt``, which holds every participant's nonce, with the signer's partial signatures.

    Each is verified under its participant's key and nonce before it is taken; ``SignerMisbehavedError`` for any other
    answer. ``finalize`` puts the parts together once all are there.
    """
    fingerprint = signer.info.fingerprint
    check_question(psbt, fingerprint, account=account, approved=approved, limits=limits, seen=seen)
    question = psbt.copy()
    spends = _spends(question)
    answer = signer.musig2_sign(psbt.copy())

    def judge(index: int, key: bytes, value: bytes) -> None:
        spend = _spend_of(question, spends, index, key, _PARTIAL_SIG, fingerprint)
        session = spend.session(question)
        if session is None:
            raise UnfitError(f"it signed input {index} before every participant's nonce was there")
        try:
            session.verify(value, signer=spend.aggregate.keys.index(key[1:34]))
        except InvalidInputError as error:
            raise UnfitError(f"its partial signature of input {index} is wrong: {error.message}") from error

    for index, key, value in accepted_fields(question, answer, judge, what="partial signature", name=name_of(signer)):
        question.inputs[index].fields[key] = value
        note_signature(question, DEFAULT)
    return question


def _spends(psbt: Psbt) -> list[MusigSpend]:
    digests = InputDigests(psbt)
    return [
        spend
        for index, one in enumerate(psbt.inputs)
        if not one.is_final
        for spend in musig_spends(digests, psbt, index)
    ]


def _spend_of(
    question: Psbt, spends: list[MusigSpend], index: int, key: bytes, kind: int, fingerprint: Fingerprint | None
) -> MusigSpend:
    """What a field is for; the participant it names must be the signer's."""
    if key[0] != kind:
        raise UnfitError(f"it added the field {key.hex()[:80]} to input {index}, which was not asked for")
    for spend in spends:
        if spend.index == index and key[1:34] in spend.aggregate.keys and key[1:] == spend.field_key(key[1:34]):
            named = question.inputs[index].tap_bip32_derivations.get(key[2:34])
            check_owner(index, None if named is None else named[1], fingerprint)
            return spend
    raise UnfitError(f"it took part in input {index} for a key that the input cannot be spent with")
