from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bursar.backends.ledger import transport as under_test
from bursar.backends.ledger.framing import PACKET, hid_packets, tcp_reply_frame
from bursar.backends.ledger.transport import HidTransport, TcpTransport, check_loopback, drained
from bursar.errors import InvalidInputError, MissingExtraError, SignerMisbehavedError


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@contextlib.contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A loopback port whose one client is given to ``serve`` on a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            client, _ = listening.accept()
            with client, contextlib.suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(client)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(5)


def test_a_reply_that_comes_byte_by_byte_is_read_whole() -> None:
    seen = []

    def serve(client: socket.socket) -> None:
        seen.append(client.recv(100))
        for byte in tcp_reply_frame(b"slowly\x90\0"):
            client.send(bytes((byte,)))
            time.sleep(0.002)

    with server(serve) as port, contextlib.closing(TcpTransport.connect("127.0.0.1", port)) as wire:
        wire.send(b"\xb0\1\0\0\0", deadline=soon())
        assert wire.receive(deadline=soon()) == b"slowly\x90\0"
    assert seen == [bytes.fromhex("00000005b001000000")]


def test_two_replies_in_one_piece_stay_two() -> None:
    with (
        server(lambda client: client.sendall(tcp_reply_frame(b"1\x90\0") + tcp_reply_frame(b"2\x90\0"))) as port,
        contextlib.closing(TcpTransport.connect("127.0.0.1", port)) as wire,
    ):
        assert wire.receive(deadline=soon()) == b"1\x90\0"
        assert wire.receive(deadline=soon()) == b"2\x90\0"


@pytest.mark.parametrize("sent", [b"", b"\0\0\0\4ab"])
def test_silence_is_limited_even_within_a_reply(sent: bytes) -> None:
    done = threading.Event()

    def serve(client: socket.socket) -> None:
        client.sendall(sent)
        done.wait(5)

    with server(serve) as port, contextlib.closing(TcpTransport.connect("127.0.0.1", port)) as wire:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            wire.receive(deadline=soon(0.1))
        assert time.monotonic() - begun < 2
        done.set()


def test_a_drip_does_not_outlast_the_limit() -> None:
    def serve(client: socket.socket) -> None:
        for _ in range(200):
            client.sendall(b"\0")
            time.sleep(0.01)

    with server(serve) as port, contextlib.closing(TcpTransport.connect("127.0.0.1", port)) as wire:
        wire._stream.feed(b"\0\0\xff\0")
        with pytest.raises(TimeoutError):
            wire.receive(deadline=soon(0.15))


@pytest.mark.parametrize("sent", [b"", b"\0\0\0\4ab"])
def test_an_end_is_an_error(sent: bytes) -> None:
    with (
        server(lambda client: client.sendall(sent)) as port,
        contextlib.closing(TcpTransport.connect("127.0.0.1", port)) as wire,
        pytest.raises(ConnectionResetError),
    ):
        wire.receive(deadline=soon())


@pytest.mark.parametrize("host", ["10.0.0.1", "example.org", "0.0.0.0", "::", ""])
def test_other_machines_are_not_spoken_to(host: str) -> None:
    with pytest.raises(InvalidInputError, match=r"127\.0\.0\.1 only"):
        TcpTransport.connect(host, 9999)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is(host: str) -> None:
    check_loopback(host)


class FakeHid:
    """hidapi's device: packets to read, packets written."""

    def __init__(self, packets: list[bytes] | None = None, *, wrote: int = PACKET + 1) -> None:
        self.packets = packets or []
        self.written: list[bytes] = []
        self.wrote = wrote
        self.opened: bytes | None = None
        self.waits: list[int] = []

    def open_path(self, path: bytes) -> None:
        if path == b"/dev/forbidden":
            raise OSError("open failed")
        self.opened = path

    def write(self, packet: bytes) -> int:
        self.written.append(packet)
        return self.wrote

    def read(self, size: int, timeout: int) -> list[int]:
        assert size == PACKET
        self.waits.append(timeout)
        return list(self.packets.pop(0)) if self.packets else []

    def close(self) -> None:
        self.opened = None


def test_hid_packets_go_out_with_a_report_number_and_come_in_without() -> None:
    device = FakeHid(hid_packets(0x0101, b"answer" * 20 + b"\x90\0"))
    wire = HidTransport(device, channel=0x0101)
    wire.send(bytes(80), deadline=soon())
    assert [packet[:1] for packet in device.written] == [b"\0", b"\0"]
    assert [packet[1:] for packet in device.written] == hid_packets(0x0101, bytes(80))
    assert wire.receive(deadline=soon()) == b"answer" * 20 + b"\x90\0"
    assert max(device.waits) <= 200


def test_answers_to_another_connection_are_passed_over() -> None:
    device = FakeHid([*hid_packets(0x0202, b"old" * 30 + b"\x90\0"), *hid_packets(0x0101, b"new\x90\0")])
    assert HidTransport(device, channel=0x0101).receive(deadline=soon()) == b"new\x90\0"


def test_each_connection_has_its_own_channel() -> None:
    channels = set()
    for _ in range(8):
        device = FakeHid()
        HidTransport(device).send(b"12345", deadline=soon())
        channels.add(device.written[0][1:3])
    assert len(channels) > 1
    assert b"\0\0" not in channels


def test_hid_silence_is_limited() -> None:
    with pytest.raises(TimeoutError):
        HidTransport(FakeHid()).receive(deadline=soon(0.02))


def test_hid_faults_are_os_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="unplugged"):
        HidTransport(FakeHid(wrote=-1)).send(b"12345", deadline=soon())

    def gone(*_: object) -> None:
        raise ValueError("not open")

    device = FakeHid()
    monkeypatch.setattr(device, "read", gone)
    with pytest.raises(OSError, match="gone"):
        HidTransport(device).receive(deadline=soon())


def test_a_wrong_sequence_is_no_answer() -> None:
    first, second = hid_packets(7, bytes(100))
    with pytest.raises(SignerMisbehavedError, match="was due"):
        HidTransport(FakeHid([second, first]), channel=7).receive(deadline=soon())


def test_the_tail_of_an_old_answer_is_drained() -> None:
    tail = hid_packets(7, bytes(100))[1]
    assert drained(HidTransport(FakeHid([tail]), channel=7), seconds=0.001) == 1


def test_a_device_is_opened_by_its_path_and_no_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeHid] = []

    class Module:
        @staticmethod
        def device() -> FakeHid:
            made.append(FakeHid())
            return made[-1]

    monkeypatch.setattr(under_test.vendor, "hid", lambda: Module)
    wire = HidTransport.open("/dev/hidraw3")
    assert made[0].opened == b"/dev/hidraw3"
    wire.close()
    assert made[0].opened is None
    with pytest.raises(OSError, match="open failed"):
        HidTransport.open("/dev/forbidden")


@pytest.mark.parametrize(("door", "package"), [("hid", "hid"), ("bitcoin", "ledger_bitcoin")])
def test_a_missing_package_names_the_extra(door: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtraError, match=r"bursar\[ledger\]") as caught:
        getattr(under_test.vendor, door)()
    assert caught.value.extra == "ledger"
