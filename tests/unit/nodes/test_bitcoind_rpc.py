"""The JSON-RPC client against servers that hang, drip, flood, babble and hang up."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secret import Secret
from bursar.errors import ChainError, ChainUnavailableError
from bursar.nodes import bitcoind_rpc
from bursar.nodes.bitcoind_rpc import Refusal, RpcClient, printable

Behaviour = Callable[[socket.socket, bytes], None]


class Fake:
    """A server that reads one request after the other from each connection and lets a behaviour answer."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self._turns = itertools.chain(behaviours, itertools.repeat(behaviours[-1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[bytes] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        try:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = stream.read(length)
                self.requests.append(head + body)
                next(self._turns)(connection, body)
        except OSError:
            pass
        finally:
            stream.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def says(status: int, body: bytes, *headers: str) -> Behaviour:
    return lambda connection, _: connection.sendall(http(status, body, *headers))


def result(value: Any, status: int = 200) -> Behaviour:
    def answer(connection: socket.socket, body: bytes) -> None:
        request = json.loads(body)
        reply: Any = {"result": value, "error": None, "id": request["id"]} if isinstance(request, dict) else value
        connection.sendall(http(status, json.dumps(reply).encode()))

    return answer


def error(code: Any, message: Any, status: int = 500) -> Behaviour:
    def answer(connection: socket.socket, body: bytes) -> None:
        reply = {"result": None, "error": {"code": code, "message": message}, "id": json.loads(body)["id"]}
        connection.sendall(http(status, json.dumps(reply).encode()))

    return answer


def hangs(connection: socket.socket, body: bytes) -> None:
    time.sleep(5)


def hangs_up(connection: socket.socket, body: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)
    raise OSError


@pytest.fixture
def serve() -> Iterator[Callable[..., Fake]]:
    made: list[Fake] = []

    def start(*behaviours: Behaviour) -> Fake:
        made.append(Fake(*behaviours))
        return made[-1]

    yield start
    for fake in made:
        fake.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitcoind_rpc, "PAUSE", 0.001)


@pytest.fixture
def client() -> Iterator[Callable[..., RpcClient]]:
    made: list[RpcClient] = []

    def connect(fake: Fake, **options: Any) -> RpcClient:
        made.append(RpcClient(fake.url, **options))
        return made[-1]

    yield connect
    for one in made:
        one.close()


def test_one_connection_serves_many_calls(serve: Any, client: Any) -> None:
    fake = serve(result(7))
    rpc = client(fake)
    assert [rpc.call("x"), rpc.call("x", 1, "a"), rpc.write("x")] == [7, 7, 7]
    assert fake.connections == 2  # a write takes a fresh one
    assert b"POST / HTTP/1.1" in fake.requests[0]


def test_path_of_the_url(serve: Any, client: Any) -> None:
    fake = serve(result(1))
    rpc = RpcClient(fake.url + "/wallet/none")
    assert rpc.call("x") == 1
    rpc.close()
    assert b"POST /wallet/none " in fake.requests[0]


@pytest.mark.parametrize("limit", [0.2])
def test_silence_ends(serve: Any, client: Any, limit: float) -> None:
    fake = serve(hangs)
    started = time.monotonic()
    with pytest.raises(ChainUnavailableError, match=r"did not answer within 0\.2 s"):
        client(fake, timeout=limit).call("x")
    assert time.monotonic() - started < 2
    assert len(fake.requests) == 1  # a node that is slow is not asked again


@pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\n", http(200, bytes(1000))[:60]])
def test_dripping_ends_too(serve: Any, client: Any, part: bytes) -> None:
    """One deadline for the whole exchange: a byte now and then does not extend it."""

    def drip(connection: socket.socket, _: bytes) -> None:
        connection.sendall(part)
        for _ in range(100):
            connection.sendall(b"a")
            time.sleep(0.05)

    started = time.monotonic()
    with pytest.raises(ChainUnavailableError):
        client(serve(drip), timeout=0.4).call("x")
    assert time.monotonic() - started < 2


