"""Combining, finalising and extracting PSBTs (BIP-174 roles), for single keys and plain multisig scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import InputDigests, Psbt, PsbtInput
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.script import ScriptType, classify, multisig, push
from bursar.bitcoin.transaction import Transaction, TxIn
from bursar.bitcoin.wire import read_stack, stack
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_DROPPED: Final = frozenset(
    kind[0]
    for kind in (
        r.PARTIAL_SIG, r.SIGHASH_TYPE, r.IN_REDEEM_SCRIPT, r.IN_WITNESS_SCRIPT, r.IN_BIP32, r.TAP_KEY_SIG,
        r.TAP_SCRIPT_SIG, r.TAP_LEAF_SCRIPT, r.IN_TAP_BIP32, r.IN_TAP_INTERNAL_KEY, r.TAP_MERKLE_ROOT,
    )
)  # fmt: skip


def combine(psbts: Sequence[Psbt]) -> Psbt:
    """One PSBT with the fields of all; ``InvalidInputError`` (``input.psbt.combine``) for another transaction or a
    field with two values."""
    if not psbts:
        raise InvalidInputError("there is no psbt to combine", code="input.psbt.combine")
    result = psbts[0].copy()
    for other in psbts[1:]:
        if other.tx != result.tx:
            raise InvalidInputError(
                f"psbts of different transactions ({result.tx.txid}, {other.tx.txid}) do not combine",
                code="input.psbt.combine",
            )
        _merge(result.fields, other.fields, "global map")
        for place, (mine, theirs) in enumerate(zip(result.inputs, other.inputs, strict=True)):
            _merge(mine.fields, theirs.fields, f"input {place}")
        for place, (ours, given) in enumerate(zip(result.outputs, other.outputs, strict=True)):
            _merge(ours.fields, given.fields, f"output {place}")
    return result


def _merge(into: dict[bytes, bytes], fields: dict[bytes, bytes], where: str) -> None:
    for key, value in fields.items():
        if into.setdefault(key, value) != value:
            raise InvalidInputError(
                f"psbts disagree on {where}, field type 0x{key[0]:02x}: one of them is wrong", code="input.psbt.combine"
            )


def finalize(psbt: Psbt, *, verify: bool = True) -> Psbt:
    """A copy whose inputs carry their final script signatures and witnesses, and otherwise only what they spend.

    Every signature is verified unless ``verify=False``, which is for signatures verified already. Raises
    ``InvalidInputError``: ``input.psbt.unsigned`` for missing signatures, ``input.psbt.script`` for scripts that do
    not fit, ``InvalidSignatureError`` for a signature that does not verify.
    """
    result = psbt.copy()
    digests = InputDigests(psbt, allow_any_sighash=True) if verify else None
    for place, one in enumerate(result.inputs):
        if not one.is_final:
            _finalize_input(result, place, one, digests)
    return result


def _finalize_input(psbt: Psbt, place: int, one: PsbtInput, digests: InputDigests | None) -> None:
    fields = one.fields
    script = psbt.utxo(place).script
    kind = classify(script)
    script_sig = b""
    witness: tuple[bytes, ...] = ()
    if kind is ScriptType.P2TR:
        witness = (_key_path_signature(place, fields, script, digests),)
    elif kind is ScriptType.P2WPKH:
        witness = _signature_of(place, fields, script[2:], digests)
    elif kind is ScriptType.P2PKH:
        signature, key = _signature_of(place, fields, script[3:23], digests)
        script_sig = push(signature) + push(key)
    elif kind is ScriptType.P2SH:
        redeem = fields.get(r.IN_REDEEM_SCRIPT)
        if redeem is None or hash160(redeem) != script[2:22]:
            raise _unfit(place, "redeem script is missing or does not hash to the spent output")
        inner = classify(redeem)
        if inner is ScriptType.P2WPKH:
            witness = _signature_of(place, fields, redeem[2:], digests)
            script_sig = push(redeem)
        elif inner is ScriptType.P2WSH:
            witness = _witness_script(place, fields, redeem, digests)
            script_sig = push(redeem)
        else:
            signatures = _multisig_signatures(place, fields, redeem, digests)
            script_sig = b"\0" + b"".join([push(signature) for signature in signatures]) + push(redeem)
    elif kind is ScriptType.P2WSH:
        witness = _witness_script(place, fields, script, digests)
    else:
        raise _unfit(place, f"an output of type {kind.value} is not finalised here")
    kept = {key: value for key, value in fields.items() if key[0] not in _DROPPED}
    if script_sig:
        kept[r.FINAL_SCRIPT_SIG] = script_sig
    if witness:
        kept[r.FINAL_WITNESS] = stack(witness)
    one.fields = kept


def _key_path_signature(place: int, fields: dict[bytes, bytes], script: bytes, digests: InputDigests | None) -> bytes:
    signature = fields.get(r.TAP_KEY_SIG)
    if signature is None:
        raise _unsigned(place)
    if len(signature) == 65 and signature[64] == 0:
        raise _unfit(place, "a taproot signature with hash type byte 0 is invalid")
    asked = int.from_bytes(fields.get(r.SIGHASH_TYPE, b"\0"), "little")
    if asked != (signature[64] if len(signature) == 65 else 0):
        raise _unfit(place, "the signature's hash type is not the one asked for")
    if digests is not None:
        schnorr_verify(script[2:], digests.digest(place).digest, signature[:64])
    return signature


def _check_ecdsa(
    place: int, fields: dict[bytes, bytes], key: bytes, signature: bytes, digests: InputDigests | None
) -> None:
    asked = int.from_bytes(fields.get(r.SIGHASH_TYPE, b"\x01"), "little")
    if signature[-1] != asked:
        raise _unfit(place, f"the signature's hash type 0x{signature[-1]:02x} is not the one asked for")
    if digests is not None:
        ecdsa_verify_der(key, digests.digest(place).digest, signature[:-1])


def _signature_of(
    place: int, fields: dict[bytes, bytes], key_hash: bytes, digests: InputDigests | None
) -> tuple[bytes, bytes]:
    for key, signature in fields.items():
        if key[0] == 2 and hash160(key[1:]) == key_hash:
            _check_ecdsa(place, fields, key[1:], signature, digests)
            return signature, key[1:]
    raise _unsigned(place)


def _witness_script(
    place: int, fields: dict[bytes, bytes], program: bytes, digests: InputDigests | None
) -> tuple[bytes, ...]:
    script = fields.get(r.IN_WITNESS_SCRIPT)
    if script is None or sha256(script) != program[2:]:
        raise _unfit(place, "witness script is missing or does not hash to the spent output")
    return (b"", *_multisig_signatures(place, fields, script, digests), script)


def _multisig_signatures(
    place: int, fields: dict[bytes, bytes], script: bytes, digests: InputDigests | None
) -> list[bytes]:
    parsed = multisig(script)
    if parsed is None:
        raise _unfit(place, "only scripts of one key or of plain multisig are finalised here")
    threshold, keys = parsed
    signatures: list[bytes] = []
    for key in keys:
        signature = fields.get(r.PARTIAL_SIG + key)
        if signature is not None and len(signatures) < threshold:
            _check_ecdsa(place, fields, key, signature, digests)
            signatures.append(signature)
    if len(signatures) < threshold:
        raise _unsigned(place)
    return signatures


def extract(psbt: Psbt) -> Transaction:
    """The signed transaction; ``InvalidInputError`` (``input.psbt.unsigned``) if an input is not final."""
    inputs: list[TxIn] = []
    for place, (one, (outpoint, _, sequence, _)) in enumerate(zip(psbt.inputs, psbt.tx.inputs, strict=True)):
        fields = one.fields
        script_sig = fields.get(r.FINAL_SCRIPT_SIG)
        witness = fields.get(r.FINAL_WITNESS)
        if script_sig is None and witness is None:
            raise _unsigned(place)
        items = () if witness is None else read_stack(witness, 0)[0]
        inputs.append(TxIn(outpoint, script_sig or b"", sequence, items))
    return Transaction(psbt.tx.version, inputs, psbt.tx.outputs, psbt.tx.locktime)


def _unsigned(place: int) -> InvalidInputError:
    return InvalidInputError(f"psbt input {place} lacks a signature: sign it first", code="input.psbt.unsigned")


def _unfit(place: int, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {place}: {reason}", code="input.psbt.script")
