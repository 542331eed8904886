"""Bytes to a Ledger and back: USB HID by an explicit path, TCP to an emulator on this machine; waits have limits."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import threading
import time
from typing import Any, Final, Protocol

from bursar.backends.ledger import vendor
from bursar.backends.ledger.framing import PACKET, HidAssembler, TcpAssembler, hid_packets, tcp_frame
from bursar.errors import InvalidInputError, SignerMisbehavedError, SignerUnavailableError

_CHUNK: Final = 1 << 16
_CONNECT_SECONDS: Final = 2.0
_WAIT_SECONDS: Final = 1.0
_SLICE_SECONDS: Final = 0.2  # hidapi waits inside C, where no signal reaches us


class Transport(Protocol):
    """A way to one device. Every failure is an ``OSError`` (``TimeoutError`` for a limit that passed) or a
    ``SignerMisbehavedError`` for what no device sends; after either it is of no use any more."""

    def send(self, message: bytes, *, deadline: float) -> None:
        """Send one command; ``deadline`` is a time of ``time.monotonic()``."""

    def receive(self, *, deadline: float) -> bytes:
        """One whole reply, status word included."""
        ...

    def close(self) -> None:
        """Let go of the device; idempotent."""


class TcpTransport:
    """A connection to the APDU port of an emulator. Only this machine is ever spoken to."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._stream = TcpAssembler()
        self._wait: float | None = None

    @classmethod
    def connect(cls, host: str, port: int, *, seconds: float = _CONNECT_SECONDS) -> TcpTransport:
        """Connect to a loopback address, or raise ``OSError``."""
        check_loopback(host)
        connection = socket.create_connection((host, port), timeout=seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(connection)

    def send(self, message: bytes, *, deadline: float) -> None:
        self._limit(deadline)
        self._socket.sendall(tcp_frame(message))

    def receive(self, *, deadline: float) -> bytes:
        while True:
            reply = self._stream.take()
            if reply is not None:
                return reply
            self._limit(deadline)
            try:
                chunk = self._socket.recv(_CHUNK)
            except TimeoutError:
                continue
            if not chunk:
                raise ConnectionResetError("the emulator closed the connection")
            self._stream.feed(chunk)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def _limit(self, deadline: float) -> None:
        """Wait in slices: setting another limit costs a system call, and a conversation has thousands of waits."""
        wait = min(_left(deadline), _WAIT_SECONDS)
        if wait != self._wait:
            self._socket.settimeout(wait)
            self._wait = wait


class HidTransport:
    """A device of hidapi, opened by its path. Each connection has a channel of its own."""

    def __init__(self, device: Any, *, channel: int | None = None) -> None:
        self._device = device
        self._channel = secrets.randbelow(0xFFFF) + 1 if channel is None else channel
        self._using = threading.RLock()  # hidapi frees the handle in close(), whoever still reads

    @classmethod
    def open(cls, path: str) -> HidTransport:
        """Open the device at ``path`` (as listed by discovery), or raise ``OSError``."""
        device = vendor.hid().device()
        device.open_path(path.encode("utf-8", "surrogateescape"))
        return cls(device)

    def send(self, message: bytes, *, deadline: float) -> None:
        for packet in hid_packets(self._channel, message):
            _left(deadline)
            written = self._call("write", b"\0" + packet)
            if not isinstance(written, int) or written < PACKET:
                raise OSError("the device took no packet: it was unplugged or another program holds it")

    def receive(self, *, deadline: float) -> bytes:
        assembler = HidAssembler(self._channel)
        while True:
            wait = min(_left(deadline), _SLICE_SECONDS)
            packet = bytes(self._call("read", PACKET, max(1, int(wait * 1000))))
            if packet:
                message = assembler.feed(packet)
                if message is not None:
                    return message

    def close(self) -> None:
        with self._using, contextlib.suppress(OSError, ValueError):
            self._device.close()

    def _call(self, name: str, *arguments: object) -> Any:
        try:
            with self._using:
                return getattr(self._device, name)(*arguments)
        except ValueError as error:  # hidapi's word for a device that is not open any more
            raise OSError(f"the device is gone: {error}") from error


def check_loopback(host: str) -> None:
    """Refuse every address but this machine's own: an emulator is not to be reached over a network."""
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise InvalidInputError(
            f"{host!r:.60} is not this machine: an emulator is reached at 127.0.0.1 only", code="input.signer"
        )


def drained(transport: Transport, *, seconds: float) -> int:
    """Throw away replies nobody here asked for, until none comes for ``seconds``; how many there were.

    A reply that was pending when an earlier connection ended is delivered to the next one, unasked.
    """
    count = 0
    while count < 16:
        try:
            transport.receive(deadline=time.monotonic() + seconds)
        except TimeoutError:
            return count
        except SignerMisbehavedError:
            pass  # the end of a message whose beginning went to somebody else
        count += 1
    raise SignerUnavailableError("the ledger does not stop answering what nobody asked: unplug it, then open it again")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
