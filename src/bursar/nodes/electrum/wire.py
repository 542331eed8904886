"""Lines over TCP or TLS, perhaps through a SOCKS5 proxy (RFC 1928): every wait has an end, every line a limit."""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bursar.errors import ChainError, InvalidInputError
from bursar.nodes.tls import encrypted

if TYPE_CHECKING:
    from bursar.nodes.tls import Trust

CHUNK: Final = 262_144
_SCHEMES: Final = {"tcp": 50001, "ssl": 50002}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something listens."""

    scheme: str
    host: str
    port: int

    @classmethod
    def server(cls, url: str) -> Place:
        """``ssl://host:50002`` or ``tcp://host:50001``; ``InvalidInputError`` (``input.url``) otherwise."""
        return cls._read(url, _SCHEMES, "server url is not like ssl://electrum.example:50002")

    @classmethod
    def proxy(cls, url: str) -> Place:
        """``socks5://127.0.0.1:9050``; ``InvalidInputError`` (``input.url``) otherwise."""
        return cls._read(url, {"socks5": 9050}, "proxy url is not like socks5://127.0.0.1:9050")

    @classmethod
    def _read(cls, url: str, ports: dict[str, int], problem: str) -> Place:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InvalidInputError(f"{problem}: {error}", code="input.url") from error
        if parts.scheme not in ports or not parts.hostname or parts.username is not None or parts.password is not None:
            raise InvalidInputError(problem, code="input.url")
        if parts.path not in ("", "/") or parts.query or parts.fragment or len(parts.hostname) > 253:
            raise InvalidInputError(problem, code="input.url")
        return cls(parts.scheme, parts.hostname, port if port else ports[parts.scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class LineTooLongError(ChainError):
    """A line is over its limit."""


class Wire:
    """One connection; ``OSError`` when it breaks, ``TimeoutError`` at a deadline (``time.monotonic``)."""

    def __init__(self, server: Place, *, trust: Trust, proxy: Place | None, deadline: float) -> None:
        self._in = bytearray()
        self._out = bytearray()
        self._start = 0  # of the first line that nobody has read
        self._at = 0  # where its end is looked for
        self._place = server
        first = proxy or server
        self._socket: socket.socket = socket.create_connection((first.host, first.port), _left(deadline))
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy is not None:
                self._through_proxy(deadline)
            if server.scheme == "ssl":
                self._encrypt(trust, deadline)
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def _encrypt(self, trust: Trust, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket = encrypted(self._socket, self._place.host, where=str(self._place), trust=trust)

    def _through_proxy(self, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(b"\x05\x01\x00")
        if self._exactly(2, deadline) != b"\x05\x00":
            raise ConnectionError("the proxy does not take connections without a password")
        try:
            host = self._place.host.encode("idna")
        except UnicodeError as error:
            raise ConnectionError(f"{self._place.host} is not a host name") from error
        self._socket.sendall(b"\x05\x01\x00\x03" + bytes((len(host),)) + host + self._place.port.to_bytes(2, "big"))
        answer = self._exactly(4, deadline)
        if answer[:3] != b"\x05\x00\x00":
            raise ConnectionError(f"the proxy cannot reach {self._place} (reason {answer[1]})")
        size = {1: 4, 4: 16, 3: -1}.get(answer[3], 0)
        self._exactly((self._exactly(1, deadline)[0] if size < 0 else size) + 2, deadline)

    def _exactly(self, count: int, deadline: float) -> bytes:
        data = b""
        while len(data) < count:
            self._socket.settimeout(_left(deadline))
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the proxy hung up")
            data += more
        return data

    def send(self, data: bytes) -> None:
        """Begin to write; what the other side does not take at once goes out while lines are waited for."""
        self._out += data
        self._push()

    def line(self, limit: int, deadline: float) -> bytes:
        """The next line without its end; ``LineTooLongError`` beyond ``limit`` bytes."""
        while True:
            end = self._in.find(b"\n", self._at)
            if (end if end >= 0 else len(self._in)) - self._start > limit:
                raise LineTooLongError(f"a line is over {limit} bytes", code="chain.reply")
            if end >= 0:
                line = bytes(self._in[self._start : end])
                self._start = self._at = end + 1
                return line
            self._at = len(self._in)
            if not self._exchange():
                wait = ([self._socket], [self._socket] if self._out else [])
                select.select(*wait, [], _left(deadline))
            _left(deadline)

    @property
    def idle(self) -> bool:
        """Whether nothing has come that is not read yet: then a line would have to be waited for."""
        return b"\n" not in self._in[self._start :] and not (self._pull() and b"\n" in self._in)

    def _exchange(self) -> bool:
        """Write and read what can be without waiting; whether anything moved."""
        pushed = self._push()
        return self._pull() or pushed

    def _push(self) -> bool:
        if not self._out:
            return False
        try:
            sent = self._socket.send(self._out[:CHUNK])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        del self._out[:sent]
        return sent > 0

    def _pull(self) -> bool:
        try:
            more = self._socket.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not more:
            raise ConnectionError("the server hung up")
        if self._start:  # lines that were read
            del self._in[: self._start]
            self._at -= self._start
            self._start = 0
        self._in += more
        return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline reached")
    return left
