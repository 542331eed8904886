from __future__ import annotations

import hashlib
import hmac
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_hash.auto import keccak as eth_keccak
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import hashes
from bursar.crypto.ripemd160 import ripemd160 as plain_ripemd160
from bursar.errors import InvalidInputError


def test_known_answers() -> None:
    # FIPS 180-4, RIPEMD-160's paper, and the Keccak team's empty digest
    assert hashes.sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashes.ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"
    assert hashes.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"abcdefghijklmnopqrstuvwxyz", "f71c27109c692c1b56bbdceb5b9d2865b3708dbc"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_plain_ripemd160_gives_the_papers_digests(text: bytes, digest: str) -> None:
    assert plain_ripemd160(text).hex() == digest


@given(st.binary(max_size=300))
def test_plain_ripemd160_equals_openssl(data: bytes) -> None:
    assert plain_ripemd160(data) == hashes.ripemd160(data)


def test_ripemd160_falls_back_where_openssl_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", absent)
    assert hashes._find_ripemd160() is plain_ripemd160


def test_keccak_falls_back_to_pycryptodome(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("Crypto.Hash.keccak")
    monkeypatch.setitem(sys.modules, "_pysha3", None)
    fallback = hashes._find_keccak256()
    for data in (b"", b"abc", bytes(1000)):
        assert fallback(data) == hashes.keccak256(data)


@given(st.binary(max_size=500))
def test_agree_with_other_implementations(data: bytes) -> None:
    assert hashes.sha256d(data) == hashlib.sha256(hashlib.sha256(data).digest()).digest()
    assert hashes.hash160(data) == hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()
    assert hashes.keccak256(data) == eth_keccak(data)
    tag = hashlib.sha256(b"TapTweak").digest()
    assert hashes.tagged_hash("TapTweak", data) == hashlib.sha256(tag + tag + data).digest()


@given(st.binary(max_size=128), st.binary(max_size=300))
def test_hmac_and_its_states_agree_with_the_standard_library(key: bytes, data: bytes) -> None:
    expected = hmac.new(key, data, hashlib.sha512).digest()
    assert hashes.hmac_sha512(key, data) == expected
    start, finish = hashes.hmac_sha512_states(key)
    for _ in range(2):  # the states are not used up
        inner, outer = start(), finish()
        inner.update(data)
        outer.update(inner.digest())
        assert outer.digest() == expected


def test_hmac_states_refuse_a_long_key() -> None:
    with pytest.raises(InvalidInputError):
        hashes.hmac_sha512_states(bytes(129))


@given(st.binary(max_size=64), st.binary(max_size=64), st.integers(1, 5))
def test_pbkdf2_agrees_with_the_standard_library(password: bytes, salt: bytes, iterations: int) -> None:
    expected = hashlib.pbkdf2_hmac("sha512", password, salt, iterations)
    assert hashes.pbkdf2_hmac_sha512(password, salt, iterations) == expected


def test_pbkdf2_needs_an_iteration() -> None:
    with pytest.raises(InvalidInputError):
        hashes.pbkdf2_hmac_sha512(b"", b"", 0)


def test_shared_start_states_survive_threads() -> None:
    texts = [str(number).encode() for number in range(2000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(hashes.hash160, texts)) == [hashes.hash160(text) for text in texts]
