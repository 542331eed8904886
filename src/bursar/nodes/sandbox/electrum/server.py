"""Electrum protocol 1.4.2 over TCP or TLS on loopback: lines of JSON-RPC, subscriptions, bounded requests."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import ChainUnavailableError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.sandbox.electrum.methods import (
    BAD_PARAMS,
    OLDEST,
    PROTOCOL,
    SOFTWARE,
    Answers,
    FaultError,
    script_hash,
)

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

MAX_LINE: Final = 8 * 1024 * 1024
MAX_CONNECTIONS: Final = 128
MAX_BATCH: Final = 1000
IDLE_SECONDS: Final = 600
LOOK_EVERY: Final = 0.05
LOOPBACK: Final = "127.0.0.1"
INVALID_REQUEST: Final = -32600
PARSE: Final = -32700


class _Session(socketserver.BaseRequestHandler):
    server: _Server

    def setup(self) -> None:
        self.connection: socket.socket = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.settimeout(IDLE_SECONDS)
        self._writing = threading.Lock()
        self._statuses: dict[bytes, str | None] = {}
        self._tip: Any = None
        self._greeted = False
        if self.server.tls is not None:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)

    def handle(self) -> None:
        self.server.join(self)
        rest = b""
        while True:
            chunk = self.connection.recv(262144)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE:
                return
            self.server.spread()  # so that whoever asks after a change has heard of it
            replies = [reply for line in lines if (reply := self._reply(line)) is not None]
            if replies:
                self._send("".join([f"{reply}\n" for reply in replies]))

    def finish(self) -> None:
        self.server.leave(self)
        with contextlib.suppress(OSError):
            self.connection.close()

    def _send(self, text: str) -> None:
        with self._writing:
            self.connection.sendall(text.encode("ascii"))

    def _reply(self, line: bytes) -> str | None:
        try:
            request = exact_json.loads(line)  # a hostile line is an answer, not a crash
        except InvalidInputError as error:
            return _write({"jsonrpc": "2.0", "id": None, "error": {"code": PARSE, "message": error.message}})
        if not isinstance(request, list):
            reply = self._one(request)
            return None if reply is None else _write(reply)
        if not 0 < len(request) <= MAX_BATCH:
            refusal = {"code": INVALID_REQUEST, "message": f"a batch has 1 to {MAX_BATCH} requests"}
            return _write({"jsonrpc": "2.0", "id": None, "error": refusal})
        replies = [reply for one in request if (reply := self._one(one)) is not None]
        return _write(replies) if replies else None

    def _one(self, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            error = {"code": INVALID_REQUEST, "message": "a request is an object with a method"}
            return {"jsonrpc": "2.0", "id": None, "error": error}
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request.get("id")}
        params = request.get("params", [])
        try:
            if not isinstance(params, list):
                raise FaultError(BAD_PARAMS, "params are a list")
            reply["result"] = self._answer(request["method"], params)
        except FaultError as fault:
            reply["error"] = {"code": fault.number, "message": fault.message}
        return reply if "id" in request else None

    def _answer(self, method: str, params: list[Any]) -> Any:
        if method == "server.version":
            return self._negotiate(*params[1:2])
        self._greeted = True
        answers = self.server.answers
        with answers.chain.lock:
            if method == "blockchain.headers.subscribe" and not params:
                answers.index.refresh()
                self._tip = answers.tip()
                return self._tip
            if method in ("blockchain.scripthash.subscribe", "blockchain.scripthash.unsubscribe") and len(params) == 1:
                key = script_hash(params[0])
                if method.endswith("unsubscribe"):
                    return self._statuses.pop(key, self) is not self
                answers.index.refresh()
                status = self._statuses[key] = answers.index.status(key)
                return status
            return answers.answer(method, params)

    def _negotiate(self, wanted: Any = PROTOCOL) -> Any:
        if self._greeted:
            raise FaultError(1, "server.version already sent")
        lowest, highest = wanted if isinstance(wanted, list) and len(wanted) == 2 else (wanted, wanted)
        chosen = min(_numbers(highest), _numbers(PROTOCOL))
        if chosen < max(_numbers(lowest), _numbers(OLDEST)):
            raise FaultError(1, f"unsupported protocol version: {str(wanted)[:40]}")
        self._greeted = True
        return [SOFTWARE, ".".join(map(str, chosen))]

    def news(self, touched: set[bytes]) -> str:
        """What changed of that which the client asked to be told, as lines; the chain's lock is held."""
        answers = self.server.answers
        lines: list[str] = []
        tip = answers.tip()
        if self._tip is not None and tip != self._tip:
            self._tip = tip
            lines.append(_write({"jsonrpc": "2.0", "method": "blockchain.headers.subscribe", "params": [tip]}))
        for key in touched & self._statuses.keys():
            status = answers.index.status(key)
            if status != self._statuses[key]:
                self._statuses[key] = status
                params = [key[::-1].hex(), status]
                lines.append(_write({"jsonrpc": "2.0", "method": "blockchain.scripthash.subscribe", "params": params}))
        return "".join([f"{line}\n" for line in lines])

    def tell(self, lines: str) -> None:
        """Send lines that no question asked for."""
        if lines:
            with contextlib.suppress(OSError):
                self._send(lines)

    def hang_up(self) -> None:
        """End the connection from another thread."""
        with contextlib.suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, answers: Answers, tls: ssl.SSLContext | None) -> None:
        self.answers = answers
        self.tls = tls
        self._sessions: set[_Session] = set()
        self._tip: Any = None
        self._guard = threading.Lock()
        super().__init__((LOOPBACK, port), _Session)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Turn away more connections than the server keeps threads for."""
        return len(self._sessions) < MAX_CONNECTIONS

    def join(self, session: _Session) -> None:
        """Count a session in."""
        with self._guard:
            self._sessions.add(session)

    def leave(self, session: _Session) -> None:
        """Count a session out."""
        with self._guard:
            self._sessions.discard(session)

    @property
    def sessions(self) -> list[_Session]:
        """Those that are open."""
        with self._guard:
            return list(self._sessions)

    def spread(self) -> None:
        """Tell every session what changed since this was last called."""
        with self.answers.chain.lock:
            self.answers.index.refresh()
            touched = self.answers.index.take_touched()
            if touched or self.answers.tip() != self._tip:
                self._tip = self.answers.tip()
                news = [(session, session.news(touched)) for session in self.sessions]
            else:
                news = []
        for session, lines in news:
            session.tell(lines)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about callers that hang up; anything else is a fault of this program and is printed."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class ElectrumServer:
    """Serves one chain until closed, over TLS with the certificate and key of ``tls`` if that is given."""

    def __init__(self, chain: RegtestChain, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._answers = Answers(chain)
        try:
            self._server: _Server | None = _Server(port, self._answers, tls)
        except OSError as error:
            raise ChainUnavailableError(f"port {port} cannot be opened ({error}): choose another") from error
        self.port = int(self._server.socket.getsockname()[1])
        self.url = f"{'tcp' if tls is None else 'ssl'}://{LOOPBACK}:{self.port}"
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="bursar-electrum"),
            threading.Thread(target=self._watch, daemon=True, name="bursar-electrum-news"),
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            server = self._server
            if server is None:
                return
            server.spread()

    def close(self) -> None:
        """Stop serving; idempotent."""
        server, self._server = self._server, None
        if server is None:
            return
        self._stop.set()
        server.shutdown()
        for thread in self._threads:
            thread.join()
        server.server_close()
        for session in server.sessions:
            session.hang_up()


def _write(reply: Any) -> str:
    return json.dumps(reply, separators=(",", ":"))


def _numbers(version: Any) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in str(version).split("."))
    except ValueError:
        raise FaultError(1, f"invalid protocol version {str(version)[:40]!r}") from None
