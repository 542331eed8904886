"""HTTP/1.1 (RFC 9112) to one server: one connection, deadlines, bounded answers, TLS by authority or by pin."""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urlsplit

from bursar.errors import InvalidInputError
from bursar.nodes.tls import Trust, encrypted, trust_of

MAX_REPLY: Final = 128 * 1024 * 1024
_HEADERS: Final = 1024 * 1024  # more than the library reads of them, and of what stands between chunks


class TooLongError(Exception):
    """An answer is longer than was allowed; ``size`` is what it announced, ``None`` when it just went on."""

    def __init__(self, size: int | None) -> None:
        super().__init__(size)
        self.size = size


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is. ``path`` starts with a slash."""

    host: str
    port: int
    path: str
    tls: bool

    @classmethod
    def from_url(cls, url: str, *, like: str) -> Place:
        """From an http or https url; ``InvalidInputError`` (``input.url``) when it is none or holds a password."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInputError(f"node url is not like {like}", code="input.url")
        if parts.username is not None or parts.password is not None:
            raise InvalidInputError("node url holds a password: give user and password apart", code="input.url")
        tls = parts.scheme == "https"
        try:
            port = parts.port or (443 if tls else 80)
        except ValueError as error:
            raise InvalidInputError(f"node url has an impossible port: {error}", code="input.url") from error
        return cls(parts.hostname, port, parts.path or "/", tls)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes
    retry_after: str | None = None


class _TimedSocket:
    """A socket as ``http.client`` needs it, with one deadline for everything instead of a timeout for each packet.

    ``http.client`` closes the socket before it has read a reply that ends the connection: the streams keep it open.
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._users = 1
        self._closed = False
        self.deadline = deadline
        self.left = 0  # bytes it may still give: a chunk may claim a length below zero, which is read as all there is

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
        count = self._arm().recv_into(buffer)
        self.left -= count
        if self.left < 0:
            raise TooLongError(None)
        return count

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


class HttpChannel:
    """One connection, opened when first needed; not for several threads at once."""

    def __init__(self, place: Place, *, trust: Trust | None = None, max_reply: int = MAX_REPLY) -> None:
        self._place = place
        self._trust = trust or trust_of()
        self._max_reply = max_reply
        self._connection: http.client.HTTPConnection | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection of an earlier exchange stands, as far as anybody knows."""
        return self._connection is not None

    def exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, deadline: float
    ) -> Answer:
        """One request and its answer, all before ``deadline`` (``time.monotonic``).

        Raises ``OSError``, ``http.client.HTTPException`` and ``TooLongError``; hang up then.
        """
        connection = self._connect(deadline)
        connection.request(method, target, body, {"Connection": "keep-alive", **headers})
        response = connection.getresponse()
        with response:  # closed whatever becomes of it: one left half read complains when it is collected
            raw = self._read(response)
        if response.will_close:
            self.close()
        return Answer(response.status, raw, response.headers.get("Retry-After"))

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        announced = response.length
        if announced is not None and announced > self._max_reply:
            raise TooLongError(announced)
        try:
            raw = response.read(self._max_reply + 1)
        except ValueError as error:  # a chunk of a length below zero
            raise http.client.IncompleteRead(b"") from error
        if len(raw) > self._max_reply:
            raise TooLongError(None)
        if announced is not None and len(raw) < announced:
            raise http.client.IncompleteRead(raw, announced - len(raw))
        return raw

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        if self._connection is None:
            place = self._place
            raw = socket.create_connection((place.host, place.port), max(deadline - time.monotonic(), 0.001))
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if place.tls:
                    raw = encrypted(raw, place.host, where=str(place), trust=self._trust)
            except BaseException:
                raw.close()
                raise
            connection = http.client.HTTPConnection(place.host, place.port)
            connection.auto_open = 0
            connection.sock = cast("socket.socket", _TimedSocket(raw, deadline))
            self._connection = connection
        sock = cast("_TimedSocket", self._connection.sock)
        sock.deadline, sock.left = deadline, 2 * self._max_reply + _HEADERS
        return self._connection

    def close(self) -> None:
        """Hang up; idempotent, and a later exchange connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
