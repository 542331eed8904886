from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ecdsa
import pytest
from ecdsa.util import sigdecode_string, sigencode_string_canonize
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import secp256k1 as curve
from bursar.crypto.known_answers import answers_hold
from bursar.crypto.secp256k1 import ORDER, EcdsaSignature
from bursar.errors import InvalidInputError, InvalidSignatureError

DIGESTS = st.binary(min_size=32, max_size=32)
SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
BAD_SECRETS = [
    bytes(32),
    ORDER.to_bytes(32, "big"),
    b"\xff" * 32,
    bytes(31),
    bytes(33),
    b"",
    bytearray(b"\x01" * 32),
    "01" * 32,
    None,
]
BAD_POINTS = [
    b"",
    bytes(33),
    b"\x02" + bytes(31) + b"\x05" * 2,
    b"\x02" + b"\xff" * 32,  # x not below the field's prime
    b"\x02" + bytes(31) + b"\x05",  # no point has x = 5
    b"\x05" + bytes(32),
    b"\x04" + bytes(64),
    b"\x00",
    bytearray(33),
    "02",
]


def test_hybrid_keys_are_refused() -> None:
    point = curve.uncompressed(curve.public_key(b"\x01" * 32))
    for first in (6, 7):
        with pytest.raises(InvalidInputError):
            curve.parse_public_key(bytes((first,)) + point[1:])


