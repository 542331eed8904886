"""One question and its bounded answer, before a deadline: over HTTP/1.1 (RFC 9112), TLS, or a Unix socket."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import io
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlsplit

from bursar.backends.remote.places import place_error
from bursar.errors import SignerError, SignerMisbehavedError, SignerUnavailableError
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from bursar.backends.remote.places import RemotePlace

_DEEPEST: Final = 32
MOST_BYTES: Final = 4 * 1024 * 1024  # a transaction with six blobs, in hexadecimal, and room


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``status`` is that of HTTP, 200 over a socket."""

    status: int
    body: bytes


class Channel(Protocol):
    """A way to a remote signer."""

    def ask(self, method: str, path: str, body: bytes | None, *, seconds: float) -> Answer: ...


def channel_to(place: RemotePlace) -> Channel:
    """The way to a place; nothing is connected before the first question."""
    return HttpChannel(place) if place.url is not None else SocketChannel(place)


class _OverlongError(Exception):
    """More came than any answer has."""


class _Stream(io.RawIOBase):
    """A socket's bytes until a moment of the monotonic clock, however slowly they drip, and a bounded number."""

    # the bound is here and not where the body is read: a chunk may claim a length below zero, which is read as all

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = 2 * MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise _OverlongError
        return count

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002
        """As ``http.client`` asks a socket for."""
        return io.BufferedReader(self, 65_536)


class HttpChannel:
    """Each question has a connection of its own; redirects and proxies are not followed."""

    def __init__(self, place: RemotePlace) -> None:
        parts = urlsplit(place.url or "")
        self._place = place
        self._tls = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._tls else 80)
        self._base = parts.path.rstrip("/")
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self._header = f"{shown}:{self._port}" if parts.port else shown

    def ask(self, method: str, path: str, body: bytes | None, *, seconds: float) -> Answer:
        """The answer; ``SignerUnavailableError`` when none came, ``SignerMisbehavedError`` for one without an end."""
        deadline = time.monotonic() + seconds
        name = self._place.name
        try:
            with self._connect(deadline) as connection:
                head = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._header}", "Connection: close"]
                head += ["Accept: application/json, text/plain", "Accept-Encoding: identity"]
                if body is not None:
                    head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
                connection.settimeout(_left(deadline))
                connection.sendall("\r\n".join([*head, "", ""]).encode("ascii") + (body or b""))
                return self._read(connection, method, deadline)
        except TimeoutError as error:
            raise _late(name, seconds) from error
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise _gone(name, error) from error
        except ssl.SSLError as error:
            raise _distrusted(name, error.reason or "TLS failed") from error
        except _OverlongError as error:
            raise _endless(name) from error
        except (OSError, http.client.HTTPException) as error:
            raise _gone(name, error) from error

    def _read(self, connection: socket.socket, method: str, deadline: float) -> Answer:
        response = http.client.HTTPResponse(cast("socket.socket", _Stream(connection, deadline)), method=method)
        with response:  # closed whatever becomes of it
            return self._checked(response)

    def _checked(self, response: http.client.HTTPResponse) -> Answer:
        response.begin()
        if (response.length or 0) > MOST_BYTES:
            raise _endless(self._place.name)
        try:
            body = response.read(MOST_BYTES + 1)
        except ValueError as error:  # a chunk of a length below zero
            raise http.client.IncompleteRead(b"") from error
        if len(body) > MOST_BYTES:
            raise _endless(self._place.name)
        if response.length:
            raise http.client.IncompleteRead(body, response.length)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise SignerMisbehavedError(f"the remote signer at {self._place.name} compresses, which was not asked for")
        return Answer(response.status, body)

    def _connect(self, deadline: float) -> socket.socket:
        raw = socket.create_connection((self._host, self._port), _left(deadline))
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.settimeout(_left(deadline))
            return self._wrapped(raw) if self._tls else raw
        except BaseException:
            raw.close()
            raise

    def _wrapped(self, raw: socket.socket) -> ssl.SSLSocket:
        place = self._place
        if place.pin is None:
            authorities = None if place.authorities is None else str(place.authorities)
            try:
                context = ssl.create_default_context(cafile=authorities)
            except (ssl.SSLError, OSError) as error:
                raise place_error(f"{place.authorities} is not a readable file of certificates") from error
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE  # the pin below is all that counts
        if place.certificate is not None:
            try:
                context.load_cert_chain(place.certificate, place.key, password=_no_password)
            except (ssl.SSLError, OSError) as error:
                raise place_error(f"{place.certificate} and its key are not readable, or not of one another") from error
        wrapped = context.wrap_socket(raw, server_hostname=self._host)
        if place.pin is not None:
            shown = hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").digest()
            if not hmac.compare_digest(shown, bytes.fromhex(place.pin.replace(":", ""))):
                wrapped.close()
                raise _distrusted(
                    place.name, f"it shows the certificate with sha-256 {shown.hex()}, not the pinned one"
                )
        return wrapped


class SocketChannel:
    """A Unix socket on which each side writes one JSON value, as go-ethereum's IPC."""

    def __init__(self, place: RemotePlace) -> None:
        self._place = place

    def ask(self, method: str, path: str, body: bytes | None, *, seconds: float) -> Answer:  # noqa: ARG002
        """The answer to ``body``; errors as of ``HttpChannel``."""
        deadline = time.monotonic() + seconds
        name = self._place.name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_left(deadline))
                connection.connect(str(self._place.socket))
                connection.sendall((body or b"") + b"\n")
                return Answer(200, self._read(connection, deadline))
        except TimeoutError as error:
            raise _late(name, seconds) from error
        except (OSError, ValueError) as error:  # a path can be too long for a socket, which is a ValueError
            raise _gone(name, error) from error

    def _read(self, connection: socket.socket, deadline: float) -> bytes:
        found = bytearray()
        while True:
            connection.settimeout(_left(deadline))
            piece = connection.recv(65_536)
            if not piece:
                raise ConnectionError("closed in the middle")
            found += piece
            if len(found) > MOST_BYTES:
                raise _endless(self._place.name)
            if _complete(found):
                return bytes(found)


def _complete(found: bytearray) -> bool:
    """Whether the value has ended: go-ethereum ends it with a line, others need not."""
    if found.endswith(b"\n"):
        return True
    if not found.endswith(b"}"):
        return False
    if nested_deeply(bytes(found), most=_DEEPEST):
        return True  # it is refused when it is read
    try:
        json.loads(found)
    except (ValueError, RecursionError):
        return False
    return True


def _no_password() -> str:
    """An encrypted key is refused instead of asking on the terminal."""
    return ""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline reached")
    return left


def _late(name: str, seconds: float) -> SignerUnavailableError:
    return SignerUnavailableError(
        f"the remote signer at {name} took longer than {seconds:g} s: whether it signed is not known, nothing was taken"
    )


def _gone(name: str, error: Exception) -> SignerUnavailableError:
    return SignerUnavailableError(
        f"the remote signer at {name} does not answer ({type(error).__name__}): is it running?"
    )


def _endless(name: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the answer of the remote signer at {name} is longer than {MOST_BYTES} bytes")


def _distrusted(name: str, reason: str) -> SignerError:
    return SignerError(f"no trusted connection with the remote signer at {name}: {reason}", code="signer.certificate")
