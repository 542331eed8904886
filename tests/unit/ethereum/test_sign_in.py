"""Sign-In with Ethereum (EIP-4361): its example, the grammar line by line, and what a server expects (E6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import Address
from bursar.ethereum.sign_in import SignInMessage, verify_sign_in

KEY = b"\x46" * 32
ME = Address.from_public_key(public_key(KEY))
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
# the example in the text of EIP-4361, address and all
EXAMPLE = """service.invalid wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ServiceOrg Terms of Service: https://service.invalid/tos

URI: https://service.invalid/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://example.com/my-web2-claim.json"""
PLAIN = SignInMessage(
    domain="example.com",
    address=ME,
    uri="https://example.com/login",
    chain_id=1,
    nonce="abcd1234",
    issued_at="2026-11-22T11:00:00Z",
)


def test_the_example_of_the_specification() -> None:
    message = SignInMessage.parse(EXAMPLE)
    assert str(message) == EXAMPLE
    assert (message.domain, message.scheme, message.chain_id, message.nonce) == ("service.invalid", None, 1, "32891756")
    assert message.resources is not None
    assert len(message.resources) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": "https"},
        {"scheme": "https", "domain": "localhost:8080"},
        {"domain": "[::cafe]"},
        {"domain": "[1:2:3:4:5:6:7:8]:1"},
        {"domain": "[::ffff:1.2.3.4]"},
        {"domain": "user@127.0.0.1:80"},
        {"statement": "Sign in!"},
        {"request_id": ""},
        {"request_id": "a%20b"},
        {"resources": ()},
        {"resources": ("did:key:z6", "urn:x", "https://h/?a=b#c")},
        {"uri": "did:example:123"},
        {"chain_id": 2**60},
        {"issued_at": "2026-11-22T11:00:00.123456789+08:00"},
        {"expiration_time": "2016-12-31T23:59:60Z"},
        {"not_before": "2026-11-22t11:00:00z"},
    ],
)
def test_what_is_written_is_read_back(change: dict[str, Any]) -> None:
    message = replace(PLAIN, **change)
    assert SignInMessage.parse(str(message)) == message


@pytest.mark.parametrize(
    "change",
    [
        {"scheme": ""},
        {"scheme": "1s"},
        {"domain": ""},
        {"domain": "#x"},
        {"domain": "a/b"},
        {"domain": "a b"},
        {"domain": "[::1"},
        {"domain": "[1::2::3]"},
        {"domain": "ex\u00e4mple.com"},
        {"address": str(ME)},
        {"statement": ""},
        {"statement": "a\nb"},
        {"statement": 'say "x"'},
        {"statement": "\u202e"},
        {"uri": "example.com"},
        {"uri": "https://a b"},
        {"uri": ""},
        {"uri": "https://x/%zz"},
        {"chain_id": 0},
        {"chain_id": "1"},
        {"chain_id": True},
        {"nonce": "short12"},
        {"nonce": "abcd-1234"},
        {"nonce": ""},
        {"issued_at": None},
        {"issued_at": "2026-11-22"},
        {"issued_at": "2026-02-30T00:00:00Z"},
        {"issued_at": "2026-11-22 11:00:00Z"},
        {"issued_at": "2026-11-22T24:00:00Z"},
        {"issued_at": "2026-11-22T11:00:00"},
        {"issued_at": "tomorrow"},
        {"expiration_time": "2026-11-22T11:00:00+24:00"},
        {"not_before": "0001-01-01T00:00:00+01:00"},
        {"request_id": "a b"},
        {"resources": ("x",)},
        {"resources": ["https://x"]},
        {"resources": ("https://x",) * 65},
    ],
)
def test_fields_that_leave_the_grammar_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        replace(PLAIN, **change)
    assert caught.value.code == "input.sign-in"


LINES = str(replace(PLAIN, statement="Hello", expiration_time="2026-11-23T00:00:00Z", request_id="7")).split("\n")


@pytest.mark.parametrize("place", range(len(LINES)))
def test_lines_that_are_doubled_swapped_or_changed_are_refused(place: int) -> None:
    hostile = [
        [*LINES[:place], LINES[place], *LINES[place:]],
        [*LINES[:place], LINES[place] + "\r", *LINES[place + 1 :]],
        [*LINES[:place], LINES[place] + "\u00a0", *LINES[place + 1 :]],
        [*LINES[:place], *reversed(LINES[place : place + 2]), *LINES[place + 2 :]],
    ]
    for lines in hostile:
        if lines != LINES:
            with pytest.raises(InvalidInputError):
                SignInMessage.parse("\n".join(lines))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Version: 1", "Version: 2"),
        ("Chain ID: 1", "Chain ID: 01"),
        ("Chain ID: 1", "Chain ID: one"),
        ("URI", "Uri"),
        ("account:", "account"),
        ("wants", "Wants"),
        (str(ME), str(ME).lower()),
        ("Nonce: ", "Nonce:"),
        ("\n", "\n\n"),
    ],
)
def test_other_words_are_refused(old: str, new: str) -> None:
    assert old in "\n".join(LINES)
    with pytest.raises(InvalidInputError):
        SignInMessage.parse("\n".join(LINES).replace(old, new))


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_garbage_is_a_typed_error(text: str) -> None:
    for whole in (text, EXAMPLE + text, text + EXAMPLE):
        try:
            message = SignInMessage.parse(whole)
        except InvalidInputError:
            continue
        assert str(message) == whole


def test_e6_a_message_is_held_to_what_the_server_expects() -> None:
    message = replace(PLAIN, expiration_time="2026-11-22T13:00:00+01:00", not_before="2026-11-22T11:30:00.5Z")
    good: dict[str, Any] = {"domain": "example.com", "nonce": "abcd1234", "now": NOW - timedelta(seconds=1)}
    message.check(**good, uri=message.uri, chain_id=1, address=ME)
    for change, words in (
        ({"domain": "evil.example"}, "domain"),
        ({"nonce": "abcd1235"}, "nonce"),
        ({"uri": "https://example.com"}, "uri"),
        ({"chain_id": 5}, "chain_id"),
        ({"scheme": "https"}, "scheme"),
        ({"address": Address(bytes(20))}, "address"),
        ({"now": NOW}, "expired"),
        ({"now": NOW - timedelta(minutes=30)}, "valid from"),
    ):
        with pytest.raises(InvalidInputError, match=words) as caught:
            message.check(**{**good, **change})
        assert caught.value.code == "input.sign-in.expected"
    with pytest.raises(InvalidInputError, match="time zone"):
        message.check(**{**good, "now": datetime(2026, 11, 22)})


def test_e6_the_signature_is_that_of_the_account_named() -> None:
    text = str(PLAIN)
    signature = "0x" + bytes(Account.sign_message(encode_defunct(text=text), KEY).signature).hex()
    assert verify_sign_in(text, signature, domain="example.com", nonce="abcd1234", now=NOW) == PLAIN
    other = text.replace(str(ME), str(Address(b"\x35" * 20)))
    with pytest.raises(InvalidSignatureError):
        verify_sign_in(other, signature, domain="example.com", nonce="abcd1234", now=NOW)
