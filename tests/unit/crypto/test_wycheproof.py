from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bursar.crypto.ecdsa import EcdsaSignature
from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import ecdsa_verify, ecdsa_verify_der, parse_public_key
from bursar.errors import InvalidInputError, InvalidSignatureError


def parse_and_verify(public: bytes, digest: bytes, der: bytes, allow_high_s: bool) -> None:
    signature = EcdsaSignature.from_der(der, allow_high_s=allow_high_s)
    assert signature.to_der() == der
    ecdsa_verify(public, digest, signature.normalized().compact())


@pytest.mark.parametrize(
    ("file", "allow_high_s", "valid", "invalid"),
    [
        ("wycheproof/ecdsa_secp256k1_sha256_bitcoin_test.json", False, 162, 301),
        ("wycheproof/ecdsa_secp256k1_sha256_test.json", True, 168, 308),
    ],
)
def test_s1_wycheproof(
    file: str, allow_high_s: bool, valid: int, invalid: int, official_vectors: Callable[[str], Path]
) -> None:
    counted: Counter[str] = Counter()
    for group in json.loads(official_vectors(file).read_text())["testGroups"]:
        key = bytes.fromhex(group["publicKey"]["uncompressed"])
        compressed = parse_public_key(key)
        for case in group["tests"]:
            digest, der = sha256(bytes.fromhex(case["msg"])), bytes.fromhex(case["sig"])
            counted[case["result"]] += 1
            if case["result"] == "valid":
                ecdsa_verify_der(key, digest, der, allow_high_s=allow_high_s)
                parse_and_verify(compressed, digest, der, allow_high_s)
                continue
            with pytest.raises(InvalidSignatureError):
                ecdsa_verify_der(key, digest, der, allow_high_s=allow_high_s)
            # the parser in Python is as strict as the library's: what it lets through must fail to verify
            with pytest.raises(InvalidInputError):
                parse_and_verify(compressed, digest, der, allow_high_s)
    assert counted == {"valid": valid, "invalid": invalid}