@given(SECRETS)
def test_public_keys_agree_with_another_implementation(secret: bytes) -> None:
    other = ecdsa.SigningKey.from_string(secret, curve=ecdsa.SECP256k1).verifying_key
    compressed = curve.public_key(secret)
    assert compressed == other.to_string("compressed")
    assert curve.uncompressed(compressed) == other.to_string("uncompressed")
    assert curve.parse_public_key(other.to_string("uncompressed")) == compressed
    assert curve.parse_public_key(compressed) == compressed
    assert curve.x_only(compressed) == curve.x_only(curve.uncompressed(compressed)) == compressed[1:]
    curve.check_secret_key(secret)


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_bad_secret_keys_are_refused_everywhere(secret: bytes) -> None:
    digest = bytes(32)
    calls = [
        lambda: curve.check_secret_key(secret),
        lambda: curve.public_key(secret),
        lambda: curve.tweak_add_secret(secret, digest),
        lambda: curve.ecdsa_sign(secret, digest),
        lambda: curve.ecdsa_sign(secret, digest, low_r=True),
        lambda: curve.ecdsa_sign_der(secret, digest),
        lambda: curve.ecdsa_sign_recoverable(secret, digest),
        lambda: curve.schnorr_sign(secret, digest),
        lambda: curve.taproot_tweak_secret(secret),
        lambda: curve.taproot_tweak_secret(secret, public=curve.public_key(b"\x01" * 32)),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert "ffff" not in str(caught.value)


@pytest.mark.parametrize("point", BAD_POINTS)
def test_bad_public_keys_are_refused_everywhere(point: bytes) -> None:
    digest = bytes(32)
    for call in (
        lambda: curve.parse_public_key(point),
        lambda: curve.uncompressed(point),
        lambda: curve.tweak_add_public(point, digest),
        lambda: curve.ecdsa_verify(point, digest, b"\x01" * 64),
        lambda: curve.ecdsa_verify_der(point, digest, bytes.fromhex("3006020101020101")),
    ):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert not isinstance(caught.value, InvalidSignatureError)


@pytest.mark.parametrize("point", [b"", bytes(33), bytes(32), b"\x06" + bytes(64)])
def test_x_only_checks_the_shape(point: bytes) -> None:
    with pytest.raises(InvalidInputError):
        curve.x_only(point)


@given(SECRETS, SECRETS)
def test_tweaks_agree_on_both_halves(secret: bytes, tweak: bytes) -> None:
    total = (int.from_bytes(secret, "big") + int.from_bytes(tweak, "big")) % ORDER
    point = curve.public_key(secret)
    if total == 0:
        for call in (lambda: curve.tweak_add_secret(secret, tweak), lambda: curve.tweak_add_public(point, tweak)):
            with pytest.raises(InvalidInputError):
                call()
        return
    child = curve.tweak_add_secret(secret, tweak)
    assert child == total.to_bytes(32, "big")
    assert curve.tweak_add_public(point, tweak) == curve.public_key(child)
    assert curve.tweak_add_public(curve.uncompressed(point), tweak) == curve.public_key(child)


def test_edge_tweaks() -> None:
    secret, point = b"\x07" * 32, curve.public_key(b"\x07" * 32)
    assert curve.tweak_add_secret(secret, bytes(32)) == secret
    assert curve.tweak_add_public(point, bytes(32)) == point
    assert curve.tweak_add_public(point, secret) == curve.public_key(b"\x0e" * 32)  # doubling
    opposite = (ORDER - int.from_bytes(secret, "big")).to_bytes(32, "big")
    for tweak in (opposite, ORDER.to_bytes(32, "big"), b"\xff" * 32, bytes(31), bytes(33)):
        with pytest.raises(InvalidInputError):
            curve.tweak_add_secret(secret, tweak)
        with pytest.raises(InvalidInputError):
            curve.tweak_add_public(point, tweak)


@given(SECRETS, DIGESTS)
def test_s3_signatures_are_those_of_rfc6979(secret: bytes, digest: bytes) -> None:
    """S3: a nonce depends on key and digest alone, so no random source can repeat one."""
    signature = curve.ecdsa_sign(secret, digest)
    key = ecdsa.SigningKey.from_string(secret, curve=ecdsa.SECP256k1)
    expected = key.sign_digest_deterministic(digest, hashlib.sha256, sigencode_string_canonize)
    assert signature == expected
    assert curve.ecdsa_sign(secret, digest) == signature
    key.verifying_key.verify_digest(signature, digest, sigdecode_string)
    curve.ecdsa_verify(curve.public_key(secret), digest, signature)


def test_s3_different_digests_never_share_a_nonce() -> None:
    secret = b"\x07" * 32
    nonces = {curve.ecdsa_sign(secret, number.to_bytes(32, "big"))[:32] for number in range(500)}
    assert len(nonces) == 500


@pytest.mark.parametrize(
    ("secret", "message", "signature"),
    [  # the vectors that several Bitcoin implementations share for RFC 6979 with SHA-256 and low S
        (
            1,
            b"Satoshi Nakamoto",
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
            "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
        ),
        (
            1,
            b"All those moments will be lost in time, like tears in rain. Time to die...",
            "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
            "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
        ),
        (
            ORDER - 1,
            b"Satoshi Nakamoto",
            "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0"
            "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
        ),
    ],
)
def test_s3_known_rfc6979_answers(secret: int, message: bytes, signature: str) -> None:
    digest = hashlib.sha256(message).digest()
    assert curve.ecdsa_sign(secret.to_bytes(32, "big"), digest).hex() == signature


@given(SECRETS, DIGESTS)
def test_s1_output_is_always_low_s_and_strict(secret: bytes, digest: bytes) -> None:
    point = curve.public_key(secret)
    plain = EcdsaSignature.from_compact(curve.ecdsa_sign(secret, digest))
    der = curve.ecdsa_sign_der(secret, digest)
    recoverable = curve.ecdsa_sign_recoverable(secret, digest)
    assert EcdsaSignature.from_der(der) == plain
    assert plain.to_der() == der
    assert (recoverable.r, recoverable.s) == (plain.r, plain.s)
    assert recoverable.low_s
    assert recoverable == EcdsaSignature(recoverable.r, recoverable.s, recoverable.y_parity)
    assert hash(recoverable) == hash(EcdsaSignature(recoverable.r, recoverable.s, recoverable.y_parity))
    curve.ecdsa_verify_der(point, digest, der)
    assert curve.ecdsa_recover(digest, recoverable) == point


@given(SECRETS, DIGESTS)
def test_low_r_grinds_as_bitcoin_core_does(secret: bytes, digest: bytes) -> None:
    key = ecdsa.SigningKey.from_string(secret, curve=ecdsa.SECP256k1)
    expected, counter = key.sign_digest_deterministic(digest, hashlib.sha256, sigencode_string_canonize), 0
    while expected[0] >= 0x80:
        counter += 1
        extra = counter.to_bytes(32, "little")
        expected = key.sign_digest_deterministic(digest, hashlib.sha256, sigencode_string_canonize, extra)
    signature = curve.ecdsa_sign(secret, digest, low_r=True)
    assert signature == expected
    der = curve.ecdsa_sign_der(secret, digest, low_r=True)
    assert EcdsaSignature.from_compact(signature).to_der() == der
    assert len(der) <= 70
    curve.ecdsa_verify(curve.public_key(secret), digest, signature)


@given(SECRETS, DIGESTS, st.data())
def test_s1_a_mutated_signature_digest_or_key_does_not_verify(
    secret: bytes, digest: bytes, data: st.DataObject
) -> None:
    point = curve.public_key(secret)
    good = [curve.ecdsa_sign(secret, digest), digest]
    which = data.draw(st.integers(0, 1))
    changed = bytearray(good[which])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    good[which] = bytes(changed)
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify(point, good[1], good[0])
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify(curve.tweak_add_public(point, b"\x01" * 32), digest, curve.ecdsa_sign(secret, digest))


@given(SECRETS, DIGESTS)
def test_s1_high_s_does_not_verify_unless_allowed(secret: bytes, digest: bytes) -> None:
    point = curve.public_key(secret)
    low = curve.ecdsa_sign_recoverable(secret, digest)
    assert low.y_parity is not None
    high = EcdsaSignature(low.r, ORDER - low.s, low.y_parity ^ 1)
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify(point, digest, high.compact())
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify_der(point, digest, high.to_der())
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_recover(digest, high)
    curve.ecdsa_verify_der(point, digest, high.to_der(), allow_high_s=True)
    assert curve.ecdsa_recover(digest, high, allow_high_s=True) == point


@given(SECRETS, DIGESTS)
def test_s1_the_other_parity_recovers_another_key(secret: bytes, digest: bytes) -> None:
    signature = curve.ecdsa_sign_recoverable(secret, digest)
    assert signature.y_parity is not None
    other = EcdsaSignature(signature.r, signature.s, signature.y_parity ^ 1)
    assert curve.ecdsa_recover(digest, other) != curve.public_key(secret)
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_recover(digest, EcdsaSignature(signature.r, signature.s))


def test_recovery_refuses_an_r_without_a_point() -> None:
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_recover(b"\x01" * 32, EcdsaSignature(5, 1, 0))


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), bytearray(32), "00" * 32])
def test_digests_are_32_bytes(digest: bytes) -> None:
    secret, point = b"\x01" * 32, curve.public_key(b"\x01" * 32)
    signature = curve.ecdsa_sign_recoverable(secret, bytes(32))
    for call in (
        lambda: curve.ecdsa_sign(secret, digest),
        lambda: curve.ecdsa_sign_der(secret, digest),
        lambda: curve.ecdsa_sign_recoverable(secret, digest),
        lambda: curve.ecdsa_verify(point, digest, signature.compact()),
        lambda: curve.ecdsa_verify_der(point, digest, signature.to_der()),
        lambda: curve.ecdsa_recover(digest, signature),
        lambda: curve.schnorr_sign(secret, digest),
        lambda: curve.schnorr_verify(point[1:], digest, signature.compact()),
        lambda: curve.tweak_add_secret(secret, digest),
    ):
        with pytest.raises(InvalidInputError):
            call()


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(65), bytearray(64), b"\xff" * 64, bytes(64)])
def test_misshapen_signatures_do_not_verify(signature: bytes) -> None:
    point = curve.public_key(b"\x01" * 32)
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify(point, bytes(32), signature)
    with pytest.raises(InvalidSignatureError):
        curve.ecdsa_verify_der(point, bytes(32), signature)
    with pytest.raises(InvalidSignatureError):
        curve.schnorr_verify(point[1:], bytes(32), signature)


