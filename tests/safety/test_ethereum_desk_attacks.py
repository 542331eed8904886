"""Attacks on the Ethereum half of the wallet and its nodes: liars, hostile tokens, races, chains that flap."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.remote.channel import HttpChannel as SignerChannel
from bursar.backends.remote.places import RemotePlace
from bursar.errors import BursarError, ChainError, SignerMisbehavedError, StoreError
from bursar.ethereum.address import Address
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.nodes.ethrpc.wire import Wire
from bursar.nodes.http_channel import HttpChannel, Place, TooLongError

_PLACE = Path(__file__).resolve().parents[1] / "unit" / "wallet" / "deposits" / "conftest.py"
_SPEC = importlib.util.spec_from_file_location("bursar_attack_deposits", _PLACE)
assert _SPEC is not None
assert _SPEC.loader is not None
_fixtures = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _fixtures
_SPEC.loader.exec_module(_fixtures)
watched, names = _fixtures.watched, _fixtures.names
_wallets: Any = sys.modules["bursar_safety_wallets"]
rich, ethereum, signer = _wallets.rich, _wallets.ethereum, _wallets.signer

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ETHER = 10**18
TST = 10**6
MB = 1 << 20


# the wire: an answer without an end, numbers without a size


class Flood:
    """Answers with one chunk of a claimed length, and then with as much as is taken."""

    def __init__(self, size: bytes) -> None:
        self._head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n"
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self._head)
                    for _ in range(96):
                        self.sent += connection.send(b" " * MB)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(params=[b"-1", b"-5"])
def flood(request: Any) -> Iterator[Flood]:
    running = Flood(request.param)
    yield running
    running.close()


def test_a_chunk_of_negative_length_is_not_read_to_its_end_by_the_client_of_nodes(flood: Flood) -> None:
    wire = Wire(f"http://127.0.0.1:{flood.port}", timeout=20)
    for ask in (lambda: wire.ask("eth_chainId", []), lambda: wire.ask_many([("eth_chainId", [])])):
        flood.sent = 0
        with pytest.raises(ChainError):
            ask()
        wire.close()
        assert flood.sent < 60 * MB


def test_nor_by_the_one_of_servers(flood: Flood) -> None:
    channel = HttpChannel(Place("127.0.0.1", flood.port, "/", tls=False), max_reply=MB)
    with pytest.raises((TooLongError, http.client.HTTPException)):
        channel.exchange("POST", "/", b"{}", {}, deadline=time.monotonic() + 20)
    channel.close()
    assert flood.sent < 20 * MB


def test_nor_by_the_one_of_remote_signers(flood: Flood) -> None:
    place = RemotePlace(kind="web3signer", address=Address(b"\x01" * 20), url=f"http://127.0.0.1:{flood.port}")
    with pytest.raises(BursarError) as caught:
        SignerChannel(place).ask("POST", "/", b"{}", seconds=20)
    assert isinstance(caught.value, SignerMisbehavedError) or caught.value.retryable
    assert flood.sent < 40 * MB


class Says:
    """A node's wire that answers from a table."""

    name = "liar.example"

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"eth_chainId": "0x1", **answers}

    def ask(self, method: str, params: list[Any]) -> Any:
        answer = self.answers[method]
        return answer(params) if callable(answer) else answer

    def ask_many(self, calls: Any, **bounds: int) -> list[Any]:
        return [self.ask(*one) for one in calls]

    def close(self) -> None: ...


def node_that(**answers: Any) -> EthRpcBackend:
    backend = EthRpcBackend("http://127.0.0.1:1", chain_id=1)
    backend._link.wire = Says(**answers)  # type: ignore[assignment]
    return backend


def test_what_no_store_can_hold_and_no_calendar_shows_is_no_answer() -> None:
    block = {"number": "0x5", "hash": "0x" + "bb" * 32, "timestamp": "0x6553f100"}
    for lie in ({"number": hex(2**63)}, {"timestamp": hex(2**63)}, {"timestamp": hex(253_402_300_800)}):
        with pytest.raises(ChainError) as caught:
            node_that(eth_getBlockByNumber={**block, **lie}).check_chain()
        assert caught.value.code == "chain.reply"
    liar = node_that(eth_getTransactionCount=hex(2**63))
    for ask in (lambda: liar.nonce(Address(b"\x01" * 20)), lambda: liar.nonces([Address(b"\x01" * 20)])):
        with pytest.raises(ChainError):
            ask()


def test_a_source_of_another_kind_that_says_them_gets_a_typed_error(rich: SimpleNamespace) -> None:
    account = _wallets.ethereum_account(words="zoo " * 11 + "wrong")
    rich.node.nonce = lambda address, *, pending=False: (2**64 - 2) * (address == account.address(0))
    rich.wallet.add_account("other", account, signer="test")
    with pytest.raises(StoreError, match="large"):
        rich.wallet.sync("other", rich.node)


# a node to which every address is used


def test_a_node_that_calls_every_address_used_does_not_keep_a_sync_for_ever(
    watched: Any, rich: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bursar.wallet import ethereum_deposits_sync, ethereum_sync

    monkeypatch.setattr(ethereum_sync, "MOST_FOUND", 60)
    monkeypatch.setattr(ethereum_deposits_sync, "MOST_FOUND", 60)
    other = _wallets.ethereum_account(words="zoo " * 11 + "wrong")
    rich.node.nonce = lambda address, *, pending=False: 1
    rich.wallet.add_account("other", other, signer="test")
    assert rich.wallet.sync("other", rich.node).addresses < 120
    watched.node.nonces = lambda owners: dict.fromkeys(owners, 1)
    assert watched.sync().addresses < 120
