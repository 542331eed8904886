"""A faulty cable between host and device: it drops, doubles, delays, rewrites, and is pulled out at frame N."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import random
import selectors
import socket
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Self

HOST_ADDRESS = "127.0.0.1"
_LONGEST = 1 << 17
_OVERTAKEN_FOR = 0.02
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, as a cable does not say goodbye


class Side(StrEnum):
    """Who sent a frame."""

    HOST = "host"
    DEVICE = "device"


Filter = Callable[[Side, int, bytes], Iterable[bytes]]
"""Given who sent it, its number and the frame: the frames to deliver instead, which may be none or another."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What the cable does; probabilities are per frame, and the same ``seed`` does the same again.

    A frame is a packet of 64 bytes for a Trezor, a whole command or reply for a Ledger. ``disconnect_at`` counts the
    frames of both sides since the cable was plugged in, from 1; that frame is lost. ``short_reads`` delivers a Ledger's
    replies byte by byte. ``delay`` is the longest one, in seconds; delays alone never change the order.
    """

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    short_reads: bool = False
    disconnect_at: int | None = None
    rewrite: Filter | None = None


SOUND = Faults()


def cable(location: str, faults: Faults = SOUND, *, listen: Callable[[Side, bytes], None] | None = None) -> Cable:
    """A cable to the device at ``location`` (``udp:host:port`` or ``tcp:host:port``); enter it, and use its own.

    ``listen`` is told every frame as it is delivered.
    """
    scheme, _, port = location.rpartition(":")
    kind = {f"udp:{HOST_ADDRESS}": UdpCable, f"tcp:{HOST_ADDRESS}": TcpCable}.get(scheme)
    if kind is None:
        raise ValueError(f"{location!r} is no place on this machine: write udp:{HOST_ADDRESS}:<port> or tcp:…")
    return kind(int(port), faults, listen)


class Cable(ABC):
    """One cable, plugged in when it is entered. ``unplug`` and ``plug`` may be called by any thread."""

    scheme = ""

    def __init__(
        self, device_port: int, faults: Faults = SOUND, listen: Callable[[Side, bytes], None] | None = None
    ) -> None:
        self._device_port = device_port
        self._faults, self._random = faults, random.Random(faults.seed)  # noqa: S311 - faults, not keys
        self._listen = listen
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        self._orders: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._last = dict.fromkeys(Side, 0.0)
        self._running = False
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)
        self.frames = 0
        self.plugged = False
        self.port = 0

    @property
    def location(self) -> str:
        """Where the host finds the device through this cable."""
        return f"{self.scheme}:{HOST_ADDRESS}:{self.port}"

    def __enter__(self) -> Self:
        self._selector.register(self._wake_out, selectors.EVENT_READ, self._woken)
        self._running = True
        self._thread.start()
        self.plug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Pull it out and forget it; idempotent."""
        if self._running:
            self.unplug()
            self._running = False
            self._wake()
            self._thread.join(5)
        self._let_go()
        for one in (self._wake_in, self._wake_out):
            one.close()
        self._selector.close()

    def plug(self, faults: Faults | None = None) -> None:
        """Plug it in, with other faults if given; frames are counted anew."""
        self._do(lambda: self._plugged_in(faults))

    def arm(self, faults: Faults) -> None:
        """Other faults from now on, in the middle of a conversation; frames are counted anew."""
        self._do(lambda: self._arm(faults))

    def unplug(self) -> None:
        """Pull it out: both sides lose what was on the way."""
        self._do(self._cut)

    # what the two kinds of cable do differently

    @abstractmethod
    def _connect(self) -> None:
        """Be there for the host."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Be gone, for both sides."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close what outlives a disconnection."""

    # on the cable's own thread

    def _run(self) -> None:
        while self._running:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._selector.select(wait):
                key.data()
            with contextlib.suppress(queue.Empty):
                while True:
                    order, done = self._orders.get_nowait()
                    order()
                    done.set()
            while self._due and self._due[0][0] <= time.monotonic():
                heapq.heappop(self._due)[2]()

    def _arm(self, faults: Faults) -> None:
        self._faults, self._random = faults, random.Random(faults.seed)  # noqa: S311
        self.frames = 0

    def _plugged_in(self, faults: Faults | None) -> None:
        self._cut()
        self._arm(self._faults if faults is None else faults)
        self._connect()
        self.plugged = True

    def _cut(self) -> None:
        self._due.clear()
        if self.plugged:
            self.plugged = False
            self._disconnect()

    def _pass(self, side: Side, frame: bytes, deliver: Callable[[bytes], None]) -> None:
        """A frame has arrived from ``side``: have it delivered, or whatever the faults make of it."""
        self.frames += 1
        faults, chance = self._faults, self._random.random
        if faults.disconnect_at == self.frames:
            self._cut()
            return
        for one in (frame,) if faults.rewrite is None else tuple(faults.rewrite(side, self.frames, frame)):
            if chance() < faults.drop:
                continue
            due = max(self._last[side], time.monotonic() + faults.delay * chance())
            if chance() < faults.reorder:
                due += _OVERTAKEN_FOR
            else:
                self._last[side] = due
            later: Callable[[], None] = partial(self._deliver, side, one, deliver)
            for _ in range(2 if chance() < faults.duplicate else 1):
                heapq.heappush(self._due, (due, next(self._order), later))

    def _deliver(self, side: Side, frame: bytes, deliver: Callable[[bytes], None]) -> None:
        if self._listen is not None:
            self._listen(side, frame)
        with contextlib.suppress(OSError):  # nobody is there any more
            deliver(frame)

    def _do(self, order: Callable[[], None]) -> None:
        if not self._running:
            return
        done = threading.Event()
        self._orders.put((order, done))
        self._wake()
        if not done.wait(5):
            raise TimeoutError("the cable's thread has died")

    def _wake(self) -> None:
        self._wake_in.send(b"\0")

    def _woken(self) -> None:
        self._wake_out.recv(4096)


