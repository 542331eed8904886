"""Silent payments (BIP-352) with secret keys, which stay here: the scripts of those made, signatures of those spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.backends.software.branch import path_bytes
from bursar.bitcoin.psbt import InputDigests, note_signature
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.sighash import DEFAULT
from bursar.bitcoin.silent_payments import PayingInput, send_outputs
from bursar.bitcoin.silent_payments.sweeping import SilentSpend, silent_spend
from bursar.crypto.payment_points import check_tweak
from bursar.crypto.secp256k1 import (
    public_key,
    schnorr_sign,
    schnorr_verify,
    taproot_tweak_secret,
    tweak_add_secret,
)
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, InvalidSignatureError, SignerError
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType, silent_payment_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.software.branch import KeyTree
    from bursar.bitcoin.psbt import InputDigest, Psbt
    from bursar.bitcoin.silent_payments import SilentPaymentAddress
    from bursar.keys.origin import KeyOrigin

_TAP_KEY_SIG: Final = b"\x13"
_TX_MODIFIABLE: Final = b"\x06"
_COINS: Final = (CoinType.BITCOIN, CoinType.TESTNET)


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


def sign_spends(keys: KeyTree, fingerprint: bytes, psbt: Psbt) -> Psbt:
    """A copy of a version 2 PSBT with the signature of every input, each of them a silent payment to a key of ours.

    ``InvalidInputError``: ``input.psbt.silent-payment`` for an input that is none, or is signed already,
    ``input.psbt.key`` where spend key and tweak do not make the key of the output spent, and what ``InputDigests``
    and a signer of PSBTs refuse.
    """
    outpoints = {one.outpoint for one in psbt.tx.inputs}
    if not outpoints or len(outpoints) != len(psbt.tx.inputs):
        raise InvalidInputError(
            "psbt refused: it spends nothing, or an outpoint twice: such a transaction is never valid",
            code="input.psbt.duplicate-input",
        )
    signed = psbt.copy()
    digests = InputDigests(psbt)
    for place, one in enumerate(signed.inputs):
        spent = silent_spend(psbt, place)
        asked = digests.digest(place)
        if asked.script_type is not ScriptType.P2TR or one.is_final or _TAP_KEY_SIG in one.fields:
            raise InvalidInputError(
                f"psbt refused: input {place} is no silent payment still to be signed",
                code="input.psbt.silent-payment",
            )
        output_key = asked.script[2:]
        with _output_secret(keys, fingerprint, place, spent, output_key) as secret:
            signature = schnorr_sign(secret.expose(), asked.digest, public=output_key)
        one.fields[_TAP_KEY_SIG] = _verified(place, output_key, asked, signature)
        if _TX_MODIFIABLE in signed.fields:
            note_signature(signed, asked.sighash)
    return signed


def _output_secret(keys: KeyTree, fingerprint: bytes, place: int, spent: SilentSpend, output_key: bytes) -> Secret:
    """The key of the very output, from no other place than where spend keys are kept."""
    steps = spent.origin.path.indexes
    usual = [silent_payment_paths(coin, steps[2] - HARDENED)[1] for coin in _COINS] if _has_number(steps) else []
    if bytes(spent.origin.fingerprint) != fingerprint or spent.origin.path not in usual:
        raise InvalidInputError(
            f"psbt refused: input {place} names the key {spent.origin}, which is no spend key of this keystore",
            code="input.psbt.silent-payment",
        )
    with spent.tweak as tweak, Secret(keys.secret(path_bytes(spent.origin.path))) as spend:
        check_tweak(tweak.expose())
        secret = Secret(tweak_add_secret(spend.expose(), tweak.expose()))
        if public_key(spend.expose()) == spent.spend and public_key(secret.expose())[1:] == output_key:
            return secret
    secret.wipe()
    raise InvalidInputError(
        f"psbt refused: input {place} spends an output whose key is not our spend key and this tweak: scan its block "
        "again",
        code="input.psbt.key",
    )


def _has_number(steps: Sequence[int]) -> bool:
    return len(steps) == 5 and steps[2] >= HARDENED


def _verified(place: int, output_key: bytes, asked: InputDigest, signature: bytes) -> bytes:
    """Whether or not it was asked for: one signature that does not verify may give the spend key away."""
    try:
        schnorr_verify(output_key, asked.digest, signature)
    except InvalidSignatureError as error:
        raise SignerError(
            f"the signature of input {place} does not verify: this machine computes wrongly, do not sign on it",
            code="signer.fault",
        ) from error
    return signature if asked.sighash == DEFAULT else signature + bytes((asked.sighash,))
