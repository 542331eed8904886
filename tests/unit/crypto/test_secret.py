from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError


def test_shows_nothing() -> None:
    secret = Secret(b"hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}"):
        assert "hunter2" not in shown
        assert "<redacted>" in shown


def test_exposes_only_when_asked() -> None:
    secret = Secret(b"hunter2")
    assert secret.expose() == b"hunter2"
    assert len(secret) == 7
    for convert in (bytes, bytearray, list, iter, hash, copy.copy, copy.deepcopy, pickle.dumps, memoryview):
        with pytest.raises(TypeError) as caught:
            convert(secret)  # type: ignore[operator]
        assert "hunter2" not in str(caught.value)
    with pytest.raises(TypeError):
        secret[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        b"2" in secret  # type: ignore[operator]  # noqa: B015
    assert not hasattr(secret, "__dict__")


def test_compares_in_constant_time_with_secrets_only() -> None:
    assert Secret(b"a") == Secret(bytearray(b"a"))
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != Secret(b"aa")
    assert Secret(b"a") != b"a"


def test_does_not_alias_its_argument() -> None:
    source = bytearray(b"abc")
    secret = Secret(source)
    source[0] = 0
    assert secret.expose() == b"abc"


def test_wipe_is_idempotent_and_final() -> None:
    secret = Secret(b"hunter2")
    buffer = secret._buffer
    secret.wipe()
    secret.wipe()
    assert buffer == bytes(7)
    with pytest.raises(InvalidInputError, match="wiped"):
        secret.expose()
    assert secret != Secret(bytes(7))
    assert secret == secret


def test_context_and_deletion_wipe() -> None:
    with Secret(b"hunter2") as secret:
        buffer = secret._buffer
    assert buffer == bytes(7)
    other = Secret(b"hunter2")
    buffer = other._buffer
    del other
    assert buffer == bytes(7)


def test_from_text() -> None:
    assert Secret.from_text("pässword").expose() == "pässword".encode()
    with pytest.raises(InvalidInputError) as caught:
        Secret.from_text("".join(map(chr, range(97, 110))) + chr(0xD800))
    assert "abcdef" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["text", None, 5, [1, 2]])
def test_refuses_what_is_not_bytes(value: object) -> None:
    with pytest.raises(InvalidInputError):
        Secret(value)  # type: ignore[arg-type]
