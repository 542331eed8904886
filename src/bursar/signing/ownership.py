"""Which keys stand in a script, and which keys a PSBT's fields claim (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt.fields import decode_origin, decode_tap_origin
from bursar.bitcoin.script import MAX_PUSH, MAX_SCRIPT, ScriptType, classify, multisig, push
from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import hash160, sha256, tagged_hash
from bursar.crypto.secp256k1 import taproot_output_key
from bursar.errors import InvalidInputError
from bursar.keys.origin import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
    from bursar.keys.origin import Fingerprint, KeyOrigin

_ECDSA_INPUT, _TAP_INPUT = 0x06, 0x16


def key_stands_in(script: bytes, public_key: bytes) -> bool:
    """Whether a signature of ``public_key`` can satisfy ``script`` (a script code, or an output script).

    Taproot outputs are not for this: their key is tweaked.
    """
    kind = classify(script)
    if kind is ScriptType.P2PKH:
        return script[3:23] == hash160(public_key)
    if kind is ScriptType.P2WPKH:
        return script[2:] == hash160(public_key)
    if kind is ScriptType.P2PK:
        return script[1:-1] == public_key
    keys = multisig(script)
    if keys is not None:
        return public_key in keys[1]
    return push(public_key) in script or push(hash160(public_key)) in script


def names_key_of(one: PsbtInput, fingerprint: Fingerprint) -> bool:
    """Whether the input names a key that derives from the master key ``fingerprint``; never true of 00000000."""
    return fingerprint != UNKNOWN and any(origin.fingerprint == fingerprint for _, origin in named_keys(one))


def named_keys(one: PsbtInput) -> Iterator[tuple[bytes, KeyOrigin]]:
    """The keys an input names and where they come from; taproot keys are x-only (32 bytes)."""
    for key, value in one.fields.items():
        if key[0] == _ECDSA_INPUT:
            yield key[1:], decode_origin(value)
        elif key[0] == _TAP_INPUT:
            yield key[1:], decode_tap_origin(value)[1]


def script_of_output(output: PsbtOutput, script: bytes) -> bytes | None:
    """The script a key of this output stands in, ``None`` where the PSBT proves none by its hashes, or one too long."""
    kind = classify(script)
    if kind is ScriptType.P2SH:
        redeem = output.redeem_script
        if redeem is None or len(redeem) > MAX_PUSH or hash160(redeem) != script[2:22]:
            return None
        script, kind = redeem, classify(redeem)
    if kind is ScriptType.P2WSH:
        witness_script = output.witness_script
        if witness_script is None or len(witness_script) > MAX_SCRIPT or sha256(witness_script) != script[2:]:
            return None
        return witness_script
    return script if len(script) <= MAX_SCRIPT else None


def taproot_key_matches(script: bytes, internal_key: bytes, merkle_root: bytes = b"") -> bool:
    """Whether ``internal_key`` (x-only) with this script tree makes the P2TR ``script`` (BIP-341)."""
    return script[2:] == taproot_output_key(internal_key, merkle_root)[0]


def control_block_matches(script: bytes, control: bytes, leaf: bytes) -> bool:
    """Whether a control block leads from ``leaf`` (script and version, BIP-371) to the P2TR ``script`` (BIP-341)."""
    if len(control) < 33 or (len(control) - 33) % 32 or len(control) > 33 + 32 * 128 or not leaf:
        return False
    version, inner = leaf[-1], leaf[:-1]
    if control[0] & 0xFE != version:
        return False
    node = tagged_hash("TapLeaf", bytes((version,)) + sized(inner))
    for at in range(33, len(control), 32):
        node = tagged_hash("TapBranch", b"".join(sorted((node, control[at : at + 32]))))
    try:
        output_key, parity = taproot_output_key(control[1:33], node)
    except InvalidInputError:  # no point on the curve
        return False
    return script[2:] == output_key and parity == control[0] & 1