def test_nobody_listens(client: Any, serve: Any, quick: None) -> None:
    fake = serve(hangs)
    fake.close()
    with pytest.raises(ChainUnavailableError, match="cannot be reached"):
        client(fake).call("x")


def test_unknown_host() -> None:
    rpc = RpcClient("http://no-such-host.invalid:1", timeout=5)
    with pytest.raises(ChainUnavailableError):
        rpc.write("x")


def test_reads_are_tried_again(serve: Any, client: Any, quick: None) -> None:
    fake = serve(hangs_up, hangs_up, result(1))
    assert client(fake).call("x") == 1
    assert len(fake.requests) == 3
    fake = serve(hangs_up)
    with pytest.raises(ChainUnavailableError):
        client(fake).call("x")
    assert len(fake.requests) == bitcoind_rpc.ATTEMPTS


def test_writes_are_not(serve: Any, client: Any, quick: None) -> None:
    for behaviour in (hangs_up, says(503, b"busy")):
        fake = serve(behaviour)
        with pytest.raises(ChainUnavailableError):
            client(fake).write("sendrawtransaction", "00")
        assert len(fake.requests) == 1


def test_busy_node(serve: Any, client: Any, quick: None) -> None:
    fake = serve(says(503, b"Work queue depth exceeded"), result(1))
    assert client(fake).call("x") == 1
    with pytest.raises(ChainUnavailableError, match="busy"):
        client(serve(says(503, b""))).call("x")


def test_flood_is_cut_off(serve: Any, client: Any) -> None:
    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(65536))

    with pytest.raises(ChainError, match="over the limit of 100000"):
        client(serve(flood), max_reply=100_000).call("x")
    big = http(200, b"").replace(b"Content-Length: 0", b"Content-Length: 99999999999")
    with pytest.raises(ChainError, match="99999999999 bytes is over the limit"):
        client(serve(lambda connection, _: connection.sendall(big))).call("x")


def test_flood_of_headers(serve: Any, client: Any, quick: None) -> None:
    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 1000 + b"\r\n")

    with pytest.raises(ChainUnavailableError):
        client(serve(flood)).call("x")


def test_truncated_reply(serve: Any, client: Any, quick: None) -> None:
    def short(connection: socket.socket, _: bytes) -> None:
        connection.sendall(http(200, b"{}" * 100)[:-50])
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(ChainUnavailableError):
        client(serve(short)).call("x")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"{", b"[]", b"5", b"null", b'{"result":1}', b'{"result":1,"error":null,"id":"x"}', b"\xff\xfe",
        b'{"result":NaN,"error":null,"id":1}', b"[" * 100_000, b'{"error":5,"id":1}', b'{"error":{"code":"x"},"id":1}',
        b'{"error":{"code":true},"id":1}', b'{"result":' + b"9" * 5000 + b',"error":null,"id":1}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 500])
def test_babble(serve: Any, client: Any, body: bytes, status: int) -> None:
    with pytest.raises(ChainError, match="does not speak JSON-RPC properly") as caught:
        client(serve(says(status, body))).call("x")
    assert caught.value.code == "chain.reply"


@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    fake = Fake(says(200, body))
    rpc = RpcClient(fake.url, timeout=5)
    try:
        with pytest.raises(ChainError):
            rpc.call("x")
    finally:
        rpc.close()
        fake.close()


def test_not_http_at_all(serve: Any, client: Any, quick: None) -> None:
    with pytest.raises(ChainUnavailableError):
        client(serve(lambda connection, _: connection.sendall(b"\x00\x01SSH-2.0\r\n\r\n"))).call("x")


def test_redirects_are_not_followed(serve: Any, client: Any) -> None:
    with pytest.raises(ChainError):
        client(serve(says(302, b"", "Location: http://127.0.0.1:1/"))).call("x")


@pytest.mark.parametrize("body", [b"", b"<html>Not Found</html>"])
def test_wrong_path(serve: Any, client: Any, body: bytes) -> None:
    with pytest.raises(ChainError, match="serves nothing at the path /: check the url"):
        client(serve(says(404, body))).call("x")


