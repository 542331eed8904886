"""The output scripts of silent payments (BIP-352), made from the secret keys of the inputs, which stay here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.backends.software.branch import path_bytes
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.silent_payments import PayingInput, send_outputs
from bursar.crypto.secp256k1 import taproot_tweak_secret
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.software.branch import KeyTree
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.silent_payments import SilentPaymentAddress
    from bursar.keys.origin import KeyOrigin


def payment_scripts(
    keys: KeyTree, fingerprint: bytes, psbt: Psbt, recipients: Sequence[SilentPaymentAddress]
) -> tuple[bytes, ...]:
    """``InvalidInputError`` (``input.silent-payment``) where an input is not spent with one key of ours."""
    inputs = []
    try:
        for place, spending in enumerate(psbt.tx.inputs):
            script = psbt.utxo(place).script
            secret = _secret(keys, _origin(psbt, place, fingerprint), taproot=classify(script) is ScriptType.P2TR)
            inputs.append(PayingInput(spending.outpoint, script, secret))
        return send_outputs(inputs, recipients)
    finally:
        for one in inputs:
            if one.secret is not None:
                one.secret.wipe()


def _origin(psbt: Psbt, place: int, fingerprint: bytes) -> KeyOrigin:
    one = psbt.inputs[place]
    found = [*one.bip32_derivations.values(), *(origin for _, origin in one.tap_bip32_derivations.values())]
    if len(found) != 1 or bytes(found[0].fingerprint) != fingerprint or one.tap_merkle_root:
        raise InvalidInputError(
            f"no silent payment can be made: input {place} is not spent with one key of this keystore alone",
            code="input.silent-payment",
        )
    return found[0]


def _secret(keys: KeyTree, origin: KeyOrigin, *, taproot: bool) -> Secret:
    secret = keys.secret(path_bytes(origin.path))
    return Secret(taproot_tweak_secret(secret) if taproot else secret)
