"""The wire to an Ethereum node over TLS, directly and through a proxy: certificates are always verified."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bursar.errors import ChainUnavailableError
from bursar.nodes.ethrpc.wire import Wire


def certificate(folder: Path) -> Path:
    """A self-signed certificate for node.example and 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node.example")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName(
        [x509.DNSName("node.example"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
    )
    usage = x509.BasicConstraints(ca=True, path_length=None)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


class TlsNode:
    """Answers every question with 0x1; with ``tunnel`` it is a proxy that is the node as well."""

    def __init__(self, path: Path, *, tunnel: bool = False) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(path)
        self._tunnel = tunnel
        self.greetings: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self._answer(connection)
                except OSError:
                    continue

    def _answer(self, connection: socket.socket) -> None:
        if self._tunnel:
            self.greetings.append(connection.recv(65536).decode())
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self._context.wrap_socket(connection, server_side=True) as secure:
            data = b""
            while b"}" not in data:
                data += secure.recv(65536)
            request = json.loads(data[data.index(b"{") :])
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": "0x1"}).encode()
            secure.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


@pytest.fixture
def node(trusted: Path) -> Iterator[TlsNode]:
    running = TlsNode(trusted)
    yield running
    running.close()


def test_a_trusted_certificate(node: TlsNode) -> None:
    wire = Wire(f"https://127.0.0.1:{node.port}", timeout=5)
    assert [wire.ask("eth_chainId", []) for _ in range(2)] == ["0x1", "0x1"]
    wire.close()


def test_an_unknown_certificate_is_refused(node: TlsNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    wire = Wire(f"https://127.0.0.1:{node.port}", timeout=5)
    with pytest.raises(ChainUnavailableError, match="SSLCertVerificationError"):
        wire.ask("eth_chainId", [])
    wire.close()


def test_a_certificate_for_another_name_is_refused(node: TlsNode) -> None:
    wire = Wire(f"https://localhost:{node.port}", timeout=5)
    with pytest.raises(ChainUnavailableError, match="SSLCertVerificationError"):
        wire.ask("eth_chainId", [])
    wire.close()


def test_through_a_proxy(trusted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = TlsNode(trusted, tunnel=True)
    monkeypatch.setenv("https_proxy", f"http://me:pw@127.0.0.1:{proxy.port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    wire = Wire("https://node.example/v3/KEY", timeout=5)
    assert wire.ask("eth_chainId", []) == "0x1"
    assert proxy.greetings[0].startswith("CONNECT node.example:443 HTTP/1.")
    assert "Proxy-Authorization: Basic bWU6cHc=" in proxy.greetings[0]
    assert "KEY" not in proxy.greetings[0]
    wire.close()
    proxy.close()
