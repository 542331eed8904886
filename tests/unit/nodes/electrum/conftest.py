"""A chain behind an honest Electrum server, the same behind one that lies, and clients of both."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wpkh
from bursar.chain.protocols import ChainUpdate, SyncRequest
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.electrum import session as session_module
from bursar.nodes.sandbox.bitcoin.node import FAUCET, BitcoinSandbox
from bursar.nodes.sandbox.electrum import ElectrumServer
from bursar.nodes.sandbox.electrum.methods import Answers, FaultError, script_hash

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

SCRIPTS = tuple(p2wpkh(number.to_bytes(20, "big")) for number in range(1, 9))
Tamper = Callable[[str, list[Any], Any], Any]


class HangUp(Exception):
    """Raised by a tamper function to end the connection."""


class Raw(bytes):
    """Returned by a tamper function: bytes to send instead of a reply."""


class Liar:
    """A server that answers from a chain, through a function that may change every result."""

    def __init__(self, answers: Any) -> None:
        self.answers = answers
        self.tamper: Tamper = lambda method, params, result: result
        self.asked: list[tuple[str, list[Any]]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def count(self, method: str) -> int:
        """How often something was asked since ``asked`` was cleared."""
        return sum(one == method for one, _ in self.asked)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, HangUp, ValueError), connection, connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                method, params = request["method"], request["params"]
                self.asked.append((method, params))
                reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
                try:
                    reply["result"] = self.tamper(method, params, self.honest(method, params))
                except FaultError as fault:
                    reply["error"] = {"code": fault.number, "message": fault.message}
                if isinstance(reply.get("result"), Raw):
                    connection.sendall(reply["result"].replace(b"<id>", str(request["id"]).encode()))
                else:
                    connection.sendall(json.dumps(reply).encode() + b"\n")

    def honest(self, method: str, params: list[Any]) -> Any:
        """What the chain says."""
        if method == "server.version":
            return ["liar", "1.4"]
        if method == "blockchain.headers.subscribe":
            return self.answers.tip()
        if method == "blockchain.scripthash.subscribe":
            self.answers.index.refresh()
            return self.answers.index.status(script_hash(params[0]))
        return self.answers.answer(method, params)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class World:
    """A node with eleven ripe coins, and an Electrum server over it."""

    def __init__(self) -> None:
        self.node = BitcoinSandbox(None)
        self.node.start()
        self.chain.mine(110, FAUCET)
        self.server = ElectrumServer(self.chain)

    @property
    def chain(self) -> RegtestChain:
        return self.node.chain

    def mine(self, blocks: int = 1) -> None:
        self.chain.mine(blocks, FAUCET)

    def undo(self, blocks: int) -> None:
        self.chain.invalidate(self.chain.index.chain[-blocks].block.hash)

    def pay(self, script: bytes, amount: int = 50_000, *, confirm: bool = True) -> str:
        return self.node.fund(Address.from_script(script, Network.REGTEST).text, amount, confirm=confirm)

    def close(self) -> None:
        self.server.close()
        self.node.close()


def backend_at(url: str, **options: Any) -> ElectrumBackend:
    return ElectrumBackend(url, network=Network.REGTEST, **{"timeout": 15.0, **options})


def balance(update: ChainUpdate) -> int:
    return sum(int(coin.output.value) for coin in update.coins)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between attempts."""
    monkeypatch.setattr(session_module, "PAUSE", 0.001)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def still() -> Iterator[World]:
    """A chain that nobody changes: three scripts paid, one of them twice, and one payment waiting."""
    made = World()
    for script in (SCRIPTS[0], SCRIPTS[1], SCRIPTS[1], SCRIPTS[2]):
        made.pay(script)
    made.mine(3)
    made.pay(SCRIPTS[3], confirm=False)
    yield made
    made.close()


@pytest.fixture
def liar(still: World) -> Iterator[Liar]:
    made = Liar(Answers(still.chain))
    yield made
    made.close()


@pytest.fixture
def backend(world: World) -> Iterator[ElectrumBackend]:
    made = backend_at(world.server.url)
    yield made
    made.close()


@pytest.fixture
def client(liar: Liar, tmp_path: Path) -> Iterator[ElectrumBackend]:
    made = backend_at(liar.url, timeout=15.0)
    yield made
    made.close()


@pytest.fixture
def request_all() -> SyncRequest:
    return SyncRequest(SCRIPTS)
