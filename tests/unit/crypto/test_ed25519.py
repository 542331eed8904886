"""Ed25519: RFC 8032's vectors, sums of public keys against a second implementation, keys that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto.ed25519 import combine, verify
from bursar.errors import InvalidInputError, InvalidSignatureError

# RFC 8032, 7.1, tests 1 to 3: public key, message, signature
VECTORS = (
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)
KEYS = tuple(bytes.fromhex(key) for key, _, _ in VECTORS)
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19
NO_KEYS = (
    b"",
    bytes(31),
    bytes(33),
    (1).to_bytes(32, "little"),  # the neutral point
    (1 | 1 << 255).to_bytes(32, "little"),
    bytes(32),  # of order 4
    (P - 1).to_bytes(32, "little"),  # of order 2
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # of order 8
    (P + 1).to_bytes(32, "little"),  # not canonical
    (2).to_bytes(32, "little"),  # not on the curve
)


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_rfc_8032(key: str, message: str, signature: str) -> None:
    public, said, signed = (bytes.fromhex(text) for text in (key, message, signature))
    verify(public, said, signed)
    for at in range(64):
        with pytest.raises(InvalidSignatureError):
            verify(public, said, signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :])
    with pytest.raises(InvalidSignatureError):
        verify(public, said + b"\0", signed)
    with pytest.raises(InvalidSignatureError):
        verify(public, said, signed[:-1])
    larger = (int.from_bytes(signed[32:], "little") + L).to_bytes(32, "little")
    with pytest.raises(InvalidSignatureError):
        verify(public, said, signed[:32] + larger)


@pytest.mark.parametrize("key", NO_KEYS)
def test_no_key(key: bytes) -> None:
    with pytest.raises(InvalidInputError, match="no ed25519 public key"):
        verify(key, b"", bytes(64))
    with pytest.raises(InvalidInputError, match="no ed25519 public key"):
        combine([KEYS[0], key])


def test_one_key_is_its_own_sum() -> None:
    assert [combine([key]) for key in KEYS] == list(KEYS)


def test_keys_that_cancel_out_are_no_key() -> None:
    negative = KEYS[0][:31] + bytes([KEYS[0][31] ^ 0x80])
    assert combine([KEYS[0], KEYS[1], negative]) == KEYS[1]
    with pytest.raises(InvalidInputError, match="no ed25519 public key"):
        combine([KEYS[0], negative])


@pytest.mark.parametrize("keys", [(), (KEYS[0], KEYS[0]), KEYS * 3])
def test_none_twice_or_too_many(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidInputError, match="different public keys"):
        combine(keys)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True))
def test_sums_agree_with_trezorlib(seeds: list[bytes]) -> None:
    cosi = pytest.importorskip("trezorlib.cosi")
    keys = [cosi.pubkey_from_privkey(seed) for seed in seeds]
    combined = combine(keys)
    assert combined == cosi.combine_keys(keys) == combine(keys[::-1])
    verify(combined, b"said by all", cosi.sign_with_privkeys(b"said by all", seeds))


@given(st.binary(max_size=40), st.binary(max_size=70))
def test_garbage(key: bytes, signature: bytes) -> None:
    with pytest.raises(InvalidInputError):
        verify(key, b"", signature)
