"""Hostile JSON-RPC replies (R4): a typed error in bounded time, whatever the node sends."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import ChainError, InvalidInputError
from bursar.nodes.ethrpc import reply
from bursar.nodes.ethrpc.reply import Refusal, parse_json, parse_reply

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def test_a_result_and_a_refusal() -> None:
    assert parse_reply(b'{"jsonrpc":"2.0","id":5,"result":"0x1"}', identifier=5) == "0x1"
    assert parse_reply(b'{"jsonrpc":"2.0","id":5,"result":null}', identifier=5) is None
    assert parse_reply(b'{"jsonrpc":"2.0","id":5,"error":null,"result":[0.25]}', identifier=5) == [Decimal("0.25")]
    refused = b'{"jsonrpc":"2.0","id":5,"error":{"code":-32000,"message":"nonce too low\\u202e\\n","data":{"x":[]}}}'
    assert parse_reply(refused, identifier=5) == Refusal(-32000, "nonce too low??")
    unread = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'
    assert parse_reply(unread, identifier=5) == Refusal(-32700, "parse error")


RESULT = b'{"jsonrpc":"2.0","id":5,"result":'


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"<html>", b"\xff\xfe", b"[]", b"5", b"null", b'"x"', b"{}", RESULT, RESULT + b'"0x1"}}',
        RESULT + b"NaN}", RESULT + b"Infinity}", RESULT + b"-Infinity}", RESULT + b"1e9" + b"9" * 50 + b"}",
        RESULT + b"1e" + b"9" * 20 + b"}",
        RESULT + b"1" * 100 + b"}", RESULT + b"1" * 5000 + b"}", RESULT + b"[" * 40 + b"]" * 40 + b"}",
        RESULT + b"[" * 5_000_000, RESULT + b'{"a":' * 1_000_000, b"[" * 5_000_000,
        b'{"jsonrpc":"2.0","id":5,"result":1,"result":2}', RESULT + b'{"a":1,"a":1}}',
        b'{"jsonrpc":"2.0","id":6,"result":1}', b'{"jsonrpc":"2.0","id":"5","result":1}',
        b'{"jsonrpc":"2.0","result":1}',
        b'{"jsonrpc":"2.0","id":5.0,"result":1}', b'{"jsonrpc":"2.0","id":true,"result":1}',
        b'{"jsonrpc":"1.0","id":5,"result":1}', b'{"id":5,"result":1}', b'{"jsonrpc":"2.0","id":5}',
        b'[{"jsonrpc":"2.0","id":5,"result":1}]',
        b'{"jsonrpc":"2.0","id":6,"error":{"code":1,"message":"x"}}', b'{"jsonrpc":"2.0","id":5,"error":"x"}',
        b'{"jsonrpc":"2.0","id":5,"error":{"code":"1","message":"x"}}', b'{"jsonrpc":"2.0","id":5,"error":{"code":1}}',
        b'{"jsonrpc":"2.0","id":5,"error":{"code":1,"message":"x"},"result":1}', b'{"jsonrpc":"2.0","id":5,"error":{}}',
        b"\xef\xbb\xbf" + RESULT + b"1}", b'"' + b"\\" * 1_000_000,
    ],
    ids=range(41),
)  # fmt: skip
def test_r4_hostile_replies(body: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(ChainError) as caught:
        parse_reply(body, identifier=5)
    assert caught.value.code == "chain.reply"
    assert len(caught.value.message) < 200
    assert time.monotonic() - started < 5


def test_r4_a_reply_that_is_too_long() -> None:
    with pytest.raises(ChainError, match="longer than 100 bytes"):
        parse_json(b'"' + b"x" * 99 + b'"', most=100)


def test_brackets_inside_texts_do_not_nest() -> None:
    text = '[{"\\' * 100
    assert parse_json(json.dumps({"a": [text], "b": "]" * 100}).encode()) == {"a": [text], "b": "]" * 100}


@given(JSON)
def test_what_the_standard_library_writes_is_read(value: Any) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 5, "result": value}).encode()
    try:
        parse_reply(body, identifier=5)
    except ChainError as error:
        refused = error.code
    else:
        refused = "chain.reply"
    assert refused == "chain.reply"


@given(st.binary(max_size=100))
def test_garbage_is_a_typed_error(body: bytes) -> None:
    with pytest.raises(ChainError):
        parse_reply(body, identifier=5)


def test_quantities_data_and_lists_are_bounded() -> None:
    assert reply.read_quantity("0xFf", name="it") == 255
    assert reply.read_wei("0x0", name="it") == 0
    assert reply.read_data("0xABcd", name="it") == b"\xab\xcd"
    assert reply.read_hash("0x" + "AB" * 32, name="it") == "0x" + "ab" * 32
    for value in (
        "0x",
        "0x00",
        "0x01",
        "1",
        1,
        None,
        "0x" + "f" * 65,
        "0x" + "f" * 75,
        "-0x1",
        "0xg",
        "0x1 ",
        True,
        [],
    ):
        with pytest.raises(ChainError):
            reply.read_quantity(value, name="it")
    with pytest.raises(ChainError, match="out of range"):
        reply.read_quantity("0x100", name="it", most=255)
    for value in ("0xa", "ab", None, 5, "0xzz", {}):
        with pytest.raises(ChainError):
            reply.read_data(value, name="it")
    for value in ("0x" + "00" * 19, "0x" + "00" * 21):
        with pytest.raises(ChainError):
            reply.read_address(value, name="it")
    for value in ([1, 2, 3], {}, None, "x"):
        with pytest.raises(ChainError):
            reply.read_list(value, name="it", most=2)
    with pytest.raises(ChainError):
        reply.read_object([], name="it")


def test_hashes_of_callers_are_checked() -> None:
    assert reply.check_hash_text("0x" + "AB" * 32) == "0x" + "ab" * 32
    for text in ("", "0x", "ab" * 32, "0x" + "ab" * 31, "0x" + "zz" * 32, None, 5):
        with pytest.raises(InvalidInputError):
            reply.check_hash_text(text)  # type: ignore[arg-type]


def test_words_of_a_node_are_shortened_and_printable() -> None:
    assert reply.printable("a\x1b[31mb\u202e") == "a?[31mb?"
    assert len(reply.printable("x" * 10_000)) == 303