def test_refusals(serve: Any, client: Any) -> None:
    rpc = client(serve(error(-8, "Block height out of range")))
    assert rpc.ask("getblockhash", 9) == Refusal(-8, "Block height out of range")
    with pytest.raises(ChainError, match=r"refused getblockhash: Block height out of range \(-8\)"):
        rpc.call("getblockhash", 9)
    with pytest.raises(ChainUnavailableError, match="is starting"):
        client(serve(error(-28, "Verifying blocks…"))).call("x")
    with pytest.raises(ChainError, match="no method x"):
        client(serve(error(-32601, "Method not found", 404))).call("x")
    for message in ("Block not available (pruned data)", "Block not available"):
        with pytest.raises(ChainError, match="pruned") as caught:
            client(serve(error(-1, message))).call("getblock")
        assert not isinstance(caught.value, ChainUnavailableError)  # asking again does not help
    with pytest.raises(ChainError, match="not fully downloaded"):
        client(serve(error(-1, "Block not available (not fully downloaded)"))).call("getblock")
    assert client(serve(error(-5, {"a": 1}))).ask("x").message.startswith("{")


def test_messages_are_made_printable() -> None:
    assert printable("a\x1b[31mb\nc" + "x" * 900) == "a [31mb c" + "x" * 291
    assert printable(None) == "None"


def test_batches(serve: Any, client: Any) -> None:
    def answer(connection: socket.socket, body: bytes) -> None:
        replies = [{"result": call["params"][0], "error": None, "id": call["id"]} for call in json.loads(body)]
        replies[1] = {"result": None, "error": {"code": -5, "message": "no"}, "id": replies[1]["id"]}
        connection.sendall(http(200, json.dumps(replies[::-1]).encode()))

    rpc = client(serve(answer))
    assert rpc.batch("x", [("a",), ("b",), ("c",)]) == ["a", Refusal(-5, "no"), "c"]
    assert rpc.batch("x", []) == []


@pytest.mark.parametrize("replies", [[], {"result": 1}, [{"id": 99}, {"id": 98}], [1, 2], [{}, {}, {}], "x"])
def test_bad_batches(serve: Any, client: Any, replies: Any) -> None:
    with pytest.raises(ChainError, match="JSON-RPC properly"):
        client(serve(says(200, json.dumps(replies).encode()))).batch("x", [(1,), (2,)])


def test_cookie_is_read_again_when_refused(serve: Any, client: Any, tmp_path: Path) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:old")

    def refuse(connection: socket.socket, _: bytes) -> None:
        cookie.write_text("__cookie__:new\n")
        connection.sendall(http(401, b""))

    fake = serve(refuse, result(1))
    assert client(fake, cookie=cookie).call("x") == 1
    assert b"Authorization: Basic X19jb29raWVfXzpuZXc=" in fake.requests[1]
    with pytest.raises(ChainError, match="refuses the credentials") as caught:
        client(serve(says(401, b"")), cookie=cookie).call("x")
    assert "new" not in str(caught.value)
    assert not caught.value.retryable


def test_password_is_sent_and_not_shown(serve: Any, client: Any) -> None:
    fake = serve(result(1), says(403, b""))
    rpc = client(fake, user="u", password=Secret.from_text("hunter2"))
    assert rpc.call("x") == 1
    assert b"Basic dTpodW50ZXIy" in fake.requests[0]
    with pytest.raises(ChainError, match="rpcallowip") as caught:
        rpc.call("x")
    assert "hunter2" not in repr(caught.value)


def test_close_is_not_the_end(serve: Any, client: Any) -> None:
    fake = serve(result(1))
    rpc = client(fake)
    for _ in range(2):
        assert rpc.call("x") == 1
        rpc.close()
        rpc.close()
    assert fake.connections == 2


def test_threads_take_turns(serve: Any, client: Any) -> None:
    def answer(connection: socket.socket, body: bytes) -> None:
        request = json.loads(body)
        connection.sendall(
            http(200, json.dumps({"result": request["params"], "error": None, "id": request["id"]}).encode())
        )

    rpc = client(serve(answer))
    wrong: list[Any] = []

    def work(number: int) -> None:
        for round_ in range(20):
            wrong.extend(value for value in rpc.call("x", number, round_) if value not in (number, round_))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
