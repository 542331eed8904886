"""The sandbox's notifications over ZeroMQ, in the form Bitcoin Core gives them: topic, body, a running number."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.block import Block
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes import zmtp

if TYPE_CHECKING:
    from bursar.bitcoin.transaction import Transaction
    from bursar.nodes.sandbox.bitcoin.chain import Event, RegtestChain

TOPICS: Final = ("hashblock", "hashtx", "rawblock", "rawtx", "sequence")
HIGH_WATER: Final = 1000
LOOPBACK: Final = "127.0.0.1"
_LABELS: Final = {"added": b"A", "removed": b"R", "connected": b"C", "disconnected": b"D"}


class _Subscriber:
    """One connection: a thread that reads what it subscribes to, one that writes what waits for it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.topics: set[bytes] = set()
        self.waiting: queue.Queue[bytes | None] = queue.Queue(HIGH_WATER)
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True, name="bursar-zmq").start()

    def offer(self, topic: bytes, data: bytes) -> None:
        """Queue a message; one too many is dropped, as ZeroMQ does."""
        if any(topic.startswith(wanted) for wanted in self.topics):
            with contextlib.suppress(queue.Full):
                self.waiting.put_nowait(data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with contextlib.suppress(queue.Full):
            self.waiting.put_nowait(None)

    def _read(self) -> None:
        reader = zmtp.Reader(max_frame=1024)
        with contextlib.suppress(OSError, ChainError):
            self.sock.sendall(zmtp.greeting())
            zmtp.check_greeting(self.sock.recv(zmtp.GREETING_SIZE, socket.MSG_WAITALL))
            self.sock.sendall(zmtp.ready("PUB"))
            while data := self.sock.recv(4096):
                for part, *_ in reader.feed(data):
                    if part[:1] == b"\x01":
                        self.topics.add(part[1:])
                    elif part[:1] == b"\x00":
                        self.topics.discard(part[1:])
        self.close()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while (data := self.waiting.get()) is not None:
                self.sock.sendall(data)


class Publisher:
    """Publishes what happens to a chain on one loopback port, until closed."""

    def __init__(self, chain: RegtestChain, port: int = 0) -> None:
        self._chain = chain
        self._numbers = dict.fromkeys(TOPICS, 0)
        self._subscribers: list[_Subscriber] = []
        try:
            self._listener = socket.create_server((LOOPBACK, port))
        except OSError as error:
            raise ChainUnavailableError(f"port {port} cannot be opened ({error}): choose another") from error
        self.port: int = self._listener.getsockname()[1]
        self.address = f"tcp://{LOOPBACK}:{self.port}"
        chain.notifications += [{"type": f"pub{topic}", "address": self.address, "hwm": HIGH_WATER} for topic in TOPICS]
        chain.listeners.append(self._hear)
        threading.Thread(target=self._accept, daemon=True, name="bursar-zmq").start()

    def close(self) -> None:
        """Stop publishing; idempotent."""
        with self._chain.lock:
            if self._hear in self._chain.listeners:
                self._chain.listeners.remove(self._hear)
            self._chain.notifications[:] = [
                item for item in self._chain.notifications if item["address"] != self.address
            ]
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        while self._subscribers:
            self._subscribers.pop().close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._subscribers.append(_Subscriber(sock))

    def _hear(self, event: Event, subject: Block | Transaction, sequence: int) -> None:
        if isinstance(subject, Block):
            name = subject.hash[::-1]
            if event == "tip":
                self._send("hashblock", name)
                self._send("rawblock", subject.raw)
                return
            for tx in subject.transactions:
                self._send_transaction(tx)
            self._send("sequence", name + _LABELS[event])
            return
        if event == "added":
            self._send_transaction(subject)
        self._send("sequence", subject.txid[::-1] + _LABELS[event] + struct.pack("<Q", sequence))

    def _send_transaction(self, tx: Transaction) -> None:
        self._send("hashtx", tx.txid[::-1])
        self._send("rawtx", tx.serialize())

    def _send(self, topic: str, body: bytes) -> None:
        number = self._numbers[topic]
        self._numbers[topic] = (number + 1) & 0xFFFFFFFF
        name = topic.encode("ascii")
        data = zmtp.message(name, body, struct.pack("<I", number))
        for subscriber in list(self._subscribers):
            subscriber.offer(name, data)
