"""The faulty cable, between two plain sockets: each fault does what it says, and the same seed does it again."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from bursar_devices.faults import Faults, Side, cable


class Echo(threading.Thread):
    """Answers every frame with itself, over UDP or in a Ledger's TCP framing; keeps what it got."""

    def __init__(self, scheme: str) -> None:
        super().__init__(daemon=True)
        self.got: list[bytes] = []
        if scheme == "udp":
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("127.0.0.1", 0))
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.location = f"{scheme}:127.0.0.1:{self.socket.getsockname()[1]}"
        self.over = False
        self.start()

    def run(self) -> None:
        while not self.over:
            try:
                if self.location.startswith("udp"):
                    frame, who = self.socket.recvfrom(100)
                    self.got.append(frame)
                    self.socket.sendto(frame, who)
                else:
                    self.serve(self.socket.accept()[0])
            except OSError:
                continue

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.1)
        with connection:
            while not self.over:
                try:
                    head = connection.recv(4)
                    if not head:
                        return
                    body = connection.recv(int.from_bytes(head, "big"))
                except TimeoutError:
                    continue
                self.got.append(body)
                connection.sendall(head + body + b"\x90\x00")

    def close(self) -> None:
        self.over = True
        self.join(2)
        self.socket.close()


@pytest.fixture(params=["udp", "tcp"])
def echo(request: pytest.FixtureRequest) -> Iterator[Echo]:
    running = Echo(request.param)
    yield running
    running.close()


def connected(location: str) -> socket.socket:
    scheme, host, port = location.split(":")
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM)
    made.settimeout(2)
    try:
        made.connect((host, int(port)))
    except OSError:
        made.close()
        raise
    return made


def send(host: socket.socket, frame: bytes) -> None:
    udp = host.type is socket.SOCK_DGRAM
    host.sendall(frame if udp else len(frame).to_bytes(4, "big") + frame)


def receive(host: socket.socket) -> bytes:
    if host.type is socket.SOCK_DGRAM:
        return host.recv(100)
    head = whole(host, 4)
    return whole(host, int.from_bytes(head, "big") + 2)[:-2]


def whole(host: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = host.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError
        data += chunk
    return data


def exchanged(location: str, count: int = 20) -> list[bytes]:
    """What comes back of ``count`` frames sent at once."""
    with connected(location) as host:
        for number in range(count):
            send(host, b"frame %d" % number)
        host.settimeout(0.3)
        found = []
        try:
            while True:
                found.append(receive(host))
        except TimeoutError:
            return found


FRAMES = [b"frame %d" % number for number in range(20)]


@pytest.mark.parametrize("faults", [Faults(), Faults(delay=0.002), Faults(short_reads=True)])
def test_a_sound_cable_changes_nothing(echo: Echo, faults: Faults) -> None:
    heard: list[tuple[Side, bytes]] = []
    with cable(echo.location, faults, listen=lambda side, frame: heard.append((side, frame))) as link:
        assert exchanged(link.location) == FRAMES == echo.got
        assert link.frames == 40
    assert [side for side, _ in heard].count(Side.HOST) == 20
    assert heard[0][1].endswith(b"frame 0")


def test_dropped_doubled_and_overtaken(echo: Echo) -> None:
    for faults in (Faults(seed=1, drop=0.3), Faults(seed=2, duplicate=0.3), Faults(seed=3, reorder=0.3)):
        with cable(echo.location, faults) as link:
            found = exchanged(link.location)
        assert found != FRAMES
        if faults.drop:
            assert len(found) < 20
        if faults.duplicate:
            assert len(found) > 20
            assert set(found) == set(FRAMES)
        if faults.reorder:
            assert sorted(found) == sorted(FRAMES)


def test_a_filter_rewrites(echo: Echo) -> None:
    def shout(side: Side, number: int, frame: bytes) -> tuple[bytes, ...]:
        return (frame.replace(b"frame", b"FRAME"),) if side is Side.DEVICE else (frame,)

    with cable(echo.location, Faults(rewrite=shout)) as link:
        assert exchanged(link.location, 2) == [b"FRAME 0", b"FRAME 1"]
    assert echo.got == FRAMES[:2]


def test_the_same_seed_does_the_same(echo: Echo) -> None:
    found = []
    for _ in range(2):
        with cable(echo.location, Faults(seed=7, drop=0.4)) as link, connected(link.location) as host:
            host.settimeout(0.1)
            answers = []
            for frame in FRAMES[:6]:
                send(host, frame)
                try:
                    answers.append(receive(host))
                except TimeoutError:
                    answers.append(b"")
            found.append(answers)
    assert found[0] == found[1]
    assert b"" in found[0]


def test_pulled_out_at_a_frame_and_plugged_in_again(echo: Echo) -> None:
    with cable(echo.location, Faults(disconnect_at=3)) as link:
        with connected(link.location) as host:
            send(host, b"one")
            assert receive(host) == b"one"
            send(host, b"two")
            with pytest.raises(OSError):
                send_until_refused(host)
        assert not link.plugged
        where = link.location
        link.plug(Faults())
        assert link.location == where
        with connected(link.location) as host:
            send(host, b"three")
            assert receive(host) == b"three"
        link.unplug()
        with pytest.raises(OSError), connected(link.location) as host:
            send_until_refused(host)
    assert b"two" not in echo.got


def send_until_refused(host: socket.socket) -> None:
    host.settimeout(0.2)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        send(host, b"?")
        time.sleep(0.01)
        try:
            receive(host)
        except TimeoutError:
            continue


def test_only_this_machine() -> None:
    for location in ("udp:10.0.0.1:5", "hid:abc", "tcp:localhost:1"):
        with pytest.raises(ValueError, match="no place on this machine"):
            cable(location)


def test_nobody_behind_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with cable(f"tcp:127.0.0.1:{port}") as link, pytest.raises(OSError), connected(link.location) as host:
        send_until_refused(host)
