from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import bulk, secp256k1
from bursar.crypto import secp256k1 as curve
from bursar.crypto.secp256k1 import ORDER
from bursar.errors import InvalidInputError

SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
TWEAKS = st.lists(SECRETS | st.just(bytes(32)), max_size=8)
SECRET = b"\x07" * 32
PUBLIC = curve.public_key(SECRET)
OPPOSITE = (ORDER - int.from_bytes(SECRET, "big")).to_bytes(32, "big")


@given(SECRETS, TWEAKS)
def test_agree_with_one_at_a_time(secret: bytes, tweaks: list[bytes]) -> None:
    public = curve.public_key(secret)
    opposite = (ORDER - int.from_bytes(secret, "big")).to_bytes(32, "big")
    tweaks = [tweak for tweak in tweaks if tweak != opposite]
    single = [curve.tweak_add_public(public, tweak) for tweak in tweaks]
    long = [curve.uncompressed(key) for key in single]
    outputs = [curve.taproot_output_key(key[1:])[0] for key in single]
    assert bulk.tweak_add_publics(public, tweaks) == bulk.public_keys(secret, tweaks) == single
    assert bulk.tweak_add_publics_uncompressed(public, tweaks) == bulk.public_keys_uncompressed(secret, tweaks) == long
    assert bulk.tweak_add_publics_taproot(public, tweaks) == bulk.public_keys_taproot(secret, tweaks) == outputs


def test_of_a_long_tweak_the_first_32_bytes_count() -> None:
    assert bulk.tweak_add_publics(PUBLIC, [SECRET + bytes(32)]) == bulk.tweak_add_publics(PUBLIC, [SECRET])


@pytest.mark.parametrize("bad", [OPPOSITE, ORDER.to_bytes(32, "big"), b"\xff" * 64])
def test_the_tweak_without_a_key_is_named(bad: bytes) -> None:
    for many in (bulk.tweak_add_publics, bulk.tweak_add_publics_uncompressed, bulk.tweak_add_publics_taproot):
        with pytest.raises(InvalidInputError, match="tweak 2 of"):
            many(PUBLIC, [SECRET, SECRET, bad, SECRET])
    for many in (bulk.public_keys, bulk.public_keys_uncompressed, bulk.public_keys_taproot):
        with pytest.raises(InvalidInputError, match="tweak 2 of"):
            many(SECRET, [SECRET, SECRET, bad, SECRET])


@pytest.mark.parametrize("bad", [b"", bytes(31), bytearray(32), "00" * 32, None])
def test_short_tweaks_never_reach_the_library(bad: bytes) -> None:
    with pytest.raises(InvalidInputError, match="32 bytes"):
        bulk.tweak_add_publics(PUBLIC, [SECRET, bad])
    with pytest.raises(InvalidInputError, match="32 bytes"):
        bulk.public_keys(SECRET, [SECRET, bad])


def test_bad_parents_are_refused() -> None:
    for public in (bytes(33), b"", b"\x02" + b"\xff" * 32):
        with pytest.raises(InvalidInputError):
            bulk.tweak_add_publics(public, [SECRET])
    for secret in (bytes(32), b"", b"\xff" * 32):
        with pytest.raises(InvalidInputError):
            bulk.public_keys(secret, [SECRET])


def test_a_taproot_tweak_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def update(self, data: bytes) -> None: ...

        def digest(self) -> bytes:
            return b"\xff" * 32

    monkeypatch.setattr(bulk, "tagged_hash_start", lambda tag: Full)
    with pytest.raises(InvalidInputError, match="tweak 0 of"):
        bulk.tweak_add_publics_taproot(PUBLIC, [SECRET])
    monkeypatch.setattr(secp256k1, "_tap_tweak", Full)
    with pytest.raises(InvalidInputError):
        curve.taproot_output_key(PUBLIC[1:])
    with pytest.raises(InvalidInputError):
        curve.taproot_tweak_secret(SECRET)


def test_threads_do_not_share_buffers() -> None:
    tweaks = [number.to_bytes(32, "big") for number in range(1, 200)]
    expected = bulk.tweak_add_publics_taproot(PUBLIC, tweaks)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: bulk.tweak_add_publics_taproot(PUBLIC, tweaks), range(12)):
            assert result == expected
