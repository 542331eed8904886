"""The wire to an Ethereum node: nodes that break off, redirect, drip, compress or lie; nothing foreign is raised."""

from __future__ import annotations

import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError, MissingExtraError
from bursar.nodes.ethrpc import wire as wire_module
from bursar.nodes.ethrpc.reply import Refusal
from bursar.nodes.ethrpc.wire import Wire, check_url

Answer = Callable[[socket.socket, dict[str, Any]], None]


class RawServer:
    """Accepts connections one after the other, reads one request from each, and lets ``answer`` write what it likes."""

    def __init__(self) -> None:
        self.answer: Answer = lambda connection, request: None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.answer(connection, self._read(connection))
                except OSError:
                    continue

    def _read(self, connection: socket.socket) -> dict[str, Any]:
        connection.settimeout(5)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        self.headers.append(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        request: dict[str, Any] = json.loads(body)
        self.requests.append(request)
        return request

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[RawServer]:
    running = RawServer()
    yield running
    running.close()


@pytest.fixture
def wire(server: RawServer) -> Iterator[Wire]:
    made = Wire(f"http://127.0.0.1:{server.port}/v3/SECRETKEY?token=SECRETKEY", timeout=2)
    yield made
    made.close()


def http(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n".encode() + body


def reply(request: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], **members}).encode()


def fails(wire: Wire, kind: type[ChainError], match: str | None = None) -> ChainError:
    """The error of one question, which names the host and never shows the url."""
    with pytest.raises(kind, match=match) as caught:
        wire.ask("eth_chainId", [])
    shown = "".join(traceback.format_exception(caught.value))
    assert "SECRETKEY" not in shown
    return caught.value


def test_a_question_and_its_answer(server: RawServer, wire: Wire) -> None:
    server.answer = lambda connection, request: connection.sendall(http(reply(request, result="0x1")))
    assert wire.ask("eth_chainId", []) == "0x1"
    assert wire.ask("eth_getBalance", ["0x00", "latest"]) == "0x1"
    assert server.requests[1]["method"] == "eth_getBalance"
    assert server.requests[1]["params"] == ["0x00", "latest"]
    assert server.requests[0]["id"] != server.requests[1]["id"]
    assert "Accept-Encoding: identity" in server.headers[0]


def test_a_refusal_is_an_answer_whatever_the_status(server: RawServer, wire: Wire) -> None:
    for status in ("200 OK", "400 Bad Request", "500 Oops"):
        error = {"code": -32000, "message": "nonce too low"}
        server.answer = lambda connection, request, error=error, status=status: connection.sendall(  # type: ignore[misc]
            http(reply(request, error=error), status=status)
        )
        assert wire.ask("eth_sendRawTransaction", ["0x"]) == Refusal(-32000, "nonce too low")


def test_a_busy_node_may_be_asked_again(server: RawServer, wire: Wire) -> None:
    busy = {"code": -32005, "message": "limit exceeded"}
    server.answer = lambda connection, request: connection.sendall(http(reply(request, error=busy)))
    assert fails(wire, ChainUnavailableError, "busy").retryable
    for status in ("429 Slow", "500 Oops", "502 Gateway", "503 Later"):
        server.answer = lambda connection, request, status=status: connection.sendall(http(b"<html>", status=status))  # type: ignore[misc]
        assert fails(wire, ChainUnavailableError, status[:3]).retryable


def test_r5_redirects_are_not_followed(server: RawServer, wire: Wire) -> None:
    moved = http(b"", status="302 Found", headers="Location: http://169.254.169.254/latest\r\n")
    server.answer = lambda connection, request: connection.sendall(moved)
    fails(wire, ChainError, "redirects")
    assert len(server.requests) == 1


def test_other_statuses_are_named(server: RawServer, wire: Wire) -> None:
    for status in ("401 No", "403 No", "404 No"):
        server.answer = lambda connection, request, status=status: connection.sendall(http(b"no", status=status))  # type: ignore[misc]
        assert fails(wire, ChainError, status[:3]).code == "chain.reply"
        server.answer = lambda connection, request, status=status: connection.sendall(http(b"{}", status=status))  # type: ignore[misc]
        assert fails(wire, ChainError, status[:3]).code == "chain.reply"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_broken_http_is_unavailability(server: RawServer, wire: Wire, raw: bytes) -> None:
    server.answer = lambda connection, request: connection.sendall(raw)
    assert fails(wire, ChainError).code in ("chain.unavailable", "chain.reply")


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"[" * 100_000, b'{"jsonrpc":"2.0","id":999,"result":"0x1"}'])
def test_r4_hostile_bodies_are_typed_errors(server: RawServer, wire: Wire, body: bytes) -> None:
    server.answer = lambda connection, request: connection.sendall(http(body))
    assert fails(wire, ChainError).code == "chain.reply"


