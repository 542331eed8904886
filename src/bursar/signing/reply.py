"""A signer's PSBT held to the question: same transaction and fields, only good signatures more (BIP-174, 370, 371)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import InputDigest, InputDigests, Psbt
from bursar.bitcoin.psbt.fields import decode_origin, decode_tap_origin
from bursar.bitcoin.psbt.modifiable import after_signature
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.signing.nonces import Placed, halves_of, repeated_nonces
from bursar.signing.ownership import key_stands_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bursar.keys.origin import Fingerprint, KeyOrigin

_PARTIAL_SIG, _DERIVATION, _TAP_KEY_SIG, _TAP_SCRIPT_SIG, _TAP_DERIVATION = 0x02, 0x06, 0x13, 0x14, 0x16
_SIGNATURES = (_PARTIAL_SIG, _TAP_KEY_SIG, _TAP_SCRIPT_SIG)
_TX_MODIFIABLE = b"\x06"

Accepted = tuple[int, bytes, bytes]
"""An input's number, and the key and value of the signature field to add to it."""
Judge = Callable[[int, bytes, bytes], None]


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

    digests = InputDigests(question)

    def judge(index: int, key: bytes, value: bytes) -> None:
        _judge(question, digests, index, asked[index], key, value, fingerprint)

    added = accepted_fields(question, answer, judge, what="signature", name=name)
    _refuse_repeated_nonces(question, added, name)
    return added


def _refuse_repeated_nonces(question: Psbt, added: Sequence[Accepted], name: str) -> None:
    """Two signatures from one nonce give their key to whoever sees both: neither leaves."""
    there = [
        (index, key, value)
        for index, one in enumerate(question.inputs)
        for key, value in one.fields.items()
        if key[0] in _SIGNATURES
    ]
    placed = []
    for index, _, value in (*there, *added):
        halves = halves_of(value)
        if halves is not None:
            placed.append(Placed(f"input {index}", *halves))
    for nonce in repeated_nonces(placed):
        raise SignerMisbehavedError(
            f"{name} misbehaved: it signed {' and '.join(nonce.places)} with one nonce, which gives the key away; "
            "publish nothing of this, and move what the key holds with another signer"
        )


def accepted_fields(question: Psbt, answer: object, judge: Judge, *, what: str, name: str) -> list[Accepted]:
    """The fields ``answer`` adds to inputs, each let through by ``judge``, which raises ``UnfitError``; at least one.

    ``SignerMisbehavedError`` for anything else that is different, and for no answer at all.
    """
    try:
        if not isinstance(answer, Psbt):
            raise UnfitError(f"it answered with {type(answer).__name__}, which is no psbt")
        check_same(question, answer)
        added = list(_added(question, answer))
        for index, key, value in added:
            judge(index, key, value)
        if not added:
            raise UnfitError(f"it added no {what} and gave no reason")
    except UnfitError as unfit:
        message = f"{name} misbehaved: {unfit}; do not trust it until you know why"
        raise SignerMisbehavedError(message) from unfit.__cause__
    return added


class UnfitError(Exception):
    """The answer does not belong to the question, and why."""


def check_same(question: Psbt, answer: Psbt) -> None:
    if answer.tx.serialize() != question.tx.serialize():
        raise UnfitError(f"it answered with the transaction {answer.tx.txid} where {question.tx.txid} was asked")
    if len(answer.inputs) != len(question.inputs) or len(answer.outputs) != len(question.outputs):
        raise UnfitError("it answered with another number of inputs or outputs")
    if answer.version != question.version:
        raise UnfitError(f"it answered in version {answer.version}, and was asked in version {question.version}")
    check_fields("the global map", question.fields, _before_signing(question, answer))
    for index, (ours, theirs) in enumerate(zip(question.outputs, answer.outputs, strict=True)):
        check_fields(f"output {index}", ours.fields, theirs.fields)


def _before_signing(question: Psbt, answer: Psbt) -> Mapping[bytes, bytes]:
    """The answer's global map, its flags as they were where they only say what signatures over everything end."""
    before, after = question.fields.get(_TX_MODIFIABLE), answer.fields.get(_TX_MODIFIABLE)
    if before is None or after != bytes((after_signature(before[0], DEFAULT),)):
        return answer.fields
    return {**answer.fields, _TX_MODIFIABLE: before}