def test_threads_do_not_share_buffers() -> None:
    secrets = [os.urandom(32) for _ in range(200)]
    digest = bytes(32)

    def work(secret: bytes) -> tuple[bytes, ...]:
        point = curve.public_key(secret)
        signature = curve.ecdsa_sign(secret, digest)
        curve.ecdsa_verify(point, digest, signature)
        schnorr = curve.schnorr_sign(secret, digest, digest)
        curve.schnorr_verify(point[1:], digest, schnorr)
        return point, signature, schnorr, curve.taproot_output_key(point[1:])[0]

    expected = [work(secret) for secret in secrets]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(work, secrets)) == expected


def test_no_key_stays_in_a_buffer() -> None:
    curve.schnorr_sign(b"\x07" * 32, bytes(32))
    assert bytes(curve._scratch.keypair_bytes) == bytes(96)
    curve.tweak_add_secret(b"\x07" * 32, bytes(32))
    curve.taproot_tweak_secret(b"\x07" * 32)
    with pytest.raises(InvalidInputError):
        curve.tweak_add_secret(b"\x07" * 32, b"\xff" * 32)
    assert bytes(curve._scratch.secret_bytes) == bytes(32)


def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)


ANSWERS = """
import hashlib
from bursar.crypto import bulk, secp256k1 as curve

def answers():
    state = hashlib.sha256()
    for number in range(1, 30):
        key, digest = number.to_bytes(32, "big"), hashlib.sha256(bytes([number])).digest()
        point = curve.public_key(key)
        for answer in (
            point,
            curve.ecdsa_sign_der(key, digest, low_r=True),
            curve.ecdsa_sign_recoverable(key, digest).compact(),
            curve.schnorr_sign(key, digest, digest),
            curve.taproot_output_key(point[1:])[0],
            curve.taproot_tweak_secret(key),
            *bulk.tweak_add_publics_taproot(point, [digest]),
            *bulk.public_keys_uncompressed(key, [digest]),
        ):
            state.update(answer)
    return state.hexdigest()
"""


