"""A node's notifications over ZeroMQ: a ``ChainWatcher`` that learns of blocks and transactions as they come."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bursar.bitcoin.transaction import OutPoint, Transaction
from bursar.chain.protocols import ChainEvent
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import reply as read
from bursar.nodes import zmtp

if TYPE_CHECKING:
    from bursar.nodes.bitcoind_rpc import RpcClient

TOPICS: Final = ("hashblock", "rawtx")
MAX_FOLLOWED: Final = 100_000
CONNECT: Final = 5.0
RECONNECT: Final = 2.0
_ANYWHERE: Final = ("0.0.0.0", "*", "::")  # noqa: S104


def endpoints(rpc: RpcClient) -> dict[str, tuple[str, int]]:
    """Where the node publishes each of the topics a watcher needs, as it says itself; empty where it lacks one."""
    reply = rpc.ask("getzmqnotifications")
    found: dict[str, tuple[str, int]] = {}
    for item in reply if isinstance(reply, list) else ():
        kind, address = read.field(item, "type", str), read.field(item, "address", str)
        parts = urlsplit(address)
        topic = kind.removeprefix("pub")
        try:
            port = parts.port
        except ValueError:
            continue
        if topic in TOPICS and parts.scheme == "tcp" and parts.hostname and port:
            found[topic] = (rpc.host if parts.hostname in _ANYWHERE else parts.hostname, port)
    return found if len(found) == len(TOPICS) else {}


@dataclass(slots=True)
class _Line:
    """One connection to a publisher; ``numbers`` are the last seen of each topic."""

    place: tuple[str, int]
    topics: list[str]
    sock: socket.socket | None = None
    reader: zmtp.Reader = field(default_factory=zmtp.Reader)
    numbers: dict[bytes, int] = field(default_factory=dict)
    retry: float = 0.0
    broken: bool = False


class ZmqWatcher:
    """``ChainWatcher`` over the topics ``hashblock`` and ``rawtx``, each with its host and port.

    ``scripts`` are watched for payments to them, and for spends of what was seen to pay them or is named in ``coins``.
    The publisher does not authenticate itself and drops what a slow reader does not take: events are hints, a gap in
    their numbers or a lost connection is told as ``missed``. ``ChainUnavailableError`` when there is nobody.
    """

    def __init__(
        self,
        places: Mapping[str, tuple[str, int]],
        scripts: Iterable[bytes] = (),
        *,
        coins: Iterable[OutPoint] = (),
    ) -> None:
        missing = [topic for topic in TOPICS if topic not in places]
        if missing:
            raise InvalidInputError(f"a watcher needs the topic {missing[0]}", code="input.url")
        self._scripts = set(scripts)
        self._coins: dict[OutPoint, bytes | None] = dict.fromkeys(coins)
        by_place: dict[tuple[str, int], list[str]] = {}
        for topic in TOPICS:
            by_place.setdefault(places[topic], []).append(topic)
        self._lines = [_Line(place, topics) for place, topics in by_place.items()]
        self._selector = selectors.DefaultSelector()
        try:
            for line in self._lines:
                self._open(line)
        except BaseException:
            self.close()
            raise

    def watch(self, scripts: Iterable[bytes]) -> None:
        """These too, from now on."""
        self._scripts.update(scripts)

    def follow(self, coins: Iterable[OutPoint]) -> None:
        """Tell of spends of these outputs too."""
        self._coins |= dict.fromkeys(coins)

    def wait(self, *, timeout: float) -> tuple[ChainEvent, ...]:
        """What came; empty when nothing did within ``timeout`` seconds."""
        end = time.monotonic() + timeout
        events: list[ChainEvent] = []
        while True:
            for line in self._lines:
                events += self._mend(line)
            left = 0.0 if events else max(end - time.monotonic(), 0.0)
            if any(line.sock is None for line in self._lines):
                left = min(left, RECONNECT)
            if self._selector.get_map():
                for key, _ in self._selector.select(left):
                    events += self._take(key.data)
            elif left:
                time.sleep(left)
            if events or time.monotonic() >= end:
                return tuple(dict.fromkeys(events))

    def close(self) -> None:
        """Hang up; idempotent."""
        for line in self._lines:
            self._hang_up(line)
        with contextlib.suppress(KeyError, RuntimeError):
            self._selector.close()
        self._lines = []

    def _open(self, line: _Line) -> None:
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection(line.place, CONNECT)
            sock.sendall(zmtp.greeting())
            hello = b""
            while len(hello) < zmtp.GREETING_SIZE:
                piece = sock.recv(zmtp.GREETING_SIZE - len(hello))
                if not piece:
                    raise ConnectionError("it hung up")
                hello += piece
            zmtp.check_greeting(hello)
            sock.sendall(zmtp.ready("SUB") + b"".join(zmtp.subscribe(topic.encode("ascii")) for topic in line.topics))
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, OSError):
                host, port = line.place
                raise ChainUnavailableError(
                    f"nobody publishes at {host}:{port} ({error}): start the node with -zmqpub options"
                ) from error
            raise
        sock.setblocking(False)
        line.sock, line.reader, line.numbers = sock, zmtp.Reader(), {}
        self._selector.register(sock, selectors.EVENT_READ, line)

    def _hang_up(self, line: _Line) -> None:
        if line.sock is not None:
            self._selector.unregister(line.sock)
            line.sock.close()
            line.sock = None

    def _mend(self, line: _Line) -> list[ChainEvent]:
        """Connect again where the connection was lost; what came meanwhile is missed."""
        if line.sock is not None or time.monotonic() < line.retry:
            return []
        try:
            self._open(line)
        except ChainError:
            line.retry = time.monotonic() + RECONNECT
            return []
        return [ChainEvent("missed")]

    def _take(self, line: _Line) -> list[ChainEvent]:
        assert line.sock is not None
        events: list[ChainEvent] = []
        try:
            data = line.sock.recv(262_144)
            if not data:
                raise ConnectionError
            for parts in line.reader.feed(data):
                events += self._read(line, parts)
        except BlockingIOError:
            pass
        except (OSError, ChainError):
            self._hang_up(line)
            line.retry = time.monotonic() + RECONNECT
            events.append(ChainEvent("missed"))
        return events

    def _read(self, line: _Line, parts: tuple[bytes, ...]) -> list[ChainEvent]:
        if len(parts) != 3 or len(parts[2]) != 4 or parts[0].decode("latin-1") not in line.topics:
            return []
        topic, body, number = parts[0], parts[1], int.from_bytes(parts[2], "little")
        last = line.numbers.get(topic)
        line.numbers[topic] = number
        events = [ChainEvent("missed")] if last is not None and number != (last + 1) & 0xFFFFFFFF else []
        if topic == b"hashblock":
            return [*events, ChainEvent("tip", block=body.hex())] if len(body) == 32 else events
        try:
            return events + self._touched(Transaction.parse(body))
        except InvalidInputError:
            return events

    def _touched(self, tx: Transaction) -> list[ChainEvent]:
        events = [
            ChainEvent("script", script=self._coins[source.outpoint], txid=tx.txid)
            for source in tx.inputs
            if source.outpoint in self._coins
        ]
        for vout, output in enumerate(tx.outputs):
            if output.script in self._scripts:
                self._coins[OutPoint(tx.txid, vout)] = output.script
                events.append(ChainEvent("script", script=output.script, txid=tx.txid))
        while len(self._coins) > MAX_FOLLOWED:
            del self._coins[next(iter(self._coins))]
        return events
