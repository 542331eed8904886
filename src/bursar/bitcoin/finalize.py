"""Finalising and extracting PSBTs (BIP-174, BIP-371): single keys, multisig, miniscript, script trees."""

from __future__ import annotations

from typing import Final

from bursar.bitcoin.finalizing.scripts import key_witness, scripted, signature_of
from bursar.bitcoin.finalizing.signatures import InputSignatures, unsigned
from bursar.bitcoin.psbt import InputDigests, Psbt, PsbtInput
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.combining import combine
from bursar.bitcoin.script import push
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.wire import sized
from bursar.errors import InvalidInputError

__all__ = ["combine", "extract", "finalize"]
_DROPPED: Final = frozenset(
    kind[0]
    for kind in (
        r.PARTIAL_SIG, r.SIGHASH_TYPE, r.IN_REDEEM_SCRIPT, r.IN_WITNESS_SCRIPT, r.IN_BIP32, r.TAP_KEY_SIG,
        r.TAP_SCRIPT_SIG, r.TAP_LEAF_SCRIPT, r.IN_TAP_BIP32, r.IN_TAP_INTERNAL_KEY, r.TAP_MERKLE_ROOT, r.RIPEMD160,
        r.SHA256, r.HASH160, r.HASH256, r.IN_MUSIG2_PARTICIPANTS, r.MUSIG2_PUB_NONCE, r.MUSIG2_PARTIAL_SIG,
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
    signatures = InputSignatures(place, fields, digests)
    if start == b"\x16\x00\x14":
        witness = key_witness(place, raw[11:], signatures)
    elif start == b"\x22\x51\x20":
        signature = signatures.key_path(raw[11:])
        if signature is not None:
            witness = b"\x01" + sized(signature)
        else:
            from bursar.bitcoin.finalizing.taproot import script_path

            witness = script_path(psbt, place, raw[9:], signatures)
    elif start == b"\x19\x76\xa9" and raw[32:] == b"\x88\xac":
        signature, key = signature_of(place, raw[12:32], signatures)
        script_sig = push(signature) + push(key)
    else:
        script_sig, witness = scripted(psbt, place, TxOut.parse(raw).script, signatures)
    dropped = _DROPPED
    kept = {key: value for key, value in fields.items() if key[0] not in dropped}
    if script_sig:
        kept[r.FINAL_SCRIPT_SIG] = script_sig
    if witness:
        kept[r.FINAL_WITNESS] = witness
    return one.replaced(kept)


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
            raise unsigned(place)
        script_sigs.append(script_sig or b"")
        stacks.append(witness or b"")
    return psbt.tx.with_proofs(script_sigs, stacks)