class UdpCable(Cable):
    """Packets of a Trezor's UDP transport. Pulled out, the host's port is closed and its next packet is refused."""

    scheme = "udp"

    def __init__(
        self, device_port: int, faults: Faults = SOUND, listen: Callable[[Side, bytes], None] | None = None
    ) -> None:
        super().__init__(device_port, faults, listen)
        self._host: tuple[str, int] | None = None
        self._front: socket.socket | None = None
        self._back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._back.connect((HOST_ADDRESS, device_port))
        self._back.setblocking(False)
        self._selector.register(self._back, selectors.EVENT_READ, self._from_device)

    def _connect(self) -> None:
        front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        front.bind((HOST_ADDRESS, self.port))
        front.setblocking(False)
        self.port = front.getsockname()[1]
        self._front = front
        self._selector.register(front, selectors.EVENT_READ, self._from_host)

    def _disconnect(self) -> None:
        if self._front is not None:
            self._selector.unregister(self._front)
            self._front.close()
            self._front = self._host = None

    def _let_go(self) -> None:
        self._back.close()

    def _from_host(self) -> None:
        while self._front is not None:
            try:
                frame, self._host = self._front.recvfrom(_LONGEST)
            except OSError:
                return
            self._pass(Side.HOST, frame, self._to_device)

    def _from_device(self) -> None:
        while True:
            try:
                frame = self._back.recv(_LONGEST)
            except OSError:
                return
            if self.plugged:
                self._pass(Side.DEVICE, frame, self._to_host)

    def _to_device(self, frame: bytes) -> None:
        self._back.send(frame)

    def _to_host(self, frame: bytes) -> None:
        if self._front is not None and self._host is not None:
            self._front.sendto(frame, self._host)


class TcpCable(Cable):
    """Frames of a Ledger's TCP transport. Pulled out, the connections of both sides are reset."""

    scheme = "tcp"

    def __init__(
        self, device_port: int, faults: Faults = SOUND, listen: Callable[[Side, bytes], None] | None = None
    ) -> None:
        super().__init__(device_port, faults, listen)
        self._listener = socket.create_server((HOST_ADDRESS, 0))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _connect(self) -> None:
        """The host connects when it wants to."""

    def _disconnect(self) -> None:
        while self._pairs:
            self._part(self._pairs[0])

    def _let_go(self) -> None:
        self._disconnect()
        self._listener.close()

    def _accept(self) -> None:
        front, _ = self._listener.accept()
        if not self.plugged:
            _reset(front)
            return
        try:
            back = socket.create_connection((HOST_ADDRESS, self._device_port), timeout=2)
        except OSError:
            _reset(front)
            return
        pair = (front, back)
        self._pairs.append(pair)
        for source, target, side, tail in ((front, back, Side.HOST, 0), (back, front, Side.DEVICE, 2)):
            source.settimeout(2)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(source, selectors.EVENT_READ, self._reader(pair, source, target, side, tail))

    def _reader(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        target: socket.socket,
        side: Side,
        tail: int,
    ) -> Callable[[], None]:
        pending = bytearray()

        def deliver(frame: bytes) -> None:
            if side is Side.DEVICE and self._faults.short_reads:
                for byte in frame:
                    target.sendall(bytes((byte,)))
            else:
                target.sendall(frame)

        def read() -> None:
            try:
                chunk = source.recv(_LONGEST)
            except OSError:
                chunk = b""
            if not chunk:
                self._part(pair)
                return
            pending.extend(chunk)
            while len(pending) >= 4 and pair in self._pairs:
                size = 4 + int.from_bytes(pending[:4], "big") + tail
                if len(pending) < size:
                    return
                frame = bytes(pending[:size])
                del pending[:size]
                self._pass(side, frame, deliver)

        return read

    def _part(self, pair: tuple[socket.socket, socket.socket]) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
            for one in pair:
                self._selector.unregister(one)
                _reset(one)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
