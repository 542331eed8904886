from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from embit import ec as embit_ec
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import secp256k1 as curve
from bursar.crypto.schnorr_key import SchnorrKey
from bursar.crypto.secp256k1 import ORDER
from bursar.errors import InvalidInputError, InvalidSignatureError

DIGESTS = st.binary(min_size=32, max_size=32)
SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))


def test_bip340_first_vector() -> None:
    secret = (3).to_bytes(32, "big")
    signature = curve.schnorr_sign(secret, bytes(32), bytes(32))
    assert signature.hex().upper() == (
        "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA8215"
        "25F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0"
    )
    curve.schnorr_verify(curve.public_key(secret)[1:], bytes(32), signature)


def test_bip340_official_vectors(official_vectors: Callable[[str], Path]) -> None:
    with official_vectors("bip/bip0340.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 19
    for row in rows:
        public, message, signature = (bytes.fromhex(row[name]) for name in ("public key", "message", "signature"))
        if len(message) != 32:  # the wallet signs and verifies digests only
            with pytest.raises(InvalidInputError):
                curve.schnorr_verify(public, message, signature)
            continue
        if row["secret key"]:
            secret, aux = bytes.fromhex(row["secret key"]), bytes.fromhex(row["aux_rand"])
            assert curve.public_key(secret)[1:] == public
            assert curve.schnorr_sign(secret, message, aux) == signature
            assert SchnorrKey(secret).sign(message, aux) == signature
        if row["verification result"] == "TRUE":
            curve.schnorr_verify(public, message, signature)
        else:
            with pytest.raises(InvalidInputError):  # not a point, or InvalidSignatureError below it
                curve.schnorr_verify(public, message, signature)


@given(SECRETS, DIGESTS, DIGESTS)
def test_agrees_with_another_implementation(secret: bytes, digest: bytes, aux: bytes) -> None:
    signature = curve.schnorr_sign(secret, digest, aux)
    other = embit_ec.PrivateKey(secret)
    assert other.get_public_key().schnorr_verify(embit_ec.SchnorrSig.parse(signature), digest)
    with SchnorrKey(secret) as key:
        assert key.sign(digest, aux) == signature
    curve.schnorr_verify(curve.public_key(secret)[1:], digest, signature)


def test_without_aux_each_signature_is_fresh_and_valid() -> None:
    secret, digest = b"\x07" * 32, bytes(32)
    public = curve.public_key(secret)[1:]
    signatures = {curve.schnorr_sign(secret, digest) for _ in range(5)} | {SchnorrKey(secret).sign(digest)}
    assert len(signatures) == 6
    for signature in signatures:
        curve.schnorr_verify(public, digest, signature)


@given(SECRETS, DIGESTS)
def test_a_signature_is_refused_under_another_public_key(secret: bytes, digest: bytes) -> None:
    public = curve.public_key(secret)[1:]
    assert curve.schnorr_sign(secret, digest, digest, public=public) == curve.schnorr_sign(secret, digest, digest)
    other = curve.public_key(b"\x05" * 32)[1:]
    for wrong in (other, b"", public + b"\x00", b"\x02" + public):
        if wrong != public:
            with pytest.raises(InvalidInputError, match="does not belong"):
                curve.schnorr_sign(secret, digest, digest, public=wrong)
    assert bytes(curve._scratch.keypair_bytes) == bytes(96)


@given(SECRETS, DIGESTS, st.data())
def test_s1_a_mutated_signature_does_not_verify(secret: bytes, digest: bytes, data: st.DataObject) -> None:
    public = curve.public_key(secret)[1:]
    changed = bytearray(curve.schnorr_sign(secret, digest, digest))
    changed[data.draw(st.integers(0, 63))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(InvalidSignatureError):
        curve.schnorr_verify(public, digest, bytes(changed))


@pytest.mark.parametrize("aux", [b"", bytes(31), bytes(33), "00"])
def test_aux_is_32_bytes(aux: bytes) -> None:
    for sign in (SchnorrKey(b"\x01" * 32).sign, lambda message, aux: curve.schnorr_sign(b"\x01" * 32, message, aux)):
        with pytest.raises(InvalidInputError):
            sign(bytes(32), aux)


@pytest.mark.parametrize("public", [bytes(32), b"\xff" * 32, bytes(31), bytes(33), b"\x00" * 31 + b"\x05"])
def test_bad_public_keys_are_refused(public: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        curve.schnorr_verify(public, bytes(32), bytes(64))
    assert not isinstance(caught.value, InvalidSignatureError)


def test_a_wiped_key_signs_no_more() -> None:
    key = SchnorrKey(b"\x07" * 32)
    buffer = curve.ffi.buffer(key._keypair)
    assert "07" not in repr(key)
    key.wipe()
    key.wipe()
    assert bytes(buffer) == bytes(96)
    with pytest.raises(InvalidInputError, match="wiped"):
        key.sign(bytes(32))


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, bytes(31), "07" * 32])
def test_bad_secret_keys_are_refused(secret: bytes) -> None:
    with pytest.raises(InvalidInputError):
        SchnorrKey(secret)
