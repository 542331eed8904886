"""Combining, finalising and extracting PSBTs (BIP-174 roles), for single keys and plain multisig scripts."""

from __future__ import annotations

from typing import Final

from bursar.bitcoin.psbt import InputDigests, Psbt, PsbtInput
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.combining import combine
from bursar.bitcoin.script import ScriptType, classify, multisig, push
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.wire import sized, stack
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InvalidInputError

__all__ = ["combine", "extract", "finalize"]
_DROPPED: Final = frozenset(
    kind[0]
    for kind in (
        r.PARTIAL_SIG, r.SIGHASH_TYPE, r.IN_REDEEM_SCRIPT, r.IN_WITNESS_SCRIPT, r.IN_BIP32, r.TAP_KEY_SIG,
        r.TAP_SCRIPT_SIG, r.TAP_LEAF_SCRIPT, r.IN_TAP_BIP32, r.IN_TAP_INTERNAL_KEY, r.TAP_MERKLE_ROOT,
    )
)  # fmt: skip


def finalize(psbt: Psbt, *, verify: bool = True) -> Psbt:
    """A copy whose inputs carry their final script signatures and witnesses, and otherwise only what they spend.

    Every signature is verified unless ``verify=False``, which is for signatures verified already. Raises
    ``InvalidInputError``: ``input.psbt.unsigned`` for missing signatures, ``input.psbt.script`` for scripts that do
    not fit, ``InvalidSignatureError`` for a signature that does not verify.
    """
    digests = InputDigests(psbt, allow_any_sighash=True) if verify else None
    return psbt.with_inputs(
        [one.copy() if one.is_final else _finalized(psbt, place, one, digests) for place, one in enumerate(psbt.inputs)]
    )


def _finalized(psbt: Psbt, place: int, one: PsbtInput, digests: InputDigests | None) -> PsbtInput:
    fields = one.fields
    raw = psbt.utxo_bytes(place)
    start = raw[8:11]
    script_sig = witness = b""
    if start == b"\x16\x00\x14":
        witness = _key_witness(place, fields, raw[11:], digests)
    elif start == b"\x22\x51\x20":
        signature = _key_path_signature(place, fields, raw[11:], digests)
        witness = b"\x01" + sized(signature)
    elif start == b"\x19\x76\xa9" and raw[32:] == b"\x88\xac":
        signature, key = _signature_of(place, fields, raw[12:32], digests)
        script_sig = push(signature) + push(key)
    else:
        script_sig, witness = _scripted(place, fields, TxOut.parse(raw).script, digests)
    dropped = _DROPPED
    kept = {key: value for key, value in fields.items() if key[0] not in dropped}
    if script_sig:
        kept[r.FINAL_SCRIPT_SIG] = script_sig
    if witness:
        kept[r.FINAL_WITNESS] = witness
    return one.replaced(kept)


def _scripted(
    place: int, fields: dict[bytes, bytes], script: bytes, digests: InputDigests | None
) -> tuple[bytes, bytes]:
    """The final script signature and serialised witness of everything but the three bare key types."""
    kind = classify(script)
    if kind is ScriptType.P2WSH:
        return b"", _witness_script(place, fields, script, digests)
    if kind is not ScriptType.P2SH:
        raise _unfit(place, f"an output of type {kind.value} is not finalised here")
    redeem = fields.get(r.IN_REDEEM_SCRIPT)
    if redeem is None or hash160(redeem) != script[2:22]:
        raise _unfit(place, "redeem script is missing or does not hash to the spent output")
    inner = classify(redeem)
    if inner is ScriptType.P2WPKH:
        return push(redeem), _key_witness(place, fields, redeem[2:], digests)
    if inner is ScriptType.P2WSH:
        return push(redeem), _witness_script(place, fields, redeem, digests)
    signatures = _multisig_signatures(place, fields, redeem, digests)
    return b"\0" + b"".join([push(signature) for signature in signatures]) + push(redeem), b""


def _key_witness(place: int, fields: dict[bytes, bytes], key_hash: bytes, digests: InputDigests | None) -> bytes:
    signature, key = _signature_of(place, fields, key_hash, digests)
    if len(key) != 33:
        raise _unfit(place, "a segwit key must be compressed")
    return b"\x02" + sized(signature) + b"\x21" + key


def _key_path_signature(
    place: int, fields: dict[bytes, bytes], output_key: bytes, digests: InputDigests | None
) -> bytes:
    signature = fields.get(r.TAP_KEY_SIG)
    if signature is None:
        raise _unsigned(place)
    if len(signature) == 65 and signature[64] == 0:
        raise _unfit(place, "a taproot signature with hash type byte 0 is invalid")
    asked = fields.get(r.SIGHASH_TYPE)
    if asked is not None and asked[0] != (signature[64] if len(signature) == 65 else 0):
        raise _unfit(place, "the signature's hash type is not the one asked for")
    if digests is not None:
        schnorr_verify(output_key, digests.digest(place).digest, signature[:64])
    return signature


def _check_ecdsa(
    place: int, fields: dict[bytes, bytes], key: bytes, signature: bytes, digests: InputDigests | None
) -> None:
    asked = fields.get(r.SIGHASH_TYPE)
    if signature[-1] != (1 if asked is None else asked[0]):
        raise _unfit(place, f"the signature's hash type 0x{signature[-1]:02x} is not the one asked for")
    if digests is not None:
        ecdsa_verify_der(key, digests.digest(place).digest, signature[:-1])


def _signature_of(
    place: int, fields: dict[bytes, bytes], key_hash: bytes, digests: InputDigests | None
) -> tuple[bytes, bytes]:
    for field, signature in fields.items():
        if field[0] == 2 and hash160(field[1:]) == key_hash:
            key = field[1:]
            _check_ecdsa(place, fields, key, signature, digests)
            return signature, key
    raise _unsigned(place)


def _witness_script(place: int, fields: dict[bytes, bytes], program: bytes, digests: InputDigests | None) -> bytes:
    script = fields.get(r.IN_WITNESS_SCRIPT)
    if script is None or sha256(script) != program[2:]:
        raise _unfit(place, "witness script is missing or does not hash to the spent output")
    return stack((b"", *_multisig_signatures(place, fields, script, digests), script))


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
    """The signed transaction; ``InvalidInputError`` (``input.psbt.unsigned``) with no input, or one not final."""
    if not psbt.inputs:
        raise InvalidInputError("the psbt spends nothing: a transaction needs an input", code="input.psbt.unsigned")
    script_sigs: list[bytes] = []
    stacks: list[bytes] = []
    for place, one in enumerate(psbt.inputs):
        fields = one.fields
        script_sig = fields.get(r.FINAL_SCRIPT_SIG)
        witness = fields.get(r.FINAL_WITNESS)
        if script_sig is None and witness is None:
            raise _unsigned(place)
        script_sigs.append(script_sig or b"")
        stacks.append(witness or b"")
    return psbt.tx.with_proofs(script_sigs, stacks)


def _unsigned(place: int) -> InvalidInputError:
    return InvalidInputError(f"psbt input {place} lacks a signature: sign it first", code="input.psbt.unsigned")


def _unfit(place: int, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {place}: {reason}", code="input.psbt.script")
