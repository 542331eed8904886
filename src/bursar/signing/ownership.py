"""Which keys stand in a script, and which keys a PSBT's fields claim (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt.fields import decode_origin, decode_tap_origin
from bursar.bitcoin.psbt.script_keys import key_stands_in
from bursar.bitcoin.psbt.taproot import control_block_matches
from bursar.bitcoin.psbt.taproot import output_key_matches as taproot_key_matches
from bursar.bitcoin.script import MAX_PUSH, MAX_SCRIPT, ScriptType, classify
from bursar.crypto.hashes import hash160, sha256
from bursar.keys.origin import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
    from bursar.keys.origin import Fingerprint, KeyOrigin

__all__ = [
    "control_block_matches",
    "key_stands_in",
    "named_keys",
    "names_key_of",
    "script_of_output",
    "taproot_key_matches",
]
_ECDSA_INPUT, _TAP_INPUT = 0x06, 0x16


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
