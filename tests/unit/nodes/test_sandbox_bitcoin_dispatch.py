"""JSON-RPC envelopes of the regtest node, versions 1.0 and 2.0, and whatever else arrives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2tr
from bursar.nodes import exact_json

SINK = p2tr(bytes(range(32)))
SINK_ADDRESS = Address.from_script(SINK, Network.REGTEST).text
GENESIS = Network.REGTEST.genesis_hash
TPUB = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp"


# envelopes


def test_first_version(rpc) -> None:
    assert rpc.raw(b'{"method":"getblockcount","id":"a"}') == (200, {"result": 0, "error": None, "id": "a"})
    assert rpc.raw(b'{"method":"getblockcount","params":{},"id":null,"jsonrpc":"1.0"}')[0] == 200
    status, reply = rpc.raw(b'{"method":"nope","id":7}')
    assert (status, reply["error"]) == (404, {"code": -32601, "message": "Method not found"})


def test_second_version(rpc) -> None:
    ask = b'{"jsonrpc":"2.0","method":"getblockcount","id":1}'
    assert rpc.raw(ask) == (200, {"jsonrpc": "2.0", "result": 0, "id": 1})
    status, reply = rpc.raw(b'{"jsonrpc":"2.0","method":"getblockhash","params":[9],"id":1}')
    assert (status, reply["error"]["code"]) == (200, -8)
    assert "result" not in reply
    assert rpc.raw(b'{"jsonrpc":"2.0","method":"getblockcount"}') == (204, None)


def test_batches(rpc) -> None:
    status, replies = rpc.raw(b'[{"method":"getblockcount","id":1},{"method":"nope","id":2},5]')
    assert status == 200
    assert [reply["error"] and reply["error"]["code"] for reply in replies] == [None, -32601, -32600]
    assert rpc.raw(b"[]") == (200, [])
    assert rpc.raw(b'[{"jsonrpc":"2.0","method":"getblockcount"}]') == (204, None)
    assert rpc.raw(b"[" + b"1," * 10_000 + b"1]")[0] == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 500, -32700), (b"", 500, -32700), (b"5", 500, -32700), (b'"x"', 500, -32700), (b"\xff", 500, -32700),
        (b"{}", 400, -32600), (b'{"method":5}', 400, -32600), (b'{"method":"help","params":5}', 400, -32600),
        (b'{"method":"help","jsonrpc":"3.0"}', 400, -32600), (b'{"method":"help","jsonrpc":2}', 400, -32600),
        (b"[" * 100_000, 500, -32700), (b'{"method":"help","params":[NaN]}', 500, -32700),
    ],
)  # fmt: skip
def test_bad_envelopes(rpc, body: bytes, status: int, code: int) -> None:
    found, reply = rpc.raw(body)
    assert (found, reply["error"]["code"]) == (status, code)


def test_names_and_nulls(rpc) -> None:
    assert rpc("getblockhash", height=0) == GENESIS
    assert isinstance(rpc("getblock", blockhash=GENESIS, verbose=False), str)
    assert rpc("getblockheader", GENESIS, None)["height"] == 0
    assert rpc("getblockhash", args=[0]) == GENESIS
    assert rpc.error("getblockhash", hoight=0) == (-8, "Unknown named parameter hoight")
    assert rpc.error("getblock", blockhash=GENESIS, verbose=1, verbosity=1)[0] == -8
    assert rpc.error("getblockhash", None)[0] == -1


def test_help_and_stop(rpc) -> None:
    listing = rpc("help")
    assert "sendrawtransaction hexstring (maxfeerate) (maxburnamount)" in listing.split("\n")
    assert rpc("help", "getblock").startswith("getblock blockhash (verbosity)")
    assert rpc("help", "nope") == "help: unknown command: nope\n"
    assert not rpc.stop.is_set()
    assert rpc("stop") == "Bitcoin Core stopping"
    assert rpc.stop.is_set()


METHODS = st.sampled_from(
    [
        "getblock",
        "getblockhash",
        "getblockheader",
        "getrawtransaction",
        "gettxout",
        "scantxoutset",
        "scanblocks",
        "sendrawtransaction",
        "testmempoolaccept",
        "submitblock",
        "validateaddress",
        "getdescriptorinfo",
        "deriveaddresses",
        "estimatesmartfee",
        "generateblock",
        "generatetoaddress",
        "gettxspendingprevout",
        "getmempoolentry",
        "invalidateblock",
        "getindexinfo",
        "help",
        "decoderawtransaction",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=8)
    | st.just("start")
    | st.just("00" * 32),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["desc", "range", "txid"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(method=METHODS, params=st.lists(JSON, max_size=4))
def test_any_parameters_get_an_answer(shared, method: str, params: list[Any]) -> None:
    """Whatever is passed: a result or an error with a code, never a broken server."""
    body = exact_json.dumps({"id": 1, "method": method, "params": params}).encode()
    status, reply = shared.raw(body)
    assert status in (200, 500)
    assert reply["id"] == 1
    assert reply["error"] is None or reply["error"]["code"] < 0


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=80) | JSON.map(lambda value: exact_json.dumps(value).encode()))
def test_any_body_gets_an_answer(shared, body: bytes) -> None:
    status, _ = shared.raw(body)
    assert status in (200, 204, 400, 404, 500)
