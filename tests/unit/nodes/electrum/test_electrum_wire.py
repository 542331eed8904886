"""The client's wire: garbage, floods, silence, hanging up at each step, certificates and a SOCKS5 proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from bursar.chain.protocols import SyncRequest
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes.electrum import ElectrumBackend
from bursar.nodes.electrum import session as session_module
from bursar.nodes.sandbox.electrum import ElectrumServer

from .conftest import SCRIPTS, HangUp, Liar, Raw, World, backend_at, balance

ALL = SyncRequest(SCRIPTS)
METHODS = (
    "server.version",
    "blockchain.block.header",
    "blockchain.headers.subscribe",
    "blockchain.block.headers",
    "blockchain.scripthash.subscribe",
    "blockchain.scripthash.get_history",
    "blockchain.transaction.get",
    "blockchain.transaction.get_merkle",
)


GARBAGE = {
    "nothing": b"\n",
    "no json": b"hello\n",
    "binary": bytes(range(128, 256)) + b"\n",
    "deep": b"[" * 60_000 + b"\n",
    "deep in an object": b'{"id":<id>,"result":' + b"[" * 5000 + b"]" * 5000 + b"}\n",
    "a number": b"17\n",
    "a huge number": b'{"id":<id>,"result":' + b"9" * 20_000 + b"}\n",
    "a list": b'[{"id":<id>,"result":null}]\n',
    "no id": b'{"result":null}\n',
    "a text as id": b'{"id":"<id>","result":null}\n',
    "a fraction as id": b'{"id":<id>.0,"result":null}\n',
    "another id": b'{"id":123456,"result":null}\n',
    "a negative id": b'{"id":-1,"result":null}\n',
    "no result": b'{"id":<id>}\n',
    "an error without code": b'{"id":<id>,"error":{}}\n',
    "an error that is a list": b'{"id":<id>,"error":[1]}\n',
    "a request": b'{"id":<id>,"method":"server.ping","params":[]}\n',
    "a strange notification": b'{"method":5,"params":[]}\n',
    "not a number": b'{"id":<id>,"result":NaN}\n',
    "too long": b'{"id":<id>,"result":"' + b"x" * 70_000 + b'"}\n',
    "too long and never ending": b"x" * 200_000,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(client: ElectrumBackend, liar: Liar, name: str) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        return Raw(GARBAGE[name]) if method == "blockchain.headers.subscribe" else result

    liar.tamper = tamper
    with pytest.raises(ChainError) as caught:
        client.sync(ALL)
    assert not isinstance(caught.value, ChainUnavailableError)
    assert caught.value.code in ("chain.reply", "chain.refused")
    liar.tamper = lambda method, params, result: result
    assert balance(client.sync(ALL)) == 200_000  # on a new connection


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("times", [1, 99])
def test_hanging_up_at_each_step(client: ElectrumBackend, liar: Liar, method: str, times: int) -> None:
    """Once costs nothing but a new connection; for ever is an error that says so."""
    left = [times]

    def tamper(asked: str, params: list[Any], result: Any) -> Any:
        if asked == method and left[0]:
            left[0] -= 1
            raise HangUp
        return result

    liar.tamper = tamper
    if times == 1:
        assert balance(client.sync(ALL)) == 200_000
        return
    with pytest.raises(ChainUnavailableError, match="cannot be reached"):
        client.sync(ALL)


def test_half_a_line(client: ElectrumBackend, liar: Liar) -> None:
    def tamper(method: str, params: list[Any], result: Any) -> Any:
        return Raw(b'{"id":<id>,"resu') if method == "blockchain.relayfee" else result

    liar.tamper = tamper
    short = backend_at(liar.url, timeout=0.2)
    with pytest.raises(ChainUnavailableError, match="did not answer"):
        short.min_fee_rate()
    short.close()


@pytest.mark.parametrize("method", ["server.version", "blockchain.scripthash.get_history"])
def test_silence(liar: Liar, method: str) -> None:
    client = backend_at(liar.url, timeout=0.3)
    liar.tamper = lambda asked, params, result: Raw(b"") if asked == method else result
    started = time.monotonic()
    with pytest.raises(ChainUnavailableError, match="did not answer"):
        client.sync(ALL)
    assert time.monotonic() - started < 3
    client.close()


def flood(liar: Liar, line: bytes) -> None:
    """Instead of the relay fee, the same line for ever."""
    end = time.monotonic() + 5

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while time.monotonic() < end:
                connection.sendall(line * 500)

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method == "blockchain.relayfee":
            serve(liar._open[-1])
            raise HangUp
        return result

    liar.tamper = tamper


def test_notifications_for_ever(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"method": "blockchain.scripthash.subscribe", "params": ["00" * 32, None]}).encode() + b"\n"
    flood(liar, line)
    client = backend_at(liar.url, timeout=0.4)
    monkeypatch.setattr(session_module, "MAX_NEWS", 1 << 62)
    with pytest.raises(ChainUnavailableError, match="did not answer"):
        client.min_fee_rate()
    client.close()
    client = backend_at(liar.url)
    monkeypatch.setattr(session_module, "MAX_NEWS", 2000)
    with pytest.raises(ChainError, match="without end"):
        client.min_fee_rate()
    client.close()


def test_notifications_between_two_questions(
    client: ElectrumBackend, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.sync(ALL)
    news = json.dumps({"method": "blockchain.scripthash.subscribe", "params": ["zz", 5]}).encode() + b"\n"
    other = json.dumps({"method": "something.new", "params": [{}]}).encode() + b"\n"
    liar._open[-1].sendall(news + other)
    assert balance(client.sync(ALL)) == 200_000
    monkeypatch.setattr(session_module, "MAX_NEWS", 10)
    liar._open[-1].sendall(news * 50)  # taken with the answer to the first question, or before the next

    def go_on() -> None:
        for _ in range(1000):
            client.sync(ALL)

    with pytest.raises(ChainError, match="without end"):
        go_on()
    assert balance(client.sync(ALL)) == 200_000


def test_answers_in_any_order(still: World) -> None:
    """Replies are told apart by their ids, not by when they come."""
    honest = Liar(ElectrumServer(still.chain)._answers)
    held: list[bytes] = []

    def tamper(method: str, params: list[Any], result: Any) -> Any:
        if method != "blockchain.scripthash.subscribe":
            return result
        number = len(held)
        held.append(json.dumps(result).encode())
        if number < len(SCRIPTS) - 1:
            return Raw(b"")
        first = honest_ids[0]
        lines = [b'{"id":%d,"result":%s}\n' % (first + at, text) for at, text in enumerate(held)]
        return Raw(b"".join(reversed(lines)))

    honest_ids = [3]  # after the greeting and the tip's two questions
    honest.tamper = tamper
    client = backend_at(honest.url)
    honest_ids[0] = 4
    assert balance(client.sync(ALL)) == 200_000
    client.close()
    honest.close()


# TLS


def fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def secure(still: World, certificate: Path) -> Iterator[tuple[ElectrumServer, Path]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ElectrumServer(still.chain, tls=context)
    yield server, certificate
    server.close()


def test_certificates(secure: tuple[ElectrumServer, Path], tmp_path: Path) -> None:
    server, certificate = secure
    assert server.url.startswith("ssl://")

    def ask(**options: Any) -> int:
        client = backend_at(server.url, **options)
        try:
            return balance(client.sync(ALL))
        finally:
            client.close()

    assert ask(authorities=certificate) == 200_000
    colons = ":".join(fingerprint(certificate)[at : at + 2] for at in range(0, 64, 2)).upper()
    assert ask(certificate=colons) == 200_000
    for options, words in (({}, "not to be trusted"), ({"certificate": "00" * 32}, fingerprint(certificate))):
        with pytest.raises(ChainError, match=words) as caught:
            ask(**options)  # type: ignore[arg-type]
        assert caught.value.code == "chain.certificate"
        assert not caught.value.retryable
    with pytest.raises(InvalidInputError):
        ask(authorities=tmp_path / "missing.pem")


def test_first_use(secure: tuple[ElectrumServer, Path], tmp_path: Path) -> None:
    server, certificate = secure
    known = tmp_path / "servers.json"
    client = backend_at(server.url, known_servers=known)
    assert client.check_network().height > 0
    assert known.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(known.read_text())["servers"].values()) == [fingerprint(certificate)]
    client.close()
    assert client.check_network().height > 0
    client.close()
    known.write_text(known.read_text().replace(fingerprint(certificate), "ab" * 32))
    with pytest.raises(ChainError, match="another certificate") as caught:
        client.check_network()
    assert caught.value.code == "chain.certificate"
    for damage in ("", "[]", "{}", '{"version": 1, "servers": {"a": 1}}', "[" * 100_000):
        known.write_text(damage)
        with pytest.raises(ChainError, match="known servers"):
            client.check_network()
    client = backend_at(server.url, known_servers=tmp_path / "no" / "folder")
    with pytest.raises(ChainError, match="cannot be written"):
        client.check_network()


def test_plain_text_where_tls_is_expected(liar: Liar, secure: tuple[ElectrumServer, Path]) -> None:
    client = backend_at(liar.url.replace("tcp", "ssl"), certificate="00" * 32, timeout=1.0)
    with pytest.raises(ChainUnavailableError):
        client.check_network()
    client = backend_at(secure[0].url.replace("ssl", "tcp"), timeout=1.0)
    with pytest.raises(ChainError):
        client.check_network()


# a proxy


class Proxy:
    """A SOCKS5 proxy that takes one answer to give, and connects if it is the good one."""

    def __init__(self, *, method: bytes = b"\x05\x00", reply: bytes = b"\x05\x00\x00\x01" + bytes(6)) -> None:
        self.method, self.reply = method, reply
        self.wanted: list[tuple[str, int]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, IndexError), connection:
            assert connection.recv(3) == b"\x05\x01\x00"
            connection.sendall(self.method)
            head = connection.recv(5)
            host = connection.recv(head[4]).decode()
            port = int.from_bytes(connection.recv(2), "big")
            self.wanted.append((host, port))
            connection.sendall(self.reply)
            with socket.create_connection(("127.0.0.1", port)) as server:
                threading.Thread(target=self._pump, args=(server, connection), daemon=True).start()
                self._pump(connection, server)

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "reply", [b"\x05\x00\x00\x01" + bytes(6), b"\x05\x00\x00\x03\x04host\x00\x01", b"\x05\x00\x00\x04" + bytes(18)]
)
def test_through_a_proxy(still: World, reply: bytes) -> None:
    proxy = Proxy(reply=reply)
    port = still.server.port
    client = backend_at(f"tcp://hidden.onion:{port}", proxy=proxy.url)
    assert balance(client.sync(ALL)) == 200_000
    assert proxy.wanted == [("hidden.onion", port)]  # the name is never resolved here
    client.close()
    proxy.listener.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": b"\x05\xff"}, "without a password"),
        ({"method": b"HTTP"}, "without a password"),
        ({"reply": b"\x05\x04\x00\x01" + bytes(6)}, "cannot reach"),
        ({"reply": b"\x05"}, "did not answer|hung up"),
    ],
)
def test_a_proxy_that_does_not(still: World, options: dict[str, bytes], words: str) -> None:
    proxy = Proxy(**options)
    client = backend_at(
        f"tcp://hidden.onion:{still.server.port}",
        proxy=proxy.url,
        timeout=0.5 if options.get("reply") == b"\x05" else 15.0,
    )
    with pytest.raises(ChainUnavailableError, match=words):
        client.check_network()
    proxy.listener.close()
