"""The embedded node behind HTTP: the EVM is loaded by a thread of its own, calls wait for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bursar.errors import BursarError
from bursar.nodes.sandbox.ethereum.chain import check_library
from bursar.nodes.sandbox.ethereum.server import JsonRpcServer
from bursar.nodes.sandbox.ethereum.words import RpcError


class EmbeddedNode:
    """The py-evm node and its server. ``start`` returns at once; loading the library takes about a second."""

    def __init__(self, *, chain_id: int, state: Path | None, automine: bool, port: int = 0) -> None:
        check_library()
        self._chain_id = chain_id
        self._state = state
        self._automine = automine
        self._node: Any = None
        self._methods: Any = None
        self._trouble: BaseException | None = None
        self._server = JsonRpcServer(self._dispatch, port=port)
        self._loader = threading.Thread(target=self._load, name="ethereum-sandbox-loader", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def start(self) -> None:
        """Begin to load and to answer."""
        self._loader.start()
        self._server.start()

    def _load(self) -> None:
        from bursar.nodes.sandbox.ethereum.methods import Methods
        from bursar.nodes.sandbox.ethereum.node import EvmNode

        try:
            self._node = EvmNode(self._state, chain_id=self._chain_id, automine=self._automine)
            self._methods = Methods(self._node)
        except (BursarError, OSError, ImportError) as error:
            self._trouble = error

    def wait(self) -> None:
        """Wait until the chain is loaded; raise what went wrong with it."""
        self._loader.join()
        if self._trouble is not None:
            raise self._trouble

    def _dispatch(self, method: str, params: Sequence[Any]) -> Any:
        self._loader.join()
        if self._methods is None:
            raise RpcError(f"the chain could not be loaded: {self._trouble}", code=-32603)
        return self._methods.call(method, params)

    def close(self) -> None:
        """Stop answering and close the file."""
        if self._loader.is_alive():
            self._loader.join()
        self._server.close()
        if self._node is not None:
            self._node.close()
