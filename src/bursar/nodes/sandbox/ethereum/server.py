"""JSON-RPC 2.0 over HTTP on the loopback interface: single calls and batches."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bursar.json_text import nested_deeply
from bursar.nodes.sandbox.ethereum.words import RpcError

HOST = "127.0.0.1"
LONGEST_BODY = 5 * 1024 * 1024
LONGEST_BATCH = 1_000
DEEPEST_BODY = 64
_HOST_NAMES = ("127.0.0.1", "localhost")

Dispatch = Callable[[str, Sequence[Any]], Any]


class JsonRpcServer:
    """Serves ``dispatch`` from threads of its own; calls are answered one at a time."""

    def __init__(self, dispatch: Dispatch, *, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._dispatch = dispatch
        self._http = _HttpServer((HOST, port), _Handler)
        self._http.answer = self.answer
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name="ethereum-sandbox", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._http.server_address[1]}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop, hang up on clients, and wait for the threads."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.hang_up()
        self._http.server_close()

    def answer(self, body: bytes) -> bytes:
        """The reply to one HTTP body."""
        try:
            request = None if nested_deeply(body, most=DEEPEST_BODY) else json.loads(body)
        except ValueError:
            request = None
        if request is None:
            return _encoded(_failure(None, RpcError("parse error", code=-32700)))
        if not isinstance(request, list):
            return _encoded(self._answer_one(request))
        if not request or len(request) > LONGEST_BATCH:
            return _encoded(_failure(None, RpcError("invalid request: empty or too long a batch", code=-32600)))
        return _encoded([self._answer_one(one) for one in request])

    def _answer_one(self, request: Any) -> dict[str, Any]:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return _failure(None, RpcError("invalid request", code=-32600))
        identifier = request.get("id")
        params = request.get("params", [])
        if not isinstance(params, list):
            return _failure(identifier, RpcError("non-array args", code=-32602))
        try:
            with self._lock:
                result = self._dispatch(request["method"], params)
        except RpcError as error:
            return _failure(identifier, error)
        return {"jsonrpc": "2.0", "id": identifier, "result": result}


def _failure(identifier: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identifier, "error": error.to_json()}


def _encoded(reply: Any) -> bytes:
    return json.dumps(reply, separators=(",", ":")).encode("ascii")


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 64
    answer: Callable[[bytes], bytes]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        with self._guard:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive, so that their threads end."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer
    timeout = 60
    wbufsize = 64 * 1024  # headers and body in one segment: else the kernel holds the second back for 40 ms
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        # a page in a browser can reach loopback under a name of its own (DNS rebinding)
        if self.headers.get("Host", "").partition(":")[0] not in _HOST_NAMES:
            self._reply(403, b"")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            self.close_connection = True
            self._reply(413, b"")
            return
        self._reply(200, self.server.answer(self.rfile.read(int(length))))

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it)
        """Nothing is logged."""
