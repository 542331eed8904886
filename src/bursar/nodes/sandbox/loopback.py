"""An HTTP server on loopback (RFC 9112): a thread for each of a bounded number of connections, quiet, ended at once."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import sys
import threading
from typing import Any, Final

LOOPBACK: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 128


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine; a web page that resolves its own name here does not."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return name.lower() in (LOOPBACK, "localhost", "[::1]")


class LoopbackServer(http.server.ThreadingHTTPServer):
    """Serves on ``port`` (0: a free one) until closed; over TLS where a context is given."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, port: int, handler: type[http.server.BaseHTTPRequestHandler], *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__((LOOPBACK, port), handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        """Bind without asking the resolver for a host name, which HTTPServer does and which can hang."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, int(self.socket.getsockname()[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Turn away more connections than the server keeps threads for."""
        with self._guard:
            if len(self._open) >= MAX_CONNECTIONS:
                return False
            self._open.add(request)
            return True

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection when its thread is through."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about callers that hang up; anything else is a fault of this program and is printed."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        """End every open connection."""
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
