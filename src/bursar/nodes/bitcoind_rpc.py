"""Bitcoin Core's JSON-RPC over HTTP: one connection, deadlines, bounded replies; the only place its errors are read."""

from __future__ import annotations

import base64
import http.client
import io
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import exact_json

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret

MAX_REPLY: Final = 128 * 1024 * 1024
MAX_COOKIE: Final = 4096
ATTEMPTS: Final = 3
PAUSE: Final = 0.2
IN_WARMUP: Final = -28
NO_METHOD: Final = -32601


@dataclass(frozen=True, slots=True)
class Refusal:
    """The node's own error: its code and what it said, made fit to print."""

    code: int
    message: str


class _TimedSocket:
    """A socket as ``http.client`` needs it, with one deadline for everything instead of a timeout for each packet.

    ``http.client`` closes the socket before it has read a reply that ends the connection: the streams keep it open.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._users = 1
        self._closed = False
        self.deadline = deadline

    def _arm(self) -> socket.socket:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("deadline reached")
        self._sock.settimeout(left)
        return self._sock

    def sendall(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._arm().send(view[:65536]) :]

    def recv_into(self, buffer: memoryview) -> int:
        return self._arm().recv_into(buffer)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        self._users += 1
        return io.BufferedReader(_TimedStream(self), 65536)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.release()

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._sock.close()


class _TimedStream(io.RawIOBase):
    def __init__(self, sock: _TimedSocket) -> None:
        self._timed = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.recv_into(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            self._timed.release()
        super().close()


class RpcClient:
    """Calls a node's JSON-RPC. Reads are tried again when the connection fails; ``write`` never is.

    ``cookie`` is bitcoind's cookie file, read again whenever the node asks; or give ``user`` and ``password``.
    ``timeout`` is the limit in seconds of one exchange from connecting to the last byte.
    """

    def __init__(
        self,
        url: str,
        *,
        cookie: Path | None = None,
        user: str | None = None,
        password: Secret | None = None,
        timeout: float = 30.0,
        max_reply: int = MAX_REPLY,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInputError("node url is not like http://127.0.0.1:8332", code="input.url")
        if parts.username is not None or parts.password is not None:
            raise InvalidInputError("node url holds a password: give user and password apart", code="input.url")
        if (user is None) != (password is None) or (user is not None and cookie is not None):
            raise InvalidInputError(
                "give a cookie file, or a user and a password, or neither", code="input.credentials"
            )
        try:
            self._port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise InvalidInputError(f"node url has an impossible port: {error}", code="input.url") from error
        self._host, self._path, self._tls = parts.hostname, parts.path or "/", parts.scheme == "https"
        self._cookie, self._user, self._password = cookie, user, password
        self._timeout, self._max_reply = timeout, max_reply
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None

    @property
    def where(self) -> str:
        """The node's address, for messages."""
        return f"{self._host}:{self._port}"

    def close(self) -> None:
        """Hang up; idempotent, and a later call connects again."""
        with self._lock:
            self._hang_up()

    def call(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        """The result of a read; ``ChainError`` when the node refuses."""
        reply = self.ask(method, *params, timeout=timeout)
        if isinstance(reply, Refusal):
            raise self.translate(method, reply)
        return reply

    def ask(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        """The result of a read, or the node's ``Refusal``."""
        return self._one(method, params, retry=True, timeout=timeout)

    def write(self, method: str, *params: Any) -> Any:
        """The result of a call that changes something, or the node's ``Refusal``; sent exactly once."""
        return self._one(method, params, retry=False, timeout=None)

    def batch(self, method: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """One read for each list of parameters, in one exchange: results or ``Refusal``, in order."""
        if not calls:
            return []
        requests = [self._request(method, call) for call in calls]
        replies = self._exchange(requests, retry=True, timeout=None)
        if not isinstance(replies, list) or len(replies) != len(requests):
            raise self._garbled(f"{len(requests)} calls in a batch were not answered with as many replies")
        by_id = {reply.get("id"): reply for reply in replies if isinstance(reply, dict)}
        return [self._result(by_id.get(request["id"]), request["id"]) for request in requests]

    def translate(self, method: str, refusal: Refusal) -> ChainError:
        """The error for a refusal nobody expected."""
        if refusal.code == IN_WARMUP:
            return ChainUnavailableError(f"node {self.where} is starting ({refusal.message}): try again soon")
        if refusal.code == NO_METHOD:
            return ChainError(f"node {self.where} has no method {method}: it needs Bitcoin Core 25 or newer")
        if "pruned data" in refusal.message or refusal.message == "Block not available":
            return ChainError(f"node {self.where} has pruned a block that is needed: use a node with all blocks")
        return ChainError(f"node {self.where} refused {method}: {refusal.message} ({refusal.code})")

    def _one(self, method: str, params: Sequence[Any], *, retry: bool, timeout: float | None) -> Any:
        request = self._request(method, params)
        return self._result(self._exchange(request, retry=retry, timeout=timeout), request["id"])

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "1.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _result(self, reply: Any, request_id: int) -> Any:
        if not isinstance(reply, dict) or reply.get("id") != request_id:
            raise self._garbled("a reply does not belong to its call")
        problem = reply.get("error")
        if problem is None:
            return reply.get("result")
        if not isinstance(problem, dict) or type(problem.get("code")) is not int:
            raise self._garbled("an error has no code")
        return Refusal(problem["code"], printable(problem.get("message")))

    def _garbled(self, what: str) -> ChainError:
        return ChainError(f"node {self.where} does not speak JSON-RPC properly: {what}", code="chain.reply")

    def _exchange(self, request: Any, *, retry: bool, timeout: float | None) -> Any:
        body = exact_json.dumps(request).encode("ascii")
        limit = self._timeout if timeout is None else timeout
        with self._lock:
            status, raw = self._attempts(body, limit, retry=retry)
        try:
            return exact_json.loads(raw)
        except InvalidInputError as error:
            if status == 404:
                raise ChainError(
                    f"node {self.where} serves nothing at the path {self._path}: check the url", code="chain.reply"
                ) from error
            raise self._garbled(f"status {status}, {error.message}") from error

    def _attempts(self, body: bytes, limit: float, *, retry: bool) -> tuple[int, bytes]:
        if not retry:
            self._hang_up()  # an old connection may have died unnoticed, and then nobody knows what was done
        last = ATTEMPTS if retry else 1
        for attempt in range(1, last + 1):
            try:
                status, raw = self._post(body, time.monotonic() + limit)
            except TimeoutError as error:
                self._hang_up()
                raise ChainUnavailableError(f"node {self.where} did not answer within {limit:g} s") from error
            except ssl.SSLCertVerificationError as error:
                self._hang_up()
                raise ChainError(
                    f"node {self.where} shows a certificate that is not to be trusted: {error.verify_message}"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                if attempt == last:
                    raise ChainUnavailableError(f"node {self.where} cannot be reached: {_cause(error)}") from error
            else:
                if status == 401 and self._cookie is not None and attempt < last:
                    continue  # a restarted node has a new cookie
                if status != 503 or attempt == last:
                    self._check_status(status)
                    return status, raw
            time.sleep(PAUSE * attempt)
        raise AssertionError("unreachable")

    def _check_status(self, status: int) -> None:
        if status == 401:
            raise ChainError(
                f"node {self.where} refuses the credentials: check the cookie file or user and password",
                code="chain.credentials",
            )
        if status == 403:
            raise ChainError(f"node {self.where} does not serve this client: see rpcallowip", code="chain.credentials")
        if status == 503:
            raise ChainUnavailableError(f"node {self.where} is too busy: try again")

    def _post(self, body: bytes, deadline: float) -> tuple[int, bytes]:
        connection = self._connect(deadline)
        headers = {"Content-Type": "application/json", "Connection": "keep-alive"}
        authorization = self._authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        connection.request("POST", self._path, body, headers)
        response = connection.getresponse()
        announced = response.length
        if announced is not None and announced > self._max_reply:
            self._hang_up()
            raise self._garbled(f"a reply of {announced} bytes is over the limit of {self._max_reply}")
        raw = response.read(self._max_reply + 1)
        if len(raw) > self._max_reply:
            self._hang_up()
            raise self._garbled(f"a reply is over the limit of {self._max_reply} bytes")
        if announced is not None and len(raw) < announced:
            raise http.client.IncompleteRead(raw, announced - len(raw))
        if response.will_close:
            self._hang_up()
        return response.status, raw

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        if self._connection is None:
            raw = socket.create_connection((self._host, self._port), max(deadline - time.monotonic(), 0.001))
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=self._host)
            connection = http.client.HTTPConnection(self._host, self._port)
            connection.auto_open = 0
            connection.sock = cast("socket.socket", _TimedSocket(raw, deadline))
            self._connection = connection
        cast("_TimedSocket", self._connection.sock).deadline = deadline
        return self._connection

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _authorization(self) -> str | None:
        if self._cookie is not None:
            credentials = self._read_cookie(self._cookie)
        elif self._user is not None and self._password is not None:
            credentials = self._user.encode() + b":" + self._password.expose()
        else:
            return None
        return "Basic " + base64.b64encode(credentials).decode("ascii")

    def _read_cookie(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_COOKIE).strip()
        except FileNotFoundError as error:
            raise ChainUnavailableError(f"cookie file {path} is missing: is the node running?") from error
        except OSError as error:
            raise ChainError(
                f"cookie file {path} cannot be read: {error.strerror}", code="chain.credentials"
            ) from error
        if b":" not in content:
            raise ChainError(f"{path} is not a cookie file: it holds no user:password", code="chain.credentials")
        return content


def printable(message: Any) -> str:
    """A node's message as one line of at most 300 printable characters."""
    text = message if isinstance(message, str) else str(message)
    return "".join(char if char.isprintable() else " " for char in text[:300]).strip()


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(str(error) or type(error).__name__).lower()
