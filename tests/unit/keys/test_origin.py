from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath


def test_texts() -> None:
    origin = KeyOrigin.from_text("D34DB33F/84'/0h/0H")
    assert origin == KeyOrigin(Fingerprint(b"\xd3\x4d\xb3\x3f"), DerivationPath.from_text("m/84h/0h/0h"))
    assert str(origin) == "d34db33f/84h/0h/0h"
    assert str(origin.child(3)) == "d34db33f/84h/0h/0h/3"
    assert str(KeyOrigin.from_text("00000000")) == "00000000"
    assert repr(origin.fingerprint) == "Fingerprint(d34db33f)"


def test_a_fingerprint_is_its_bytes() -> None:
    fingerprint = Fingerprint.from_text("d34db33f")
    assert fingerprint == b"\xd3\x4d\xb3\x3f"
    assert {fingerprint: 1}[Fingerprint(bytearray(b"\xd3\x4d\xb3\x3f"))] == 1


@given(st.binary(min_size=4, max_size=4), st.lists(st.integers(0, 2**32 - 1), max_size=6).map(tuple))
def test_round_trip(fingerprint: bytes, indexes: tuple[int, ...]) -> None:
    origin = KeyOrigin(Fingerprint(fingerprint), DerivationPath(indexes))
    assert KeyOrigin.from_text(str(origin)) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d34db33",
        "d34db33f0",
        "d34db33g",
        "d34db33f/",
        "[d34db33f]",
        "m/84h",
        "d34db33f84h",
        " d34db33f",
        "d34db33f\n",
    ],
)
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        KeyOrigin.from_text(text)


@given(st.text(max_size=30))
def test_garbage_is_a_typed_error(text: str) -> None:
    for parse in (KeyOrigin.from_text, Fingerprint.from_text):
        try:
            parse(text)
        except InvalidInputError as error:
            assert error.code.startswith("input.")  # noqa: PT017


@pytest.mark.parametrize("value", [None, 5, b"d34db33f"])
def test_only_texts_are_parsed(value: object) -> None:
    for parse in (KeyOrigin.from_text, Fingerprint.from_text):
        with pytest.raises(InvalidInputError):
            parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [b"", bytes(3), bytes(5), "d34d", 4, None])
def test_a_fingerprint_has_four_bytes(value: object) -> None:
    with pytest.raises(InvalidInputError):
        Fingerprint(value)  # type: ignore[arg-type]
