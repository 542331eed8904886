"""JSON-RPC over HTTP on loopback: cookie authentication, Host check, bounded requests (RFC 9112, RFC 7617)."""

from __future__ import annotations

import base64
import hmac
import http.server
import os
import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import ChainUnavailableError
from bursar.nodes.sandbox.bitcoin.dispatch import Dispatcher
from bursar.nodes.sandbox.loopback import LOOPBACK, LoopbackServer, is_loopback

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

MAX_BODY: Final = 32 * 1024 * 1024
IDLE_SECONDS: Final = 30
COOKIE_USER: Final = "__cookie__"


def write_cookie(path: Path) -> bytes:
    """A fresh ``user:password`` in a file only its owner may read, as bitcoind leaves it for its clients."""
    content = f"{COOKIE_USER}:{secrets.token_hex(32)}".encode("ascii")
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)
    return content


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: _Server

    def do_POST(self) -> None:
        refusal = self._refusal()
        if refusal is not None:
            return self._send(*refusal, close=True)
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            return self._send(411, "a Content-Length is required", close=True)
        if not 0 <= length <= MAX_BODY:
            return self._send(413, f"a request has at most {MAX_BODY} bytes", close=True)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        reply = self.server.dispatcher.answer(body)
        if reply is None:
            return self._send(204, "")
        return self._send(reply.status, reply.body, kind="application/json")

    def do_GET(self) -> None:
        self._send(405, "JSONRPC server handles only POST requests", close=True)

    def _refusal(self) -> tuple[int, str] | None:
        if not is_loopback(self.headers.get("Host", "")):
            return 403, "the Host header does not name this machine"
        if self.path not in ("/", ""):
            return 404, "there is nothing here: post to /"
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self.server.authorization):
            return 401, ""
        return None

    def _send(self, status: int, text: str, *, kind: str = "text/html", close: bool = False) -> None:
        body = text.encode("ascii")
        self.send_response_only(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="jsonrpc"')
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        if close:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet: whoever embeds the sandbox owns the terminal."""


class _Server(LoopbackServer):
    def __init__(self, port: int, dispatcher: Dispatcher, authorization: bytes) -> None:
        self.dispatcher = dispatcher
        self.authorization = authorization
        super().__init__(port, _Handler)


class RpcServer:
    """Serves one chain until closed; ``stopping`` is set when a caller asks for the end."""

    def __init__(self, chain: RegtestChain, *, cookie: Path, port: int = 0) -> None:
        self.stopping = threading.Event()
        self.cookie = cookie
        authorization = b"Basic " + base64.b64encode(write_cookie(cookie))
        try:
            self._server: _Server | None = _Server(port, Dispatcher(chain, stop=self.stopping), authorization)
        except OSError as error:
            cookie.unlink(missing_ok=True)
            raise ChainUnavailableError(f"port {port} cannot be opened ({error}): choose another") from error
        self.port: int = self._server.server_port
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="bursar-rpc")
        self._thread.start()

    def close(self) -> None:
        """Stop serving and remove the cookie; idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        self.stopping.set()
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.hang_up()
        self.cookie.unlink(missing_ok=True)
