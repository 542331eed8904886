"""Notifications over ZeroMQ from the sandbox to the watcher, over real sockets; lost ones and lost lines are told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.chain.protocols import ChainEvent, ChainWatcher
from bursar.chain.watching import PollingWatcher
from bursar.crypto.hashes import sha256
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import zmtp
from bursar.nodes.bitcoind import BitcoindBackend, notifications
from bursar.nodes.bitcoind.notifications import ZmqWatcher, endpoints
from bursar.nodes.sandbox.bitcoin.node import BitcoinSandbox

OPEN, OTHER = p2wsh(sha256(b"\x52")), p2wpkh(bytes(20))


@pytest.fixture(scope="module")
def node() -> Iterator[BitcoinSandbox]:
    with BitcoinSandbox(None, zmq=True) as made:
        made.mine(101)
        yield made


@pytest.fixture
def backend(node: BitcoinSandbox) -> Iterator[BitcoindBackend]:
    made = BitcoindBackend(node.url, network=Network.REGTEST, cookie=node.cookie)
    yield made
    made.close()


def collect(watcher: ChainWatcher, count: int, *, until: ChainEvent | None = None) -> list[ChainEvent]:
    events: list[ChainEvent] = []
    end = time.monotonic() + 5
    while len(events) < count and until not in events and time.monotonic() < end:
        events += watcher.wait(timeout=0.5)
    return events


def listening(watcher: ChainWatcher, node: BitcoinSandbox) -> None:
    """Wait until the subscription has arrived: a publisher drops what nobody has asked for."""
    end = time.monotonic() + 5
    while not watcher.wait(timeout=0.05) and time.monotonic() < end:
        node.mine(1)
    while watcher.wait(timeout=0.05):
        pass


def test_payments_spends_and_blocks(node: BitcoinSandbox, backend: BitcoindBackend) -> None:
    watcher = backend.watcher([OPEN])
    assert isinstance(watcher, ZmqWatcher)
    assert isinstance(watcher, ChainWatcher)
    listening(watcher, node)
    txid = node.fund(Address.from_script(OPEN, Network.REGTEST).text, 10_000, confirm=False)
    (paid,) = collect(watcher, 1)
    assert (paid.kind, paid.script, str(paid.txid)) == ("script", OPEN, txid)
    assert paid.txid is not None
    vout = next(at for at, out in enumerate(node.chain.mempool.entries[paid.txid].tx.outputs) if out.script == OPEN)
    spend = Transaction(2, [TxIn(OutPoint(paid.txid, vout), b"", 0, (b"\x52",))], [TxOut(Sats(9_000), OTHER)])
    node.chain.submit(spend)
    assert collect(watcher, 1) == [ChainEvent("script", script=OPEN, txid=spend.txid)]
    tip = node.mine(1)[0]
    assert {event for event in collect(watcher, 3) if event.kind == "tip"} == {ChainEvent("tip", block=tip)}
    watcher.watch([OTHER])
    node.fund(Address.from_script(OTHER, Network.REGTEST).text, 10_000, confirm=False)
    assert [event.script for event in collect(watcher, 1)] == [OTHER]
    before = node.chain.tip_hash
    node.chain.invalidate(bytes.fromhex(before)[::-1])
    back = ChainEvent("tip", block=node.chain.tip_hash)
    assert back in collect(watcher, 9, until=back)
    watcher.close()
    watcher.close()


def test_spends_of_named_coins(node: BitcoinSandbox, backend: BitcoindBackend) -> None:
    coin = node._coins()[0][0]
    watcher = ZmqWatcher(endpoints(backend._rpc), coins=[coin])
    listening(watcher, node)
    node.fund(Address.from_script(OTHER, Network.REGTEST).text, 10_000, confirm=False)
    assert [event.kind for event in collect(watcher, 1)] == ["script"]
    watcher.follow([OutPoint(coin.txid, 99)])
    watcher.close()


def test_what_the_node_offers(node: BitcoinSandbox, backend: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(backend._rpc.call("getzmqnotifications")[0]["address"].rpartition(":")[2])
    assert endpoints(backend._rpc) == {"hashblock": ("127.0.0.1", port), "rawtx": ("127.0.0.1", port)}
    offers: list[Any] = [
        ([], {}),
        ([{"type": "pubrawtx", "address": "tcp://127.0.0.1:1"}], {}),
        ([{"type": "pubrawtx", "address": "ipc:///x"}, {"type": "pubhashblock", "address": "tcp://h:2"}], {}),
        ([{"type": "pubrawtx", "address": "tcp://[::]:1"}, {"type": "pubhashblock", "address": "tcp://0.0.0.0:2"}],
         {"rawtx": ("127.0.0.1", 1), "hashblock": ("127.0.0.1", 2)}),
        ([{"type": "pubrawtx", "address": "tcp://h:99999"}], {}),
        (None, {}),
    ]  # fmt: skip
    for offer, expected in offers:
        monkeypatch.setattr(backend._rpc, "ask", lambda *_, offer=offer: offer)
        assert endpoints(backend._rpc) == expected
    for nonsense in ([5], [{}], [{"type": 1, "address": "x"}]):
        monkeypatch.setattr(backend._rpc, "ask", lambda *_, offer=nonsense: offer)
        with pytest.raises(ChainError):
            endpoints(backend._rpc)


def test_polling_where_nobody_publishes(backend: BitcoindBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.nodes.bitcoind.backend.endpoints", lambda _: {})
    assert isinstance(backend.watcher(), PollingWatcher)
    monkeypatch.setattr(
        "bursar.nodes.bitcoind.backend.endpoints", lambda _: dict.fromkeys(notifications.TOPICS, ("127.0.0.1", 1))
    )
    watcher = backend.watcher([OPEN], interval=0.01)
    assert isinstance(watcher, PollingWatcher)
    assert watcher.wait(timeout=0.03) == ()
    with pytest.raises(InvalidInputError, match="rawtx"):
        ZmqWatcher({"hashblock": ("127.0.0.1", 1)})
    with pytest.raises(ChainUnavailableError, match="nobody publishes at"):
        ZmqWatcher(dict.fromkeys(notifications.TOPICS, ("127.0.0.1", 1)))


class Publisher:
    """A publisher that says what it is told, to one subscriber after the other."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.places = dict.fromkeys(notifications.TOPICS, ("127.0.0.1", self._listener.getsockname()[1]))
        self._scripts = scripts
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            for script in self._scripts:
                connection, _ = self._listener.accept()
                with connection:
                    connection.sendall(zmtp.greeting() + zmtp.ready("PUB"))
                    connection.recv(4096)
                    for data in script:
                        connection.sendall(data)
                    time.sleep(0.05)

    def close(self) -> None:
        self._listener.close()
        self._thread.join(2)


