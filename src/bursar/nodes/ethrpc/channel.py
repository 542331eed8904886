"""HTTP POST (RFC 9112) to one URL: each exchange has a deadline and a largest answer, and nothing is followed."""

from __future__ import annotations

import base64
import http.client
import io
import socket
import ssl
import threading
import time
from functools import partial
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

_CHUNK = 64 * 1024
_HEADERS = 1024 * 1024  # more than the library reads of them, and of what stands between chunks
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class TooLongError(Exception):
    """The answer is longer than was allowed."""


class _DeadlineReader(io.RawIOBase):
    """A socket's bytes until a moment of the monotonic clock, however slowly they drip, and at most so many."""

    # the bound is here and not where the content is read: a chunk may claim a length below zero, which is read as all

    def __init__(self, connection: socket.socket, deadline: float, most: int) -> None:
        self._connection = connection
        self._stream = connection.makefile("rb", buffering=0)  # outlives the closing of the connection
        self._deadline = deadline
        self._left = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._connection.settimeout(remaining)
        count = self._stream.readinto(buffer) or 0
        self._left -= count
        if self._left < 0:
            raise TooLongError
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _DeadlineSocket:
    """What ``http.client`` asks of a socket to read an answer from it."""

    def __init__(self, connection: socket.socket, deadline: float, most: int) -> None:
        self._reader = _DeadlineReader(connection, deadline, most)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The stream of the answer."""
        return io.BufferedReader(self._reader, _CHUNK)


def _basic(parts: SplitResult) -> str:
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")


class Channel:
    """Keeps one connection; exchanges of several threads take turns. Raises OSError and ``http.client`` errors."""

    def __init__(self, parts: SplitResult, *, timeout: float) -> None:
        self._parts = parts
        self._timeout = timeout
        self._turn = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self._proxy = self._find_proxy()
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        if self._proxy is not None and parts.scheme == "http":
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
        self._target = target
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if parts.username is not None:
            self._headers["Authorization"] = _basic(parts)
        if self._proxy is not None and self._proxy.username is not None and parts.scheme == "http":
            self._headers["Proxy-Authorization"] = _basic(self._proxy)

    def _find_proxy(self) -> SplitResult | None:
        host = self._parts.hostname or ""
        # a proxy of the environment has no business between this machine and itself
        if host in _LOOPBACK or proxy_bypass(host):
            return None
        named = getproxies().get(self._parts.scheme)
        return urlsplit(named) if named else None

    def post(self, body: bytes, *, largest: int) -> tuple[int, str, bytes]:
        """Send ``body``; status, content encoding and content of the answer. :class:`TooLongError` cuts it off."""
        deadline = time.monotonic() + self._timeout
        with self._turn:
            reused = self._connection is not None
            try:
                return self._exchange(body, deadline, largest)
            except (http.client.RemoteDisconnected, ConnectionError):
                self._hang_up()
                if not reused:
                    raise
            # the node had closed the idle connection; whatever is asked here may be asked twice
            return self._exchange(body, deadline, largest)

    def _exchange(self, body: bytes, deadline: float, largest: int) -> tuple[int, str, bytes]:
        try:
            connection = self._connected(deadline, 2 * largest + _HEADERS)
            connection.request("POST", self._target, body, self._headers)
            response = connection.getresponse()
            with response:  # closed whatever becomes of it: one left half read complains when it is collected
                content = _read(response, largest)
            if response.will_close:
                self._hang_up()
            return response.status, response.headers.get("Content-Encoding", "identity"), content
        except BaseException:
            self._hang_up()
            raise

    def _connected(self, deadline: float, most: int) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._new_connection()
        connection.response_class = partial(_deadline_response, deadline, most)  # type: ignore[assignment]
        connection.timeout = max(deadline - time.monotonic(), 0.001)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        return connection

    def _new_connection(self) -> http.client.HTTPConnection:
        where = self._proxy or self._parts
        host, port = where.hostname or "", where.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port or 80)
        secure = http.client.HTTPSConnection(host, port or (443 if self._proxy is None else 80), context=_tls())
        if self._proxy is not None:
            headers = {} if self._proxy.username is None else {"Proxy-Authorization": _basic(self._proxy)}
            secure.set_tunnel(self._parts.hostname or "", self._parts.port or 443, headers)
        return secure

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Hang up; idempotent."""
        with self._turn:
            self._hang_up()


def _read(response: http.client.HTTPResponse, largest: int) -> bytes:
    received = bytearray()
    try:
        while chunk := response.read(_CHUNK):
            received += chunk
            if len(received) > largest:
                raise TooLongError
    except ValueError as error:  # a chunk of a length below zero
        raise http.client.IncompleteRead(b"") from error
    if response.length:  # fewer bytes than the header announced
        raise http.client.IncompleteRead(b"")
    return bytes(received)


def _deadline_response(
    deadline: float, most: int, connection: socket.socket, *rest: Any, **named: Any
) -> http.client.HTTPResponse:
    stream: Any = _DeadlineSocket(connection, deadline, most)
    return http.client.HTTPResponse(stream, *rest, **named)


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
