"""What a personal message is said to be before it is signed (E6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.ethereum.message_review import review_message
from bursar.ethereum.transaction import ACCESS_LIST, BLOB, FEE_MARKET, LEGACY, SET_CODE, UnsignedTransaction

Make = Callable[..., UnsignedTransaction]
SIGN_IN = (
    "example.com wants you to sign in with your Ethereum account:\n0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n\n\n"
    "URI: https://example.com/login\nVersion: 1\nChain ID: 1\nNonce: 32891756\nIssued At: 2021-09-30T16:25:24Z"
)


def codes(message: bytes, origin: str | None = None) -> set[str]:
    return {one.code for one in review_message(message, origin=origin).cautions}


@pytest.mark.parametrize("kind", [LEGACY, ACCESS_LIST, FEE_MARKET, BLOB, SET_CODE])
def test_e6_a_transaction_is_not_signed_as_a_message(make: Make, kind: int) -> None:
    tx = make(kind)
    for raw in (tx.serialize(), tx.sign_with(EcdsaSignature(5, 5, 0)).serialize()):
        for message in (raw, b"0x" + raw.hex().encode()):
            assert review_message(message).refused
            assert "transaction" in codes(message)


def test_e6_a_digest_is_not_signed_as_a_message(make: Make) -> None:
    assert review_message(make().digest()).refused
    assert codes(make().digest()) == {"raw-digest", "binary"}
    assert codes(b"0x" + make().digest().hex().encode()) == {"digest-text"}
    assert not codes(b"thirty-two characters of a text.")


def test_e6_a_sign_in_is_for_who_asks() -> None:
    found = review_message(SIGN_IN.encode(), origin="example.com")
    assert found.sign_in is not None
    assert (found.refused, found.text) == (False, SIGN_IN)
    assert codes(SIGN_IN.encode()) == {"sign-in", "sign-in-forever"}
    stolen = review_message(SIGN_IN.encode(), origin="evil.example")
    assert stolen.refused
    broken = review_message(SIGN_IN.replace("Version: 1", "Version: 1 ").encode())
    assert (broken.refused, broken.sign_in) == (True, None)


@pytest.mark.parametrize("message", [b"\xff\xfe", b"a\x00b", "pay\u202e001".encode(), "a\u200bb".encode(), b"a\rb"])
def test_e6_what_is_not_plain_text_is_shown_as_digits(message: bytes) -> None:
    found = review_message(message)
    assert found.text == "0x" + message.hex()
    assert {one.code for one in found.cautions} == {"binary"}


@pytest.mark.parametrize("message", ["", "hello\nworld", "grüezi 你好"])
def test_plain_text_is_shown_as_it_is(message: str) -> None:
    assert review_message(message.encode()).text == message
    assert not codes(message.encode())


@given(st.binary(max_size=100))
def test_anything_can_be_reviewed(message: bytes) -> None:
    text = review_message(message).text
    assert text.startswith("0x") or text.encode() == message
