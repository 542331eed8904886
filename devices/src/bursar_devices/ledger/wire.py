"""Speculos' framing on a TCP port of the loopback: the newest connection gets every reply."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 1 << 16
"""No frame is longer; a host that announces more is cut off."""
_SEND_PATIENCE = 2.0


class Wire:
    """Listens, hands each frame to ``receive`` on one thread, and sends replies from any thread."""

    def __init__(self, receive: Callable[[bytes], None], tick: Callable[[float], float | None], port: int = 0) -> None:
        self._receive = receive
        self._tick = tick
        self._listener = socket.create_server(("127.0.0.1", port), backlog=16)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._lock = threading.Lock()
        self._newest: socket.socket | None = None
        self._buffers: dict[socket.socket, bytearray] = {}
        self._unsent: deque[bytes] = deque(maxlen=16)
        self._hang_up = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"ledger-wire-{self.port}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, reply: bytes) -> None:
        """Send a reply (data and status word) to the newest connection, or keep it for the next one."""
        frame = (len(reply) - 2).to_bytes(4, "big") + reply
        with self._lock:
            if self._newest is None:
                self._unsent.append(frame)
            else:
                self._send_now(frame)

    def _send_now(self, frame: bytes) -> None:
        assert self._newest is not None
        try:
            self._newest.sendall(frame)
        except OSError:
            self._newest = None
            self._unsent.append(frame)

    def disconnect(self) -> None:
        """Cut every connection, as a device does that leaves one app for another."""
        with self._lock:
            self._hang_up = True
        self.wake()

    def wake(self) -> None:
        """Let the thread look at its clock and orders again."""
        with contextlib.suppress(OSError):
            self._wake_in.send(b"\0")

    def stop(self) -> None:
        """Let the thread end by itself; from any thread, holding whatever lock."""
        with self._lock:
            self._closing = True
        self.wake()

    def close(self) -> None:
        """Stop listening and wait for the thread to end; idempotent."""
        self.stop()
        if not self._thread.is_alive():
            self._shut()
        elif threading.current_thread() is not self._thread:
            self._thread.join(5)

    def _shut(self) -> None:
        for connection in list(self._buffers):
            connection.close()
        self._buffers.clear()
        for one in (self._listener, self._wake_in, self._wake_out):
            one.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_out, selectors.EVENT_READ)
            wait: float | None = None
            while not self._closing:
                for key, _ in selector.select(wait):
                    place = key.fileobj
                    assert isinstance(place, socket.socket)
                    if place is self._listener:
                        self._accept(selector)
                    elif place is self._wake_out:
                        with contextlib.suppress(BlockingIOError):
                            place.recv(4096)
                    elif place in self._buffers:
                        self._read(selector, place)
                if self._hang_up:
                    self._drop_all(selector)
                wait = self._tick(time.monotonic())
        with self._lock:
            self._newest = None
        self._shut()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.settimeout(_SEND_PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffers[connection] = bytearray()
        selector.register(connection, selectors.EVENT_READ)
        with self._lock:
            self._newest = connection
            while self._unsent and self._newest is not None:
                self._send_now(self._unsent.popleft())

    def _drop(self, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        with self._lock:
            if self._newest is connection:
                self._newest = None
        del self._buffers[connection]
        selector.unregister(connection)
        connection.close()

    def _drop_all(self, selector: selectors.BaseSelector) -> None:
        for connection in list(self._buffers):
            self._drop(selector, connection)
        with self._lock:
            self._hang_up = False

    def _read(self, selector: selectors.BaseSelector, connection: socket.socket) -> None:
        try:
            data = connection.recv(LONGEST)
        except OSError:
            data = b""
        buffer = self._buffers[connection]
        buffer += data
        while len(buffer) >= 4:
            size = int.from_bytes(buffer[:4], "big")
            if size > LONGEST:
                data = b""
                break
            if len(buffer) < 4 + size:
                break
            frame = bytes(buffer[4 : 4 + size])
            del buffer[: 4 + size]
            self._receive(frame)
            if self._closing or self._hang_up:
                return
        if not data:
            self._drop(selector, connection)
