"""A small JSON-RPC client for a node on the loopback interface."""

from __future__ import annotations

import http.client
import itertools
import json
from typing import Any
from urllib.parse import urlsplit

from bursar.errors import ChainError, ChainUnavailableError

_TIMEOUT_SECONDS = 60


class LoopbackRpc:
    """One connection for each call: slow, simple, and safe from several threads."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port
        self._numbers = itertools.count(1)

    def call(self, method: str, *params: object) -> Any:
        """The result of ``method``; ChainError with the node's words when it fails."""
        request = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": list(params)}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
            reply = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ChainUnavailableError(f"the sandbox at {self._host}:{self._port} does not answer {method}") from error
        finally:
            connection.close()
        if "error" in reply:
            raise ChainError(f"the sandbox refused {method}: {reply['error'].get('message')}")
        return reply["result"]
