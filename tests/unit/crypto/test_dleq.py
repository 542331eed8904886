"""Proofs of equal logarithms against BIP-374's own cases."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bursar.crypto.dleq import prove_equality, verify_equality
from bursar.crypto.payment_points import shared_point
from bursar.crypto.secp256k1 import public_key
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, InvalidSignatureError

Vectors = Callable[[str], Path]
SECRET = bytes([3]) * 32
BASE = public_key(bytes([4]) * 32)


def rows(official_vectors: Vectors, name: str) -> list[dict[str, str]]:
    with official_vectors(f"bip/bip0374/test_vectors_{name}_proof.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_proofs_are_generated(official_vectors: Vectors) -> None:
    seen = {"INVALID": 0, "valid": 0}
    for row in rows(official_vectors, "generate"):
        secret, base, randomness, message, generator = (
            bytes.fromhex("" if row[name] == "INFINITY" else row[name])
            for name in ("scalar_a", "point_B", "auxrand_r", "message", "point_G")
        )

        def prove(
            secret: bytes = secret,
            base: bytes = base,
            randomness: bytes = randomness,
            message: bytes = message,
            generator: bytes = generator,
        ) -> bytes:
            return prove_equality(Secret(secret), base, randomness=randomness, message=message, generator=generator)[1]

        if row["result_proof"] == "INVALID":
            with pytest.raises(InvalidInputError):
                prove()
            seen["INVALID"] += 1
        else:
            assert prove().hex() == row["result_proof"]
            seen["valid"] += 1
    assert min(seen.values()) > 0


def test_proofs_are_verified(official_vectors: Vectors) -> None:
    seen = []
    for row in rows(official_vectors, "verify"):
        generator, own, base, product, proof, message = (
            bytes.fromhex("" if row[name] == "INFINITY" else row[name])
            for name in ("point_G", "point_A", "point_B", "point_C", "proof", "message")
        )
        try:
            verify_equality(own, base, product, proof, message=message, generator=generator)
        except InvalidInputError:
            result = "FALSE"
        else:
            result = "TRUE"
        assert result == row["result_success"], row["comment"]
        seen.append(result)
    assert set(seen) == {"TRUE", "FALSE"}


def test_a_proof_is_of_one_statement() -> None:
    own = public_key(SECRET)
    product, proof = prove_equality(Secret(SECRET), BASE)
    assert product == shared_point(BASE, SECRET)
    verify_equality(own, BASE, product, proof)
    assert proof != prove_equality(Secret(SECRET), BASE)[1]
    for wrong in (
        (BASE, BASE, product, proof),
        (own, own, product, proof),
        (own, BASE, own, proof),
        (own, BASE, product, proof[:32] + b"\xff" * 32),
        (own, BASE, product, bytes(64)),
        (own, BASE, product, proof[:63]),
    ):
        with pytest.raises(InvalidSignatureError):
            verify_equality(*wrong)
    with pytest.raises(InvalidSignatureError):
        verify_equality(own, BASE, product, proof, message=bytes(32))
    with pytest.raises(InvalidInputError):
        verify_equality(own, BASE, bytes(33), proof)
    with pytest.raises(InvalidInputError, match="32 bytes"):
        prove_equality(Secret(SECRET), BASE, message=b"short")
