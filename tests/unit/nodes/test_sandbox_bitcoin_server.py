"""The regtest node over real sockets: who may ask, how much, and how it ends."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.bitcoin.network import Network
from bursar.errors import ChainUnavailableError, InsufficientFundsError, StoreBusyError
from bursar.nodes.sandbox import loopback
from bursar.nodes.sandbox.bitcoin import server as serving
from bursar.nodes.sandbox.bitcoin.node import FAUCET, BitcoinSandbox

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
ASK = json.dumps({"method": "getblockcount", "id": 1})


@pytest.fixture
def node() -> Iterator[BitcoinSandbox]:
    with BitcoinSandbox(None) as made:
        yield made


def authorization(node: BitcoinSandbox) -> str:
    return "Basic " + base64.b64encode(node.cookie.read_bytes()).decode()


def ask(
    node: BitcoinSandbox, body: str = ASK, *, method: str = "POST", path: str = "/", **headers: str
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", node.server.port, timeout=10)
    given = {"Authorization": authorization(node), **{key.replace("_", "-"): value for key, value in headers.items()}}
    connection.request(method, path, body, {key: value for key, value in given.items() if value})
    response = connection.getresponse()
    answer = response.read().decode()
    connection.close()
    return response.status, answer


def test_answers_with_the_cookie(node: BitcoinSandbox) -> None:
    assert ask(node) == (200, '{"result":0,"error":null,"id":1}\n')
    assert node.cookie.stat().st_mode & 0o777 == 0o600
    assert node.cookie.read_text().startswith("__cookie__:")
    assert node.url == f"http://127.0.0.1:{node.server.port}"


def test_refuses_without_it(node: BitcoinSandbox) -> None:
    wrong = "Basic " + base64.b64encode(b"__cookie__:guess").decode()
    for given in ("", "Basic", "Bearer x", wrong, authorization(node)[:-1], authorization(node) + "A", "Basic \xff"):
        assert ask(node, Authorization=given)[0] == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8332", "localhost.evil:80", "[::2]", ":80"]
)
def test_refuses_other_hosts(node: BitcoinSandbox, host: str) -> None:
    assert ask(node, Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "LOCALHOST:1", "[::1]:8332", "[::1]"])
def test_takes_its_own_names(node: BitcoinSandbox, host: str) -> None:
    assert ask(node, Host=host)[0] == 200


def test_other_methods_and_paths(node: BitcoinSandbox) -> None:
    assert ask(node, method="GET")[0] == 405
    assert ask(node, method="PUT")[0] == 501
    assert ask(node, path="/wallet/x")[0] == 404


def test_notification_has_no_body(node: BitcoinSandbox) -> None:
    assert ask(node, '{"jsonrpc":"2.0","method":"ping"}') == (204, "")


def talk(node: BitcoinSandbox, head: str, body: bytes = b"") -> bytes:
    with socket.create_connection(("127.0.0.1", node.server.port), timeout=10) as raw:
        lines = f"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization(node)}\r\n{head}\r\n"
        raw.sendall(lines.encode() + body)
        raw.shutdown(socket.SHUT_WR)
        return raw.makefile("rb").read()


def test_length_is_required_and_bounded(node: BitcoinSandbox) -> None:
    assert b" 411 " in talk(node, "Transfer-Encoding: chunked\r\n")
    assert b" 411 " in talk(node, "Content-Length: x\r\n")
    assert b" 413 " in talk(node, f"Content-Length: {serving.MAX_BODY + 1}\r\n")
    assert b" 413 " in talk(node, "Content-Length: -1\r\n")
    assert talk(node, "Content-Length: 500\r\n", b"{") == b""  # the caller hung up in the middle


def test_garbage_on_the_wire(node: BitcoinSandbox) -> None:
    for junk in (b"\x16\x03\x01\x02\x00" + bytes(50), b"\r\n\r\n", b"GET\r\n\r\n", b"A" * 70_000):
        with socket.create_connection(("127.0.0.1", node.server.port), timeout=10) as raw:
            raw.sendall(junk)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(65536):
                pass
    assert ask(node)[0] == 200


def test_one_connection_many_questions(node: BitcoinSandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", node.server.port, timeout=10)
    started = time.monotonic()
    for _ in range(50):
        connection.request("POST", "/", ASK, {"Authorization": authorization(node)})
        assert connection.getresponse().read()
    connection.close()
    assert time.monotonic() - started < 2  # forty milliseconds each would be Nagle's


def test_many_at_once(node: BitcoinSandbox) -> None:
    found: list[int] = []
    body = json.dumps({"method": "generatetoaddress", "params": [2, ADDRESS], "id": 1})
    threads = [threading.Thread(target=lambda: found.append(ask(node, body)[0])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 12
    assert node.chain.height == 24


def test_connections_are_bounded(node: BitcoinSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "MAX_CONNECTIONS", 3)
    idle = [socket.create_connection(("127.0.0.1", node.server.port), timeout=10) for _ in range(3)]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # the server takes a moment to see them
        with socket.create_connection(("127.0.0.1", node.server.port), timeout=10) as one_more:
            one_more.settimeout(0.3)
            try:
                if one_more.recv(1) == b"":
                    break
            except TimeoutError:
                continue
    else:
        pytest.fail("a fourth connection was served")
    for connection in idle:
        connection.close()


def test_stop_by_rpc(node: BitcoinSandbox) -> None:
    assert not node.stopping.is_set()
    assert ask(node, json.dumps({"method": "stop", "id": 1}))[0] == 200
    assert node.stopping.is_set()


def test_close_hangs_up(node: BitcoinSandbox) -> None:
    cookie = node.cookie
    connection = socket.create_connection(("127.0.0.1", node.server.port), timeout=10)
    connection.sendall(b"POST / HTTP/1.1\r\n")
    time.sleep(0.1)
    node.close()
    node.close()
    assert connection.recv(1) == b""
    connection.close()
    assert not cookie.exists()


def test_port_in_use(node: BitcoinSandbox, tmp_path: Path) -> None:
    other = BitcoinSandbox(tmp_path, port=node.server.port)
    with pytest.raises(ChainUnavailableError, match="cannot be opened"):
        other.start()
    assert not (tmp_path / ".cookie").exists()
    with BitcoinSandbox(tmp_path):  # nothing is held back
        pass


def test_folder_in_use_keeps_the_cookie(tmp_path: Path) -> None:
    with BitcoinSandbox(tmp_path) as first:
        first.start()
        with pytest.raises(StoreBusyError):
            BitcoinSandbox(tmp_path).start()
        assert ask(first)[0] == 200


def test_restart_changes_the_cookie(tmp_path: Path) -> None:
    with BitcoinSandbox(tmp_path) as node:
        first = node.cookie.read_bytes()
        node.mine(3)
    with BitcoinSandbox(tmp_path) as node:
        assert node.cookie.read_bytes() != first
        assert node.chain.height == 3


# the faucet


def test_faucet_pays(node: BitcoinSandbox) -> None:
    txid = node.fund(ADDRESS, 123_456)
    place = node.chain.index.place(next(txid_ for txid_ in node.chain.index._places if str(txid_) == txid))
    assert place is not None
    assert place[0].block.transactions[1].outputs[0].value == 123_456
    before = node.chain.height
    assert node.fund(ADDRESS, 5000, confirm=False) in {str(entry.txid) for entry in node.chain.mempool}
    assert node.chain.height == before
    for _ in range(30):  # more than a chain of unconfirmed change would allow
        node.fund(ADDRESS, 1000)


def test_faucet_collects_many_coins(node: BitcoinSandbox) -> None:
    node.mine(300)
    node.fund(ADDRESS, 1000 * 10**8)
    assert sum(coin.value for coin in node.chain.index.coins.values() if coin.script != FAUCET) >= 1000 * 10**8


def test_faucet_runs_dry(node: BitcoinSandbox) -> None:
    with pytest.raises(InsufficientFundsError) as caught:
        node.fund(ADDRESS, 20_000 * 10**8)
    assert caught.value.needed == 20_000 * 10**8
    assert 0 < caught.value.available < 20_000 * 10**8


def test_mining_to_an_address(node: BitcoinSandbox) -> None:
    assert len(node.mine(2, ADDRESS)) == 2
    assert node.chain.index.by_script.keys() - {FAUCET}
    assert Network.REGTEST.hrp in ADDRESS
