"""The JSON-RPC client over TLS: a certificate is checked, always."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from bursar.errors import ChainError
from bursar.nodes.bitcoind_rpc import RpcClient


def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), raw, context.wrap_socket(raw, server_side=True) as connection:
                request = connection.recv(65536)
                while not request.endswith(b"}"):
                    request += connection.recv(65536)
                number = json.loads(request.partition(b"\r\n\r\n")[2])["id"]
                body = json.dumps({"result": "secret", "error": None, "id": number}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    rpc = RpcClient(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5)
    with pytest.raises(ChainError, match="not to be trusted: self-signed") as caught:
        rpc.call("x")
    assert not caught.value.retryable
    rpc.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    rpc = RpcClient(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=5)
    assert rpc.call("x") == "secret"
    rpc.close()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
