from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from embit import ec as embit_ec
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import secp256k1 as curve
from bursar.crypto.secp256k1 import ORDER
from bursar.errors import InvalidInputError

SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
ROOTS = st.just(b"") | st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize(
    ("internal", "root", "tweak", "output"),
    [  # BIP-341, wallet test vectors, the first two
        (
            "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d",
            "",
            "b86e7be8f39bab32a6f2c0443abbc210f0edac0e2c53d501b36b64437d9c6c70",
            "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
        ),
        (
            "187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27",
            "5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21",
            "cbd8679ba636c1110ea247542cfbd964131a6be84f873f7f3b62a777528ed001",
            "147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3",
        ),
    ],
)
def test_bip341_examples(internal: str, root: str, tweak: str, output: str) -> None:
    key, merkle_root = bytes.fromhex(internal), bytes.fromhex(root)
    assert curve.tap_tweak(key, merkle_root).hex() == tweak
    assert curve.taproot_output_key(key, merkle_root)[0].hex() == output


def test_bip341_official_vectors(official_vectors: Callable[[str], Path]) -> None:
    cases = json.loads(official_vectors("bip/bip0341.json").read_text())
    assert len(cases["scriptPubKey"]) == 7
    for case in cases["scriptPubKey"]:
        internal = bytes.fromhex(case["given"]["internalPubkey"])
        root = bytes.fromhex(case["intermediary"].get("merkleRoot") or "")
        output, parity = curve.taproot_output_key(internal, root)
        assert output.hex() == case["intermediary"]["tweakedPubkey"]
        for block in case["expected"].get("scriptPathControlBlocks", []):
            assert int(block[:2], 16) & 1 == parity
    inputs = cases["keyPathSpending"][0]["inputSpending"]
    assert len(inputs) == 7
    for case in inputs:
        secret = bytes.fromhex(case["given"]["internalPrivkey"])
        root = bytes.fromhex(case["given"]["merkleRoot"] or "")
        assert curve.public_key(secret)[1:].hex() == case["intermediary"]["internalPubkey"]
        tweaked = curve.taproot_tweak_secret(secret, root)
        assert tweaked.hex() == case["intermediary"]["tweakedPrivkey"]
        digest = bytes.fromhex(case["intermediary"]["sigHash"])
        witness = bytes.fromhex(case["expected"]["witness"][0])
        assert curve.schnorr_sign(tweaked, digest, bytes(32)) == witness[:64]


@given(SECRETS, ROOTS)
def test_both_halves_agree_and_so_does_another_implementation(secret: bytes, root: bytes) -> None:
    public = curve.public_key(secret)
    output, parity = curve.taproot_output_key(public[1:], root)
    tweaked = curve.taproot_tweak_secret(secret, root)
    assert curve.public_key(tweaked) == bytes((2 + parity,)) + output
    assert curve.taproot_tweak_secret(secret, root, public=public) == tweaked
    assert embit_ec.PublicKey.parse(public).taproot_tweak(root).xonly() == output


@pytest.mark.parametrize("length", [1, 20, 31, 33, 64])
def test_a_merkle_root_is_32_bytes(length: int) -> None:
    public = curve.public_key(b"\x01" * 32)
    with pytest.raises(InvalidInputError):
        curve.taproot_output_key(public[1:], bytes(length))
    with pytest.raises(InvalidInputError):
        curve.taproot_tweak_secret(b"\x01" * 32, bytes(length))


@pytest.mark.parametrize("internal", [b"", bytes(31), bytes(33), b"\xff" * 32, b"\x00" * 31 + b"\x05", "00" * 32])
def test_an_internal_key_is_a_point(internal: bytes) -> None:
    with pytest.raises(InvalidInputError):
        curve.taproot_output_key(internal)


def test_a_known_public_key_has_33_bytes() -> None:
    with pytest.raises(InvalidInputError):
        curve.taproot_tweak_secret(b"\x01" * 32, public=bytes(32))
