"""Final script signatures and witnesses of P2SH, P2WSH and bare scripts (BIP-16, 141, 379)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.finalizing.signatures import InputSignatures, unfit, unsigned
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.script import ScriptType, classify, multisig, push
from bursar.bitcoin.wire import sized, stack
from bursar.crypto.hashes import hash160, sha256

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt


def scripted(psbt: Psbt, place: int, script: bytes, signatures: InputSignatures) -> tuple[bytes, bytes]:
    """The final script signature and serialised witness of an output that is neither of one key nor taproot."""
    kind = classify(script)
    if kind is ScriptType.P2WSH:
        return b"", witness_script(psbt, place, script, signatures)
    if kind is not ScriptType.P2SH:
        return _legacy(place, script, signatures), b""
    redeem = signatures.fields.get(r.IN_REDEEM_SCRIPT)
    if redeem is None or hash160(redeem) != script[2:22]:
        raise unfit(place, "redeem script is missing or does not hash to the spent output")
    inner = classify(redeem)
    if inner is ScriptType.P2WPKH:
        return push(redeem), key_witness(place, redeem[2:], signatures)
    if inner is ScriptType.P2WSH:
        return push(redeem), witness_script(psbt, place, redeem, signatures)
    return _legacy(place, redeem, signatures) + push(redeem), b""


def signature_of(place: int, key_hash: bytes, signatures: InputSignatures) -> tuple[bytes, bytes]:
    """The signature and the key that a hash of a key asks for."""
    for field in signatures.fields:
        if field[0] == r.PARTIAL_SIG[0] and hash160(field[1:]) == key_hash:
            signature = signatures.ecdsa(field[1:])
            assert signature is not None
            return signature, field[1:]
    raise unsigned(place)


def key_witness(place: int, key_hash: bytes, signatures: InputSignatures) -> bytes:
    """The serialised witness of a P2WPKH program."""
    signature, key = signature_of(place, key_hash, signatures)
    if len(key) != 33:
        raise unfit(place, "a segwit key must be compressed")
    return b"\x02" + sized(signature) + b"\x21" + key


def _legacy(place: int, script: bytes, signatures: InputSignatures) -> bytes:
    """What satisfies a script outside of segwit: one key, or plain multisig."""
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        signature, key = signature_of(place, script[3:23], signatures)
        return push(signature) + push(key)
    if kind is ScriptType.P2PK:
        found = signatures.ecdsa(script[1:-1])
        if found is None:
            raise unsigned(place)
        return push(found)
    if kind is ScriptType.MULTISIG:
        return b"\0" + b"".join([push(one) for one in _multisig_signatures(place, script, signatures)])
    raise unfit(place, f"a script of type {kind.value} is not finalised: one key or plain multisig is, outside segwit")


def _multisig_signatures(place: int, script: bytes, signatures: InputSignatures) -> list[bytes]:
    parsed = multisig(script)
    assert parsed is not None
    threshold, keys = parsed
    found: list[bytes] = []
    for key in keys:
        if len(found) == threshold:
            break
        signature = signatures.ecdsa(key)
        if signature is not None:
            found.append(signature)
    if len(found) < threshold:
        raise unsigned(place, f"{threshold - len(found)} of {threshold} signatures: have more of its cosigners sign")
    return found


def witness_script(psbt: Psbt, place: int, program: bytes, signatures: InputSignatures) -> bytes:
    """The serialised witness of a P2WSH program: multisig, or whatever miniscript."""
    script = signatures.fields.get(r.IN_WITNESS_SCRIPT)
    if script is None or sha256(script) != program[2:]:
        raise unfit(place, "witness script is missing or does not hash to the spent output")
    listed = multisig(script)
    if listed is not None and all(len(key) == 33 for key in listed[1]):
        return stack((b"", *_multisig_signatures(place, script, signatures), script))
    from bursar.bitcoin.finalizing.miniscripts import witness_stack

    return stack((*witness_stack(psbt, place, script, signatures), script))
