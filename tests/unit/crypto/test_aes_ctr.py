"""AES-256-CTR against the example of NIST SP 800-38A, F.5.5."""

from __future__ import annotations

import pytest

from bursar.crypto.aes_ctr import aes256_ctr
from bursar.errors import InvalidInputError

KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
COUNTER = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
CIPHER = bytes.fromhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5")


def test_example() -> None:
    assert aes256_ctr(KEY, COUNTER, PLAIN) == CIPHER
    assert aes256_ctr(KEY, COUNTER, CIPHER) == PLAIN
    assert aes256_ctr(KEY, COUNTER, b"") == b""


@pytest.mark.parametrize(("key", "counter"), [(KEY[1:], COUNTER), (KEY, COUNTER[1:])])
def test_lengths(key: bytes, counter: bytes) -> None:
    with pytest.raises(InvalidInputError):
        aes256_ctr(key, counter, PLAIN)
