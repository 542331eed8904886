"""Both embedded chains as one thing to start, use and stop."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from bursar.errors import InvalidInputError
from bursar.nodes.sandbox import state as notes
from bursar.nodes.sandbox.bitcoin.node import BitcoinSandbox

if TYPE_CHECKING:
    from bursar.nodes.sandbox.electrum import ElectrumServer
    from bursar.nodes.sandbox.esplora import EsploraServer
    from bursar.nodes.sandbox.ethereum import EthereumSandbox, TokenInfo

CHAIN_ID = 31337
EthereumChoice = Literal["auto", "py-evm", "anvil", "none"]


class Sandbox:
    """A Bitcoin regtest node and an Ethereum chain on loopback, serving between ``start`` and ``close``.

    ``folder`` keeps both chains between runs and is held by one process at a time; ``None`` forgets them. ``ethereum``
    names the engine, or ``"none"`` for Bitcoin alone. ``electrum`` and ``esplora`` add servers of those protocols over
    the Bitcoin chain. Ports are free ones unless given. Missing libraries raise
    ``MissingExtraError`` naming the extra ``sandbox``.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        ethereum: EthereumChoice = "auto",
        chain_id: int = CHAIN_ID,
        bitcoin_port: int = 0,
        ethereum_port: int = 0,
        electrum: bool = False,
        electrum_port: int = 0,
        esplora: bool = False,
        esplora_port: int = 0,
    ) -> None:
        self._folder = folder
        self._engine = ethereum
        self._chain_id = chain_id
        self._ethereum_port = ethereum_port
        self._bitcoin = BitcoinSandbox(None if folder is None else folder / "bitcoin", port=bitcoin_port)
        self._ethereum: EthereumSandbox | None = None
        self._electrum_wanted, self._electrum_port = electrum, electrum_port
        self._esplora_wanted, self._esplora_port = esplora, esplora_port
        self._electrum: ElectrumServer | None = None
        self._esplora: EsploraServer | None = None
        self._lock: int | None = None
        self._started = False
        self._started_at = 0
        self._stop = threading.Event()

    # life

    def start(self) -> Self:
        """Start both chains; ``StoreBusyError`` when another process holds the folder. Idempotent."""
        if self._started:
            return self
        if self._folder is not None:
            self._lock = notes.hold(self._folder)
        try:
            if self._folder is not None:
                (self._folder / notes.FILE).unlink(missing_ok=True)
            self._bitcoin.start()
            self._start_servers()
            self._start_ethereum()
            self._started = True
            self._started_at = int(time.time())
            self._stop.clear()
            self._note()
        except BaseException:
            self.close()
            raise
        return self

    def _start_servers(self) -> None:
        if self._electrum_wanted:
            from bursar.nodes.sandbox.electrum import ElectrumServer

            self._electrum = ElectrumServer(self._bitcoin.chain, port=self._electrum_port)
        if self._esplora_wanted:
            from bursar.nodes.sandbox.esplora import EsploraServer

            self._esplora = EsploraServer(self._bitcoin.chain, port=self._esplora_port)

    def _start_ethereum(self) -> None:
        if self._engine == "none":
            return
        from bursar.nodes.sandbox.ethereum import EthereumSandbox

        folder = None if self._folder is None else self._folder / "ethereum"
        sandbox = EthereumSandbox(folder, engine=self._engine, chain_id=self._chain_id, port=self._ethereum_port)
        self._ethereum = sandbox
        sandbox.start()

    def close(self) -> None:
        """Stop both chains and let go of the folder; idempotent."""
        self._started = False
        self._stop.set()
        ethereum, self._ethereum = self._ethereum, None
        electrum, self._electrum = self._electrum, None
        esplora, self._esplora = self._esplora, None
        lock, self._lock = self._lock, None
        with contextlib.ExitStack() as stack:  # the lock goes last, whatever fails before
            if lock is not None:
                stack.callback(os.close, lock)
            if lock is not None and self._folder is not None:
                stack.callback((self._folder / notes.FILE).unlink, missing_ok=True)
            stack.callback(self._bitcoin.close)
            if electrum is not None:
                stack.callback(electrum.close)
            if esplora is not None:
                stack.callback(esplora.close)
            if ethereum is not None:
                stack.callback(ethereum.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def request_stop(self) -> None:
        """Make ``wait`` return; safe in a signal handler and from any thread."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until somebody asks the sandbox to stop (``request_stop``, or ``stop`` by RPC); whether it happened."""
        end = None if timeout is None else time.monotonic() + timeout
        while self._started and not self._stop.is_set() and not self._bitcoin.stopping.is_set():
            left = 0.2 if end is None else min(0.2, end - time.monotonic())
            if left <= 0:
                return False
            self._stop.wait(left)
        return True

    @property
    def state(self) -> notes.SandboxState:
        """Where everything is, as the note in the folder has it."""
        ethereum = self._ethereum
        tokens = ethereum.tokens if ethereum is not None else ()
        return notes.SandboxState(
            pid=os.getpid(),
            started=self._started_at,
            bitcoin_url=self.bitcoin_url,
            bitcoin_cookie=str(self.bitcoin_cookie),
            ethereum_url=None if ethereum is None else ethereum.url,
            ethereum_chain_id=None if ethereum is None else ethereum.chain_id,
            ethereum_engine=None if ethereum is None else ethereum.engine,
            token=(tokens[0].contract, tokens[0].symbol, tokens[0].decimals) if tokens else None,
            electrum_url=None if self._electrum is None else self._electrum.url,
            esplora_url=None if self._esplora is None else self._esplora.url,
        )

    def _note(self) -> None:
        if self._folder is not None:
            notes.write(self._folder, self.state)

    # bitcoin

    @property
    def bitcoin(self) -> BitcoinSandbox:
        """The Bitcoin half."""
        return self._bitcoin

    @property
    def bitcoin_url(self) -> str:
        """Where the node's JSON-RPC is."""
        return self._bitcoin.url

    @property
    def bitcoin_cookie(self) -> Path:
        """The node's cookie file."""
        return self._bitcoin.cookie

    @property
    def electrum_url(self) -> str:
        """Where the Electrum server is; ``InvalidInputError`` when the sandbox was made without."""
        if self._electrum is None:
            raise InvalidInputError("this sandbox runs no electrum server: start one with electrum=True")
        return self._electrum.url

    @property
    def esplora_url(self) -> str:
        """Where the Esplora server is; ``InvalidInputError`` when the sandbox was made without."""
        if self._esplora is None:
            raise InvalidInputError("this sandbox runs no esplora server: start one with esplora=True")
        return self._esplora.url

    def mine(self, blocks: int, to_address: str | None = None) -> list[str]:
        """Mine Bitcoin blocks to an address (default: the faucet); their hashes in display hex."""
        return self._bitcoin.mine(blocks, to_address)

    def fund_bitcoin(self, address: str, amount: int, *, confirm: bool = True) -> str:
        """Pay ``amount`` satoshi from the faucet and mine it unless ``confirm`` is off; the transaction's id."""
        return self._bitcoin.fund(address, amount, confirm=confirm)

    # ethereum

    @property
    def ethereum(self) -> EthereumSandbox:
        """The Ethereum half; ``InvalidInputError`` when the sandbox was made without."""
        if self._ethereum is None:
            raise InvalidInputError("this sandbox runs no ethereum chain: start one with ethereum='auto'")
        return self._ethereum

    @property
    def ethereum_url(self) -> str:
        """Where its JSON-RPC is."""
        return self.ethereum.url

    @property
    def ethereum_chain_id(self) -> int:
        """The chain id (EIP-155)."""
        return self.ethereum.chain_id

    @property
    def token(self) -> TokenInfo:
        """The ERC-20 token of this sandbox, deployed when first asked for."""
        tokens = self.ethereum.tokens
        return tokens[0] if tokens else self.deploy_token()

    def deploy_token(self) -> TokenInfo:
        """Deploy an ERC-20 token; the first one is ``token``."""
        token = self.ethereum.deploy_token()
        self._note()
        return token

    def fund_ether(self, address: str, wei: int) -> str:
        """Pay ether to an address and mine it; the transaction's hash."""
        return self.ethereum.fund(address, wei)

    def fund_token(self, address: str, amount: int) -> str:
        """Give base units of ``token`` to an address and mine it; the transaction's hash."""
        return self.ethereum.fund_token(address, amount, token=self.token)

    def mine_ethereum(self, blocks: int = 1) -> int:
        """Mine Ethereum blocks; the new height."""
        return self.ethereum.mine(blocks)
