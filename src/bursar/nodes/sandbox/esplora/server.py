"""Esplora's HTTP API over the sandbox's chain, on loopback: bounded requests, no cookies, no state."""

from __future__ import annotations

import http.server
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from bursar.errors import ChainUnavailableError
from bursar.nodes import exact_json
from bursar.nodes.sandbox.esplora.answers import Answers, BadPathError, Reply
from bursar.nodes.sandbox.loopback import LOOPBACK, LoopbackServer, is_loopback

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

MAX_BODY: Final = 32 * 1024 * 1024
IDLE_SECONDS: Final = 30


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            return self._send(Reply(f"a request has at most {MAX_BODY} bytes", 413))
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        return self._answer(body)

    def _answer(self, body: bytes | None) -> None:
        if not is_loopback(self.headers.get("Host", "")):
            self._send(Reply("ask for this machine by its own name", 403))
            return
        path = [unquote(part) for part in urlsplit(self.path).path.split("/") if part] or [""]
        chain = self.server.chain
        try:
            with chain.lock:
                reply = self.server.answers.get(path) if body is None else self.server.answers.post(path, body)
        except BadPathError as error:
            reply = Reply(error.message, 400)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        if isinstance(reply.body, bytes):
            kind, body = "application/octet-stream", reply.body
        elif isinstance(reply.body, str):
            kind, body = "text/plain", reply.body.encode("utf-8")
        else:
            kind, body = "application/json", exact_json.dumps(reply.body).encode("ascii")
        self.send_response_only(reply.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet: whoever embeds the sandbox owns the terminal."""


class _Server(LoopbackServer):
    def __init__(self, port: int, chain: RegtestChain, tls: ssl.SSLContext | None) -> None:
        self.chain = chain
        self.answers = Answers(chain)
        super().__init__(port, _Handler, tls=tls)


class EsploraServer:
    """Serves one chain until closed. ``certificate`` is a file with a certificate and its key; then it speaks TLS."""

    def __init__(self, chain: RegtestChain, *, port: int = 0, certificate: Path | None = None) -> None:
        tls = None
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
        try:
            self._server: _Server | None = _Server(port, chain, tls)
        except OSError as error:
            raise ChainUnavailableError(f"port {port} cannot be opened ({error}): choose another") from error
        self.port: int = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://{LOOPBACK}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True, name="bursar-esplora"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving; idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        self._thread.join()
        server.server_close()
        server.hang_up()
