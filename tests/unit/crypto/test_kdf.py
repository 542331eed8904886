from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from bursar.crypto.kdf import Argon2id, Scrypt, kdf_from_json, kdf_to_json
from bursar.errors import CorruptKeystoreError, InvalidInputError, KeystoreError


def test_rfc7914_vector() -> None:
    # RFC 7914, section 12, the third vector: N = 16384, r = 8, p = 1
    assert Scrypt(log_n=14).derive(b"pleaseletmein", b"SodiumChloride", 64).hex() == (
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887"
    )


def test_argon2id_agrees_with_its_reference_program() -> None:
    # printed by the reference implementation (version 19): t = 2, m = 19456, p = 1, 64 bytes
    assert Argon2id(memory=19456, iterations=2, lanes=1).derive(b"password", b"somesaltsomesalt", 64).hex() == (
        "4651426c391e7472e34b6e5544c088e4ed613fa6e9dca0dec2ddf45837ddd7d4"
        "a0c2228dd0fcdc51a658353617c744bd809976950791849dc47fc419e188c69f"
    )


@pytest.mark.parametrize("kdf", [Scrypt(), Scrypt(14, 16, 4), Argon2id(), Argon2id(19456, 2, 1)])
def test_json_round_trip(kdf: Scrypt | Argon2id) -> None:
    assert kdf_from_json(kdf_to_json(kdf)) == kdf


SCRYPT = {"name": "scrypt", "log_n": 14, "r": 8, "p": 1}
ARGON2ID = {"name": "argon2id", "memory": 19456, "iterations": 2, "lanes": 1}
HOSTILE: list[Any] = [  # K1: what would eat memory or time; K2: what would protect nothing
    *({**SCRYPT, "log_n": value} for value in (30, 21, 63, 2**40, 13, 1, 0, -1, 14.0, "14", None, True, [14])),
    *({**SCRYPT, "r": value} for value in (2**20, 33, 7, 1, 0, -8, 8.0, "8", None)),
    *({**SCRYPT, "p": value} for value in (2**20, 17, 0, -1, 1.0, "1", None, True)),
    {**SCRYPT, "log_n": 20, "r": 16},
    {**SCRYPT, "log_n": 20, "p": 5},
    *({**ARGON2ID, "memory": value} for value in (2**32, 2**20 + 1, 19455, 8, 0, -1, 65536.0, "65536", None)),
    *({**ARGON2ID, "iterations": value} for value in (2**32, 17, 1, 0, -1, 2.0, "2", None, True)),
    *({**ARGON2ID, "lanes": value} for value in (2**24, 9, 0, -1, 1.0, "1", None, True)),
    *({**SCRYPT, "name": value} for value in ("pbkdf2", "argon2i", "Scrypt", "", None, 5, ["scrypt"], {})),
    {},
    {"name": "scrypt"},
    {"name": "argon2id", "memory": 65536},
    {"log_n": 14, "r": 8, "p": 1},
    {**SCRYPT, "prf": "hmac-md5"},
    {**SCRYPT, 5: 5},
]


@pytest.mark.parametrize("data", HOSTILE, ids=repr)
def test_k1_k2_parameters_out_of_bounds_are_refused_before_anything_is_allocated(data: dict[str, object]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CorruptKeystoreError) as caught:
            kdf_from_json(data)
        assert caught.value.code == "keystore.kdf"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("arguments", [{"log_n": 13}, {"log_n": 25}, {"r": 4}, {"log_n": 20, "r": 32}])
def test_the_same_bounds_hold_when_writing(arguments: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Scrypt(**arguments)
    assert caught.value.code == "input.kdf"
    with pytest.raises(InvalidInputError):
        Argon2id(memory=1024)


def test_names_a_hostile_file_holds_are_not_repeated() -> None:
    with pytest.raises(CorruptKeystoreError) as caught:
        kdf_from_json({**SCRYPT, "\x1b[31mred": 1})
    assert "\x1b" not in caught.value.message
    assert "\x1b" not in repr(caught.value.__cause__)


@pytest.mark.parametrize(("kdf", "size"), [(Scrypt(), "128 MiB"), (Argon2id(), "64 MiB")])
def test_too_little_memory_is_said(kdf: Scrypt | Argon2id, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.kdf import argon2, scrypt

    class Starved:
        def __init__(self, **parameters: object) -> None:
            pass

        def derive(self, password: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr(scrypt, "Scrypt", Starved)
    monkeypatch.setattr(argon2, "Argon2id", Starved)
    with pytest.raises(KeystoreError, match=size):
        kdf.derive(b"password", bytes(16), 64)