def block(number: int, body: bytes = bytes(32)) -> bytes:
    return zmtp.message(b"hashblock", body, struct.pack("<I", number))


def test_gaps_and_lost_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "RECONNECT", 0.01)
    publisher = Publisher(
        [block(0xFFFFFFFF), block(0, b"\1" * 32), block(2, b"\2" * 32)],
        [block(9), b"\xff" * 20],
        [zmtp.message(b"rawtx", b"no transaction", bytes(4)), block(1, b"short"), zmtp.message(b"other"), block(2)],
    )
    watcher = ZmqWatcher(publisher.places)
    tips, missed = {ChainEvent("tip", block=f"{number:02x}" * 32) for number in range(3)}, ChainEvent("missed")
    seen: list[ChainEvent] = []
    end = time.monotonic() + 5
    while seen.count(missed) < 5 and time.monotonic() < end:
        seen += watcher.wait(timeout=0.2)
    assert seen.count(missed) >= 4  # a gap, a lost line, broken frames, coming back
    assert set(seen) == {*tips, missed}
    watcher.close()
    publisher.close()


def test_a_port_that_is_no_publisher() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for words in (b"HTTP/1.1 400 Bad Request\r\n".ljust(80), b"", b"\xff"):
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(words)
                connection.recv(100)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    places = dict.fromkeys(notifications.TOPICS, ("127.0.0.1", listener.getsockname()[1]))
    for _ in range(3):
        with pytest.raises(ChainError):
            ZmqWatcher(places)
    listener.close()
    thread.join(2)
