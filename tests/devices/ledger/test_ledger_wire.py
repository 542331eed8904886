"""Speculos' framing over TCP as measured: the newest connection, stale replies, silence, and hosts that misbehave."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from bursar_devices import humans
from bursar_devices.device import Press
from bursar_devices.ledger import LedgerSimulator

FINGERPRINT = (0x9000, bytes.fromhex("73c5da0a"))
ASK = "e105000100"
REVIEW = bytes.fromhex("e10000010e01" + "03" + "80000054" + "80000001" + "80000000")


def test_the_frame(start):
    device = start()
    with socket.create_connection(("127.0.0.1", device.port), timeout=5) as raw:
        raw.sendall(bytes.fromhex("00000005" + ASK))
        assert raw.recv(100) == bytes.fromhex("00000004" + "73c5da0a" + "9000")
        raw.sendall(bytes.fromhex("00000004" + "e1ff0001"))
        assert raw.recv(100) == bytes.fromhex("00000000" + "6d00")


def test_frames_in_pieces_and_together(start):
    device = start()
    with socket.create_connection(("127.0.0.1", device.port), timeout=5) as raw:
        for byte in bytes.fromhex("00000005" + ASK):
            raw.sendall(bytes((byte,)))
        assert raw.recv(100) == bytes.fromhex("0000000473c5da0a9000")
        raw.sendall(bytes.fromhex("00000005" + ASK) * 3)
        data = b""
        while len(data) < 30:
            data += raw.recv(100)
        assert data == bytes.fromhex("0000000473c5da0a9000") * 3


def test_an_empty_request_is_not_answered(start, connect):
    peer = connect(start())
    peer.send("")
    assert peer.exchange(ASK) == FINGERPRINT


def test_the_newest_connection_gets_every_reply(start, connect):
    device = start()
    old, new = connect(device), connect(device)
    assert new.exchange(ASK) == FINGERPRINT
    old.send(ASK)
    assert new.receive() == FINGERPRINT
    old.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        old.receive()


def test_a_pending_reply_goes_to_the_next_connection(start, connect):
    device = start(human=None)
    first = connect(device)
    first.send(REVIEW)
    device.wait_for_page("Confirm public key")
    first.close()
    time.sleep(0.05)
    while device.page() is not None:
        device.press(Press.ACCEPT)
    second = connect(device)
    status, data = second.receive()
    assert (status, data[:4]) == (0x9000, b"tpub")
    assert second.exchange(ASK) == FINGERPRINT


def test_a_giant_frame_is_cut_off(start, connect):
    device = start()
    peer = connect(device)
    peer.socket.sendall(b"\x7f\xff\xff\xff")
    with pytest.raises((EOFError, ConnectionError)):
        peer.receive()
    assert connect(device).exchange(ASK) == FINGERPRINT


def test_a_host_that_leaves_in_the_middle_of_a_frame(start, connect):
    device = start()
    peer = connect(device)
    peer.socket.sendall(b"\x00\x00\x00\x05\xe1")
    peer.close()
    assert connect(device).exchange(ASK) == FINGERPRINT


def test_many_hosts_at_once(start):
    device = start()

    def knock():
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", device.port), timeout=5) as raw:
                raw.sendall(bytes.fromhex("00000005" + ASK))

    hosts = [threading.Thread(target=knock) for _ in range(4)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(10)
    assert device.running


def test_a_host_that_never_reads(start, connect):
    device = start()
    deaf = connect(device)
    deaf.socket.settimeout(0.2)
    with pytest.raises((TimeoutError, ConnectionError)):
        deaf.socket.sendall(bytes.fromhex("00000005b001000000") * 2_000_000)
    started = time.monotonic()
    device.close()
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("human", [None, humans.approve()])
def test_closing_is_quick_even_in_a_review(connect, human):
    started = time.monotonic()
    with LedgerSimulator(human=human) as device:
        peer = connect(device)
        peer.send(REVIEW)
        device.close()
        device.close()
        assert not device.running
    assert time.monotonic() - started < 2
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", device.port), timeout=1)


def test_a_simulator_that_was_never_started_closes():
    device = LedgerSimulator()
    device.close()


def test_a_given_port():
    with LedgerSimulator() as first, pytest.raises(OSError):
        LedgerSimulator(port=first.port)


def test_it_listens_on_the_loopback_only(start):
    device = start()
    assert device.location == f"tcp:127.0.0.1:{device.port}"
    assert device.selector == f"ledger:tcp:127.0.0.1:{device.port}"