def check_fields(where: str, ours: Mapping[bytes, bytes], theirs: Mapping[bytes, bytes]) -> None:
    if ours != theirs:
        different = min(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        raise UnfitError(f"it changed the field {different.hex()[:80]} of {where}")


def _added(question: Psbt, answer: Psbt) -> Iterator[Accepted]:
    for index, (asked, answered) in enumerate(zip(question.inputs, answer.inputs, strict=True)):
        ours, theirs = asked.fields, answered.fields
        if ours == theirs:
            continue
        news = {key: value for key, value in theirs.items() if key not in ours}
        check_fields(f"input {index}", ours, {key: value for key, value in theirs.items() if key not in news})
        if asked.is_final:
            raise UnfitError(f"it added to input {index}, which was final")
        yield from ((index, key, value) for key, value in news.items())


def _judge(
    question: Psbt,
    digests: InputDigests,
    index: int,
    digest: InputDigest | None,
    key: bytes,
    value: bytes,
    fingerprint: Fingerprint | None,
) -> None:
    assert digest is not None  # it is, for an input that is not final
    ours = question.inputs[index].fields
    taproot = digest.script_type is ScriptType.P2TR
    if key[:1] == bytes((_PARTIAL_SIG,)) and not taproot:
        _check_ecdsa(index, digest, key[1:], value)
        origin = ours.get(bytes((_DERIVATION,)) + key[1:])
        check_owner(index, None if origin is None else decode_origin(origin), fingerprint)
    elif key == bytes((_TAP_KEY_SIG,)) and taproot:
        _check_schnorr(index, digest, digest.script[2:], value)
    elif key[0] == _TAP_SCRIPT_SIG and taproot:
        _check_leaf(digests, index, key[1:33], key[33:], value)
        origin = ours.get(bytes((_TAP_DERIVATION,)) + key[1:33])
        check_owner(index, None if origin is None else decode_tap_origin(origin)[1], fingerprint)
    else:
        raise UnfitError(f"it added the field {key.hex()[:80]} to input {index}, which is no signature asked for")


def _check_ecdsa(index: int, digest: InputDigest, public_key: bytes, value: bytes) -> None:
    if not key_stands_in(digest.script, public_key):
        raise UnfitError(f"it signed input {index} with the key {public_key.hex()}, which its script does not contain")
    if value[-1:] != bytes((digest.sighash,)):
        raise UnfitError(
            f"it signed input {index} with hash type 0x{value[-1:].hex()}, 0x{digest.sighash:02x} was asked"
        )
    try:
        ecdsa_verify_der(public_key, digest.digest, value[:-1])
    except InvalidInputError as error:
        raise UnfitError(f"its signature of input {index} is wrong: {error.message}") from error


def _check_leaf(digests: InputDigests, index: int, key: bytes, leaf_hash: bytes, value: bytes) -> None:
    leaf = next((one for one in digests.leaves(index) if one.hash == leaf_hash), None)
    if leaf is None:
        raise UnfitError(f"it signed input {index} in the leaf {leaf_hash.hex()}, which was not shown to it")
    if not key_stands_in(leaf.script, key):
        raise UnfitError(f"it signed input {index} with the key {key.hex()}, which the leaf does not contain")
    _check_schnorr(index, digests.leaf(index, leaf), key, value)


def check_owner(index: int, origin: KeyOrigin | None, fingerprint: Fingerprint | None) -> None:
    if origin is None or fingerprint is None:
        return
    owner = origin.fingerprint
    if owner != fingerprint:
        raise UnfitError(f"it signed input {index} with a key of {owner}, and says it is {fingerprint}")


def _check_schnorr(index: int, digest: InputDigest, x_only: bytes, value: bytes) -> None:
    expected = 64 if digest.sighash == DEFAULT else 65
    if len(value) != expected:
        raise UnfitError(
            f"its signature of input {index} has {len(value)} bytes, {expected} belong to the hash type asked"
        )
    if expected == 65 and value[64] != digest.sighash:
        raise _wrong_hash_type(index, value[64:], digest)
    try:
        schnorr_verify(x_only, digest.digest, value[:64])
    except InvalidInputError as error:
        raise UnfitError(f"its signature of input {index} is wrong: {error.message}") from error


def _wrong_hash_type(index: int, byte: bytes, digest: InputDigest) -> UnfitError:
    return UnfitError(f"it signed input {index} with hash type 0x{byte.hex()}, 0x{digest.sighash:02x} was asked")
