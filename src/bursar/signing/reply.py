"""A signer's PSBT held to the question: same transaction, same fields, only good signatures more (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import InputDigest, Psbt
from bursar.bitcoin.psbt.fields import decode_origin
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.signing.ownership import key_stands_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bursar.keys.origin import Fingerprint

_PARTIAL_SIG, _DERIVATION, _TAP_KEY_SIG = 0x02, 0x06, 0x13

Accepted = tuple[int, bytes, bytes]
"""An input's number, and the key and value of the signature field to add to it."""


def accepted_signatures(
    question: Psbt,
    answer: object,
    asked: Sequence[InputDigest | None],
    *,
    fingerprint: Fingerprint | None,
    name: str,
) -> list[Accepted]:
    """The signatures ``answer`` adds to ``question``, each verified; ``SignerMisbehavedError`` for anything else.

    ``asked`` says what each input's signature commits to (``check_psbt``); ``name`` names the signer in messages.
    """
    try:
        if not isinstance(answer, Psbt):
            raise _UnfitError(f"it answered with {type(answer).__name__}, which is no psbt")
        _check_same(question, answer)
        added = list(_added(question, answer, asked, fingerprint))
        if not added:
            raise _UnfitError("it added no signature and gave no reason")
    except _UnfitError as unfit:
        message = f"{name} misbehaved: {unfit}; do not trust it until you know why"
        raise SignerMisbehavedError(message) from unfit.__cause__
    return added


class _UnfitError(Exception):
    """The answer does not belong to the question, and why."""


def _check_same(question: Psbt, answer: Psbt) -> None:
    if answer.tx.serialize() != question.tx.serialize():
        raise _UnfitError(f"it answered with the transaction {answer.tx.txid} where {question.tx.txid} was asked")
    if len(answer.inputs) != len(question.inputs) or len(answer.outputs) != len(question.outputs):
        raise _UnfitError("it answered with another number of inputs or outputs")
    _check_fields("the global map", question.fields, answer.fields)
    for index, (ours, theirs) in enumerate(zip(question.outputs, answer.outputs, strict=True)):
        _check_fields(f"output {index}", ours.fields, theirs.fields)


def _check_fields(where: str, ours: Mapping[bytes, bytes], theirs: Mapping[bytes, bytes]) -> None:
    if ours != theirs:
        different = min(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        raise _UnfitError(f"it changed the field {different.hex()[:80]} of {where}")


def _added(
    question: Psbt, answer: Psbt, asked: Sequence[InputDigest | None], fingerprint: Fingerprint | None
) -> Iterator[Accepted]:
    for index, digest in enumerate(asked):
        ours, theirs = question.inputs[index].fields, answer.inputs[index].fields
        if ours == theirs:
            continue
        news = {key: value for key, value in theirs.items() if key not in ours}
        _check_fields(f"input {index}", ours, {key: value for key, value in theirs.items() if key not in news})
        for key, value in news.items():
            if digest is None:
                raise _UnfitError(f"it added to input {index}, which was final")
            if key[:1] == bytes((_PARTIAL_SIG,)) and digest.script_type is not ScriptType.P2TR:
                _check_ecdsa(index, digest, key[1:], value)
                _check_owner(index, ours.get(bytes((_DERIVATION,)) + key[1:]), fingerprint)
            elif key == bytes((_TAP_KEY_SIG,)) and digest.script_type is ScriptType.P2TR:
                _check_schnorr(index, digest, value)
            else:
                raise _UnfitError(
                    f"it added the field {key.hex()[:80]} to input {index}, which is no signature asked for"
                )
            yield index, key, value


def _check_ecdsa(index: int, digest: InputDigest, public_key: bytes, value: bytes) -> None:
    if not key_stands_in(digest.script, public_key):
        raise _UnfitError(f"it signed input {index} with the key {public_key.hex()}, which its script does not contain")
    if value[-1:] != bytes((digest.sighash,)):
        raise _UnfitError(
            f"it signed input {index} with hash type 0x{value[-1:].hex()}, 0x{digest.sighash:02x} was asked"
        )
    try:
        ecdsa_verify_der(public_key, digest.digest, value[:-1])
    except InvalidInputError as error:
        raise _UnfitError(f"its signature of input {index} is wrong: {error.message}") from error


def _check_owner(index: int, origin: bytes | None, fingerprint: Fingerprint | None) -> None:
    if origin is None or fingerprint is None:
        return
    owner = decode_origin(origin).fingerprint
    if owner != fingerprint:
        raise _UnfitError(f"it signed input {index} with a key of {owner}, and says it is {fingerprint}")


def _check_schnorr(index: int, digest: InputDigest, value: bytes) -> None:
    expected = 64 if digest.sighash == DEFAULT else 65
    if len(value) != expected:
        raise _UnfitError(
            f"its signature of input {index} has {len(value)} bytes, {expected} belong to the hash type asked"
        )
    if expected == 65 and value[64] != digest.sighash:
        raise _wrong_hash_type(index, value[64:], digest)
    try:
        schnorr_verify(digest.script[2:], digest.digest, value[:64])
    except InvalidInputError as error:
        raise _UnfitError(f"its signature of input {index} is wrong: {error.message}") from error


def _wrong_hash_type(index: int, byte: bytes, digest: InputDigest) -> _UnfitError:
    return _UnfitError(f"it signed input {index} with hash type 0x{byte.hex()}, 0x{digest.sighash:02x} was asked")
