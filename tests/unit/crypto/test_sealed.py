from __future__ import annotations

import hashlib
import json
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto import kdf
from bursar.crypto.sealed import Argon2id, Scrypt, _canonical, seal, unseal
from bursar.crypto.secret import Secret
from bursar.errors import CorruptKeystoreError, InvalidInputError, WrongPasswordError

QUICK = Scrypt(log_n=14)
PASSWORD = Secret(b"correct horse")
DATA = b"bursar keystore"


def sealed_now(**options: Any) -> dict[str, Any]:
    return seal(Secret(b"the plain text"), PASSWORD, associated_data=DATA, **{"kdf": QUICK, **options})


@pytest.fixture(scope="module")
def sealed() -> dict[str, Any]:
    return sealed_now()


def with_digest(sealed: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A change by someone who also mends the digest."""
    body = {name: value for name, value in {**sealed, **changes}.items() if name != "digest"}
    return {**body, "digest": hashlib.sha256(_canonical(body)).hexdigest()}


@pytest.mark.parametrize("kdf", [QUICK, Argon2id(19456, 2, 1)])
@pytest.mark.parametrize("aead", ["aes-256-gcm", "chacha20-poly1305"])
def test_round_trip_through_json(kdf: Scrypt | Argon2id, aead: Any) -> None:
    sealed = json.loads(json.dumps(sealed_now(kdf=kdf, aead=aead)))
    assert unseal(sealed, PASSWORD, associated_data=DATA) == Secret(b"the plain text")
    assert "the plain text" not in json.dumps(sealed)
    assert b"the plain text".hex() not in json.dumps(sealed)


@settings(max_examples=5)
@given(st.binary(max_size=300), st.binary(min_size=1, max_size=100), st.binary(max_size=100))
def test_any_content_round_trips(content: bytes, password: bytes, data: bytes) -> None:
    sealed = seal(Secret(content), Secret(password), associated_data=data, kdf=QUICK)
    assert unseal(sealed, Secret(password), associated_data=data).expose() == content


def test_salt_and_nonce_are_fresh() -> None:
    first, second = sealed_now(), sealed_now()
    assert first["kdf"]["salt"] != second["kdf"]["salt"]
    assert first["nonce"] != second["nonce"]
    assert first["ciphertext"] != second["ciphertext"]


def test_a_wrong_password_is_told_apart_from_damage(sealed: dict[str, Any]) -> None:
    for wrong in (b"correct hors", b"Correct horse", b"correct horse\n", b""):
        with pytest.raises(WrongPasswordError):
            unseal(sealed, Secret(wrong), associated_data=DATA)
    with pytest.raises(CorruptKeystoreError, match="other data"):
        unseal(sealed, PASSWORD, associated_data=b"other")


def flip(text: str) -> str:
    return ("0" if text[0] != "0" else "1") + text[1:]


@pytest.mark.parametrize("field", ["nonce", "ciphertext", "password_check", "digest"])
def test_damage_is_found_before_a_key_is_derived(
    field: str, sealed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdf.Scrypt, "derive", None)
    with pytest.raises(CorruptKeystoreError, match="damaged"):
        unseal({**sealed, field: flip(sealed[field])}, PASSWORD, associated_data=DATA)
    with pytest.raises(CorruptKeystoreError, match="damaged"):
        unseal({**sealed, "kdf": {**sealed["kdf"], "r": 9}}, PASSWORD, associated_data=DATA)
    with pytest.raises(CorruptKeystoreError, match="damaged"):
        unseal({**sealed, "aead": "chacha20-poly1305"}, PASSWORD, associated_data=DATA)


def test_an_altered_value_is_refused_even_when_the_digest_was_mended(sealed: dict[str, Any]) -> None:
    for field in ("nonce", "ciphertext"):
        with pytest.raises(CorruptKeystoreError, match="altered"):
            unseal(with_digest(sealed, **{field: flip(sealed[field])}), PASSWORD, associated_data=DATA)
    with pytest.raises(CorruptKeystoreError, match="altered"):
        unseal(with_digest(sealed, aead="chacha20-poly1305"), PASSWORD, associated_data=DATA)
    with pytest.raises(WrongPasswordError):
        unseal(with_digest(sealed, password_check=flip(sealed["password_check"])), PASSWORD, associated_data=DATA)
    for part in ({"r": 9}, {"salt": flip(sealed["kdf"]["salt"])}):
        with pytest.raises(WrongPasswordError):
            unseal(with_digest(sealed, kdf={**sealed["kdf"], **part}), PASSWORD, associated_data=DATA)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"version": True},
        {"version": "1"},
        {"version": None},
        {"aead": "aes-128-gcm"},
        {"aead": None},
        {"aead": ["aes-256-gcm"]},
        {"kdf": None},
        {"kdf": []},
        {"kdf": "scrypt"},
        {"nonce": ""},
        {"nonce": "00" * 11},
        {"nonce": "0g" * 12},
        {"nonce": "00 " * 8},
        {"nonce": "AA" * 12},
        {"nonce": 5},
        {"ciphertext": ""},
        {"ciphertext": "00" * 15},
        {"ciphertext": "00" * ((1 << 20) + 17)},
        {"ciphertext": None},
        {"password_check": "00"},
        {"digest": None},
        {"digest": "00" * 31},
        {"extra": 1},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_malformed_values_are_refused(changes: dict[str, Any], sealed: dict[str, Any]) -> None:
    with pytest.raises(CorruptKeystoreError):
        unseal({**sealed, **changes}, PASSWORD, associated_data=DATA)


@pytest.mark.parametrize(
    "parameters",
    [
        {"log_n": 30},
        {"log_n": 2},
        {"r": 2**20},
        {"p": 2**20},
        {"log_n": 14.0},
        {"log_n": "14"},
        {"log_n": -1},
        {"name": "pbkdf2"},
        {"salt": ""},
        {"salt": "00" * 15},
        {"salt": "00" * 65},
        {"salt": None},
    ],
    ids=repr,
)
def test_k1_k2_hostile_parameters_derive_nothing(
    parameters: dict[str, Any], sealed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdf.Scrypt, "derive", None)
    hostile = with_digest(sealed, kdf={**sealed["kdf"], **parameters})
    with pytest.raises(CorruptKeystoreError):
        unseal(hostile, PASSWORD, associated_data=DATA)


@pytest.mark.parametrize("field", ["version", "kdf", "aead", "nonce", "ciphertext", "password_check", "digest"])
def test_a_missing_field_is_refused(field: str, sealed: dict[str, Any]) -> None:
    with pytest.raises(CorruptKeystoreError):
        unseal({name: value for name, value in sealed.items() if name != field}, PASSWORD, associated_data=DATA)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_garbage_is_a_typed_error(sealed: dict[str, Any], data: st.DataObject) -> None:
    with pytest.raises(CorruptKeystoreError):
        unseal(data.draw(JSON), PASSWORD, associated_data=DATA)
    field = data.draw(st.sampled_from(sorted(sealed)))
    value = data.draw(JSON)
    if value != sealed[field]:
        with pytest.raises(CorruptKeystoreError):
            unseal({**sealed, field: value}, PASSWORD, associated_data=DATA)


def test_seal_refuses() -> None:
    with pytest.raises(InvalidInputError, match="empty password"):
        seal(Secret(b"x"), Secret(b""), associated_data=b"", kdf=QUICK)
    with pytest.raises(InvalidInputError, match="cipher"):
        seal(Secret(b"x"), PASSWORD, associated_data=b"", kdf=QUICK, aead="rot13")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="bytes"):
        seal(Secret(bytes((1 << 20) + 1)), PASSWORD, associated_data=b"", kdf=QUICK)


def test_k4_no_error_holds_the_password(sealed: dict[str, Any]) -> None:
    with pytest.raises(WrongPasswordError) as caught:
        unseal(sealed, Secret(bytes(range(97, 110))), associated_data=DATA)
    assert "abcdef" not in "".join(traceback.format_exception(caught.value))
