"""The sandbox's HTTP server: JSON-RPC 2.0, batches, and clients that behave badly."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.server import LONGEST_BODY, JsonRpcServer
from bursar.nodes.sandbox.ethereum.words import RpcError, method_not_found, revert_reason, reverted


def dispatch(method: str, params: Sequence[Any]) -> Any:
    if method == "echo":
        return list(params)
    if method == "fail":
        raise RpcError("no", code=3, data="0x00")
    raise method_not_found(method)


@pytest.fixture
def server() -> Iterator[JsonRpcServer]:
    running = JsonRpcServer(dispatch)
    running.start()
    yield running
    running.close()


def post(server: JsonRpcServer, body: bytes, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("POST", "/", body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(server: JsonRpcServer, request: Any) -> Any:
    status, body = post(server, json.dumps(request).encode())
    assert status == 200
    return json.loads(body)


def test_calls_and_batches(server: JsonRpcServer) -> None:
    assert ask(server, {"jsonrpc": "2.0", "id": 7, "method": "echo", "params": [1, "a"]}) == {
        "jsonrpc": "2.0", "id": 7, "result": [1, "a"],
    }  # fmt: skip
    batch = ask(server, [{"id": 1, "method": "echo"}, {"id": "x", "method": "fail"}, {"id": 2, "method": "none"}, 5])
    assert batch[0]["result"] == []
    assert batch[1] == {"jsonrpc": "2.0", "id": "x", "error": {"code": 3, "message": "no", "data": "0x00"}}
    assert batch[2]["error"] == {"code": -32601, "message": "the method none does not exist/is not available"}
    assert batch[3]["error"]["code"] == -32600


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nope", b"null", b"[" * 100_000])
def test_what_is_no_json_is_a_parse_error(server: JsonRpcServer, body: bytes) -> None:
    status, reply = post(server, body)
    assert status == 200
    assert json.loads(reply)["error"]["code"] == -32700


@pytest.mark.parametrize("request_", [5, "x", {}, {"method": 5}, [], [{}] * 1001])
def test_what_is_no_request_is_refused(server: JsonRpcServer, request_: Any) -> None:
    assert ask(server, request_)["error"]["code"] == -32600


def test_parameters_are_an_array(server: JsonRpcServer) -> None:
    assert ask(server, {"id": 1, "method": "echo", "params": {"a": 1}})["error"]["code"] == -32602


def test_other_hosts_methods_and_sizes_are_refused(server: JsonRpcServer) -> None:
    assert post(server, b"{}", Host="evil.example")[0] == 403
    assert post(server, b"", **{"Content-Length": str(LONGEST_BODY + 1)})[0] == 413
    assert post(server, b"", **{"Content-Length": "x"})[0] == 413
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 501
    connection.close()


def test_it_closes_while_clients_hold_connections(server: JsonRpcServer) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as idle:
        kept = http.client.HTTPConnection(host, int(port), timeout=10)
        kept.request("POST", "/", b'{"id":1,"method":"echo"}')
        kept.getresponse().read()
        server.close()
        assert idle.recv(1) == b""
        kept.close()


def test_the_small_client(server: JsonRpcServer) -> None:
    rpc = LoopbackRpc(server.url)
    assert rpc.call("echo", 1, 2) == [1, 2]
    with pytest.raises(ChainError, match="no"):
        rpc.call("fail")
    server.close()
    with pytest.raises(ChainUnavailableError, match="does not answer"):
        rpc.call("echo")


def test_revert_reasons() -> None:
    reason = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"hello".ljust(32, b"\0")
    assert revert_reason(reason) == "hello"
    assert reverted(reason).to_json() == {
        "code": 3, "message": "execution reverted: hello", "data": "0x" + reason.hex(),
    }  # fmt: skip
    assert reverted(b"").message == "execution reverted"
    for output in (b"", reason[:60], reason[:36] + (6000).to_bytes(32, "big") + b"x", b"\x01" * 100):
        assert revert_reason(output) is None