@pytest.mark.parametrize(("choice", "module"), [("btclib", "btclib_secp256k1"), ("coincurve", "coincurve")])
def test_either_library_gives_the_same_answers(choice: str, module: str) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed: its answers are not compared")
    here: dict[str, Any] = {}
    exec(ANSWERS, here)
    done = run(ANSWERS + "print(curve.LIBRARY, answers())", BURSAR_SECP256K1=choice)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [choice, here["answers"]()]


def test_an_unknown_library_is_refused() -> None:
    done = run("import bursar.crypto.secp256k1", BURSAR_SECP256K1="openssl")
    assert done.returncode == 1
    assert "BURSAR_SECP256K1 is btclib or coincurve, not 'openssl'" in done.stderr


def test_a_chosen_library_is_not_replaced_by_the_other() -> None:
    done = run(
        "import sys\nsys.modules['btclib_secp256k1'] = None\nimport bursar.crypto.secp256k1",
        BURSAR_SECP256K1="btclib",
    )
    assert done.returncode == 1
    assert "no libsecp256k1" in done.stderr


def test_without_any_library_the_error_says_what_to_install() -> None:
    done = run(
        "import sys\nsys.modules['btclib_secp256k1'] = None\nsys.modules['coincurve'] = None\n"
        "import bursar.crypto.secp256k1",
        BURSAR_SECP256K1="",
    )
    assert done.returncode == 1
    assert "install btclib-secp256k1" in done.stderr


def test_coincurve_takes_the_place_of_a_missing_btclib() -> None:
    pytest.importorskip("coincurve", reason="coincurve is not installed: it cannot take btclib's place")
    done = run(
        "import sys\nsys.modules['btclib_secp256k1'] = None\nimport bursar.crypto.secp256k1 as c\nprint(c.LIBRARY)",
        BURSAR_SECP256K1="",
    )
    assert done.stdout.strip() == "coincurve", done.stderr


class Faulty:
    """The curve with one operation replaced."""

    def __init__(self, name: str, replacement: object) -> None:
        setattr(self, name, replacement)

    def __getattr__(self, name: str) -> object:
        return getattr(curve, name)


@pytest.mark.parametrize(
    "name",
    [
        "public_key",
        "parse_public_key",
        "tweak_add_public",
        "tweak_add_secret",
        "taproot_output_key",
        "ecdsa_sign",
        "ecdsa_recover",
        "schnorr_sign",
    ],
)
def test_known_answers_catch_a_wrong_operation(name: str) -> None:
    assert answers_hold(curve)
    assert not answers_hold(Faulty(name, lambda *_: bytes(64)))


@pytest.mark.parametrize("name", ["ecdsa_verify", "schnorr_verify"])
def test_known_answers_catch_a_verifier_that_says_yes_or_no_to_all(name: str) -> None:
    def refuse(*_: bytes) -> None:
        raise InvalidSignatureError("no")

    assert not answers_hold(Faulty(name, lambda *_: None))
    assert not answers_hold(Faulty(name, refuse))


def test_a_library_that_fails_its_known_answers_is_not_used() -> None:
    done = run(
        "import bursar.crypto.known_answers as k\nk.answers_hold = lambda curve: False\nimport bursar.crypto.secp256k1"
    )
    assert done.returncode == 1
    assert "gave a wrong answer: do not use it" in done.stderr
