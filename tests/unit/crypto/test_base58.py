from __future__ import annotations

import pytest
from bip_utils import Base58Encoder
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import base58
from bursar.errors import InvalidInputError


def test_known_answers() -> None:
    # the genesis coinbase's address, and draft-msporny-base58 for the raw form
    assert base58.decode_check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa").hex() == (
        "0062e907b15cbf27d5425399ebf6f0fb50ebb88f18"
    )
    assert base58.encode(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert base58.encode(bytes.fromhex("0000287fb4cd")) == "11233QC4"
    assert base58.encode(b"") == ""
    assert base58.decode("") == b""


@given(st.binary(max_size=120))
def test_round_trip(data: bytes) -> None:
    assert base58.encode(data) == Base58Encoder.Encode(data)
    assert base58.decode(base58.encode(data)) == data
    assert base58.decode_check(base58.encode_check(data)) == data


@given(st.text(max_size=120))
def test_garbage_is_a_typed_error(text: str) -> None:
    try:
        assert base58.encode(base58.decode(text)) == text
    except InvalidInputError as error:
        assert error.code.startswith("input.base58")  # noqa: PT017
    with pytest.raises(InvalidInputError):
        base58.decode_check(text)


@pytest.mark.parametrize("character", "0OIl +/é ")
def test_names_the_position_of_a_foreign_character(character: str) -> None:
    with pytest.raises(InvalidInputError, match="character 3") as caught:
        base58.decode("22" + character)
    assert caught.value.code == "input.base58.character"


def test_a_mistyped_character_is_a_checksum_error() -> None:
    with pytest.raises(InvalidInputError) as caught:
        base58.decode_check("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb")
    assert caught.value.code == "input.base58.checksum"


@pytest.mark.parametrize("text", ["", "1", "111", "z" * 2049])
def test_wrong_lengths(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        base58.decode_check(text)
    assert caught.value.code == "input.base58.length"


def test_refuses_to_encode_a_book() -> None:
    with pytest.raises(InvalidInputError):
        base58.encode(bytes(1025))