def test_r4_a_flood_is_cut_off(server: RawServer, wire: Wire) -> None:
    sent = 0

    def flood(connection: socket.socket, request: dict[str, Any]) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1600):
            sent += connection.send(b" " * 65536)

    server.answer = flood
    with pytest.raises(ChainError, match="longer than 1000000 bytes"):
        wire.ask_many([("eth_chainId", [])], most=1_000_000)
    assert sent < 20_000_000


def test_r4_a_compressed_answer_is_refused(server: RawServer, wire: Wire) -> None:
    server.answer = lambda connection, request: connection.sendall(
        http(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n")
    )
    fails(wire, ChainError, "compressed")


def test_a_dripping_node_is_left(server: RawServer, wire: Wire) -> None:
    def drip(connection: socket.socket, request: dict[str, Any]) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\n \r\n")
            time.sleep(0.1)

    server.answer = drip
    started = time.monotonic()
    assert fails(wire, ChainUnavailableError, "longer than 2 s").retryable
    assert time.monotonic() - started < 5


def test_headers_that_drip_are_left(server: RawServer, wire: Wire) -> None:
    def drip(connection: socket.socket, request: dict[str, Any]) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(100):
            connection.sendall(b"X-%d: y\r\n" % number)
            time.sleep(0.1)

    server.answer = drip
    started = time.monotonic()
    fails(wire, ChainUnavailableError, "longer than 2 s")
    assert time.monotonic() - started < 5


def test_a_silent_node_is_left(server: RawServer) -> None:
    server.answer = lambda connection, request: time.sleep(1.5)
    wire = Wire(f"http://127.0.0.1:{server.port}/SECRETKEY", timeout=0.3)
    assert fails(wire, ChainUnavailableError, "takes longer").retryable
    wire.close()


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    wire = Wire(f"http://127.0.0.1:{port}/SECRETKEY", timeout=1)
    assert fails(wire, ChainUnavailableError, "127.0.0.1 does not answer").retryable
    wire.close()
    wire.close()


def keep_alive(connection: socket.socket, request: dict[str, Any]) -> None:
    body = reply(request, result="0x1")
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def test_a_connection_is_kept_and_made_anew_when_the_node_has_closed_it(server: RawServer, wire: Wire) -> None:
    def serve(connection: socket.socket, request: dict[str, Any]) -> None:
        keep_alive(connection, request)
        keep_alive(connection, server._read(connection))

    server.answer = serve
    for _ in range(4):
        assert wire.ask("eth_chainId", []) == "0x1"
    assert len(server.requests) == 4


def test_a_fresh_connection_that_is_closed_is_no_reason_to_try_again(server: RawServer, wire: Wire) -> None:
    fails(wire, ChainUnavailableError)
    assert len(server.requests) == 1


def test_credentials_in_the_url_are_sent_and_not_shown(server: RawServer) -> None:
    server.answer = keep_alive
    wire = Wire(f"http://user:SECRET%40KEY@127.0.0.1:{server.port}/", timeout=2)
    assert wire.ask("eth_chainId", []) == "0x1"
    assert "Authorization: Basic dXNlcjpTRUNSRVRAS0VZ" in server.headers[0]
    wire.close()


def test_a_proxy_of_the_environment_is_used_for_other_machines(
    server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.answer = keep_alive
    wire = Wire("http://node.example:8545/rpc", timeout=2)
    assert wire.ask("eth_chainId", []) == "0x1"
    assert server.headers[0].startswith("POST http://node.example:8545/rpc HTTP/1.1")
    assert "Proxy-Authorization: Basic bWU6cHc=" in server.headers[0]
    wire.close()


def test_r5_ccip_read_is_off(server: RawServer, wire: Wire) -> None:
    server.answer = lambda connection, request: connection.sendall(http(reply(request, result="0x1")))
    wire.ask("eth_chainId", [])
    assert wire._web3.provider.global_ccip_read_enabled is False
    assert len(wire._web3.manager.middleware_onion) == 0


def test_the_environment_proxy_is_not_asked_about_this_machine(
    server: RawServer, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answer = lambda connection, request: connection.sendall(http(reply(request, result="0x1")))
    assert wire.ask("eth_chainId", []) == "0x1"


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8545", "ftp://x", "http://", "http://x:99999", "http://[::1", "ws://x", "file:///x", "http://x:0"],
)  # fmt: skip
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_url(url)
    assert caught.value.code == "input.url"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bursar\[ethereum\]") as caught:
        Wire("http://127.0.0.1:1", timeout=1)
    assert caught.value.extra == "ethereum"
