"""A Trezor on UDP ports of the loopback address: the machine, its two sockets and the thread that serves them."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import TYPE_CHECKING, Self

from bursar_devices.device import Human, Kind, Lie, Page, Press
from bursar_devices.trezor.models import model_named, parse_version
from bursar_devices.trezor.packets import PACKET, Assembler, OversizedError, packets
from bursar_devices.trezor.storage import Chance, Storage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.machine import Machine

LOOPBACK = "127.0.0.1"
ALL_ALL = " ".join(["all"] * 12)
_PING, _PONG = b"PINGPING", b"PONGPONG"
_LIMIT = 16 * 1024  # bytes of a message
_PORT_TRIES = 50


def _bound(port: int) -> socket.socket:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        wire.bind((LOOPBACK, port))
    except OSError:
        wire.close()
        raise
    wire.setblocking(False)
    return wire


def _port_pair(port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets on ``port`` and the one after it; on some free pair for 0."""
    if port:
        wire = _bound(port)
        try:
            return wire, _bound(port + 1)
        except OSError:
            wire.close()
            raise
    for _ in range(_PORT_TRIES):
        wire = _bound(0)
        try:
            return wire, _bound(wire.getsockname()[1] + 1)
        except (OSError, OverflowError):
            wire.close()
    raise OSError("no two neighbouring udp ports are free")


class TrezorSimulator:
    """A Trezor to test against: a context manager, or ``start()`` and ``close()``.

    ``pages`` lists every page shown, ``lies`` can be changed at any time, ``typed`` is what its human types next on
    the device's own keyboard (nothing there: the right PIN, an empty passphrase).
    """

    family = "trezor"
    kind = Kind.SIMULATOR

    def __init__(
        self,
        *,
        mnemonic: str = ALL_ALL,
        model: str = "T1B1",
        firmware: str | None = None,
        label: str = "Simulated Trezor",
        pin: str | None = None,
        passphrase_protection: bool = False,
        initialized: bool = True,
        human: Human | None = None,
        lies: Iterable[Lie] = (),
        port: int = 0,
        typed: Iterable[str] = (),
        bootloader: bool = False,
        needs_backup: bool = False,
    ) -> None:
        self._model = model_named(model)
        self._version = self._model.firmware if firmware is None else parse_version(firmware)
        self._lies: set[Lie] = set(lies)
        self._human = human
        self._typed = tuple(typed)
        self._bootloader = bootloader
        self._port = port
        self._chance = Chance(f"{model} {mnemonic} {label}".encode())
        device_id = self._chance.bytes(12).hex().upper()
        self._storage = Storage(device_id)
        if initialized:
            self._storage = Storage(
                device_id,
                mnemonic=mnemonic,
                pin=pin,
                label=label,
                passphrase_protection=passphrase_protection,
                needs_backup=needs_backup,
            )
        self._lock = threading.RLock()
        self._machine: Machine | None = None
        self._thread: threading.Thread | None = None
        self._wires: tuple[socket.socket, socket.socket] | None = None
        self._stop: tuple[socket.socket, socket.socket] | None = None
        self._hosts: list[tuple[str, int] | None] = [None, None]

    @property
    def model(self) -> str:
        return self._model.internal

    @property
    def firmware(self) -> str:
        return ".".join(map(str, self._version))

    @property
    def port(self) -> int:
        """The wire's UDP port; the debug link is on the next one."""
        return self._port

    @property
    def location(self) -> str:
        return f"udp:{LOOPBACK}:{self._port}"

    @property
    def selector(self) -> str:
        return f"trezor:{self.location}"

    @property
    def lies(self) -> set[Lie]:
        """What it does wrong from now on; change the set, or set another."""
        return self._lies

    @lies.setter
    def lies(self, lies: Iterable[Lie]) -> None:
        wanted = set(lies)
        self._lies.clear()
        self._lies.update(wanted)

    @property
    def human(self) -> Human | None:
        return self._human

    @human.setter
    def human(self, human: Human | None) -> None:
        with self._lock:
            self._human = human
            if self._machine is not None:
                self._machine.attend(human)

    @property
    def pages(self) -> list[Page]:
        """Every page shown so far."""
        with self._lock:
            return list(self._running.pages)

    @property
    def _running(self) -> Machine:
        if self._machine is None:
            raise RuntimeError("the simulator is not started: use it as a context manager")
        return self._machine

    @property
    def board(self) -> Board:
        """The device's inside, for a test to look at."""
        return self._running.board

    def start(self) -> Self:
        """Open the ports and serve them."""
        from bursar_devices.trezor.board import Board
        from bursar_devices.trezor.machine import Machine

        wire, _ = self._wires = _port_pair(self._port)
        self._stop = socket.socketpair()
        self._port = wire.getsockname()[1]
        board = Board(self._model, self._version, self._storage, self._chance, self._lies)
        board.bootloader = self._bootloader
        self._machine = Machine(board, self._send_wire, self._send_debug, self._human)
        self._machine.typed.extend(self._typed)
        self._thread = threading.Thread(target=self._serve, name=f"trezor-{self._port}", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop serving; idempotent. What a human raised in front of the screen is raised here."""
        if self._thread is None or self._stop is None or self._wires is None:
            return
        self._stop[1].send(b"x")
        self._thread.join(timeout=5)
        self._thread = None
        for open_socket in (*self._wires, *self._stop):
            open_socket.close()
        trouble = self._running.human_error
        if trouble is not None:
            self._running.human_error = None
            raise trouble

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def page(self) -> Page | None:
        with self._lock:
            return self._running.page()

    def press(self, press: Press) -> None:
        with self._lock:
            self._running.press(press)

    def glance(self) -> Page | None:
        """What is on the screen, also where no button is wanted: digits or words that are answered at the computer."""
        with self._lock:
            return None if self._machine is None else self._machine.glance()

    # The wire

    def _send_wire(self, kind: int, data: bytes) -> None:
        self._send(0, kind, data)

    def _send_debug(self, kind: int, data: bytes) -> None:
        self._send(1, kind, data)

    def _send(self, side: int, kind: int, data: bytes) -> None:
        host = self._hosts[side]
        if host is None or self._wires is None:
            return
        for packet in packets(kind, data):
            try:
                self._wires[side].sendto(packet, host)
            except OSError:
                return  # the host is gone: as with a cable, nobody is told

    def _serve(self) -> None:
        assert self._wires is not None
        assert self._stop is not None
        assemblers = (Assembler(_LIMIT), Assembler(_LIMIT))
        with selectors.DefaultSelector() as selector:
            selector.register(self._stop[0], selectors.EVENT_READ, None)
            for side, wire in enumerate(self._wires):
                selector.register(wire, selectors.EVENT_READ, side)
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._drain(key.data, assemblers[key.data])

    def _drain(self, side: int, assembler: Assembler) -> None:
        assert self._wires is not None
        for _ in range(1024):
            try:
                packet, host = self._wires[side].recvfrom(PACKET + 1)
            except BlockingIOError:
                return
            except OSError:
                return
            if packet == _PING:
                self._wires[side].sendto(_PONG, host)
                continue
            with self._lock:
                self._hosts[side] = host
                try:
                    message = assembler.feed(packet)
                except OversizedError:
                    if not side:
                        self._running.oversized()
                    continue
                if message is not None:
                    if side:
                        self._running.debug(*message)
                    else:
                        self._running.receive(*message)
