"""One Ethereum chain to play with, whichever engine runs it."""

from __future__ import annotations

import fcntl
import importlib.util
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Literal, Self

from bursar.errors import ConflictError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.nodes.sandbox.ethereum.anvil import AnvilNode, find_anvil
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc
from bursar.nodes.sandbox.ethereum.embedded import EmbeddedNode
from bursar.nodes.sandbox.ethereum.faucet import FAUCET_ADDRESS, FAUCET_WEI, Faucet, TokenInfo

CHAIN_ID: Final = 31337
Engine = Literal["py-evm", "anvil"]


class EthereumSandbox:
    """A chain with one purse, behind JSON-RPC on the loopback interface; a context manager.

    ``folder`` keeps the chain between runs (``None``: it is forgotten). ``engine`` is ``"py-evm"``, ``"anvil"`` or
    ``"auto"``: what the folder was made with, else py-evm where it is installed, else anvil. Unless ``automine`` is
    set, blocks come only when :meth:`mine`, :meth:`fund` or a token is asked for.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        engine: Literal["auto", "py-evm", "anvil"] = "auto",
        chain_id: int = CHAIN_ID,
        automine: bool = False,
        port: int = 0,
    ) -> None:
        self._folder = folder
        self._asked = engine
        self._chain_id = check_chain_id(chain_id)
        self._automine = automine
        self._port = port
        self._node: EmbeddedNode | AnvilNode | None = None
        self._lock: IO[str] | None = None
        self._tokens: list[TokenInfo] = []
        self.engine: Engine = "py-evm"

    @property
    def url(self) -> str:
        """Where its JSON-RPC is, ``http://127.0.0.1:port``."""
        return self._running().url

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain_id

    @property
    def tokens(self) -> tuple[TokenInfo, ...]:
        """The tokens deployed here, oldest first."""
        return tuple(self._tokens)

    def start(self) -> Self:
        """Start the engine; idempotent. ConflictError when another process uses the folder."""
        if self._node is not None:
            return self
        self._take_folder()
        try:
            self.engine = self._choose()
            if self.engine == "py-evm":
                node: EmbeddedNode | AnvilNode = EmbeddedNode(
                    chain_id=self._chain_id, state=self._file("chain.sqlite"), automine=self._automine, port=self._port
                )
            else:
                node = AnvilNode(
                    chain_id=self._chain_id, state=self._file("anvil.json"), automine=self._automine, port=self._port
                )
            node.start()
        except BaseException:
            self._leave_folder()
            raise
        self._node = node
        if self.engine == "anvil":
            self._call("anvil_setBalance", str(FAUCET_ADDRESS), hex(FAUCET_WEI))
        return self

    def wait(self) -> Self:
        """Wait until the engine answers; what went wrong with it is raised."""
        node = self._running()
        if isinstance(node, EmbeddedNode):
            node.wait()
        return self

    def close(self) -> None:
        """Stop the engine; idempotent."""
        node, self._node = self._node, None
        if node is not None:
            node.close()
        self._leave_folder()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def mine(self, count: int = 1) -> int:
        """Mine ``count`` blocks with what waits in the pool and give the new height."""
        if count > 0:
            self._call("anvil_mine", hex(count))
        return int(self._call("eth_blockNumber"), 16)

    def fund(self, address: str, wei: int) -> str:
        """Pay ether to an address (EIP-55) out of nothing, mine it, and give the transaction's hash."""
        return self._faucet().pay(Address.from_text(address), wei)

    def deploy_token(self, *, name: str = "Sandbox Dollar", symbol: str = "SUSD", decimals: int = 6) -> TokenInfo:
        """Deploy an ERC-20 token (``SandboxToken.sol``), mine it, and remember it."""
        token = self._faucet().deploy_token(name=name, symbol=symbol, decimals=decimals)
        self._tokens.append(token)
        kept = self._file("tokens.json")
        if kept is not None:
            rows = [[one.contract, one.symbol, one.decimals] for one in self._tokens]
            kept.write_text(json.dumps(rows), "ascii")
        return token

    def fund_token(self, address: str, amount: int, *, token: TokenInfo | None = None) -> str:
        """Make ``amount`` base units of ``token`` (default: the first one deployed) for an address, and mine it."""
        if token is None:
            if not self._tokens:
                raise InvalidInputError("no token was deployed in this sandbox: deploy one first")
            token = self._tokens[0]
        return self._faucet().pay_token(Address.from_text(token.contract), Address.from_text(address), amount)

    def _faucet(self) -> Faucet:
        return Faucet(LoopbackRpc(self.wait().url), chain_id=self._chain_id)

    def _call(self, method: str, *params: object) -> Any:
        return LoopbackRpc(self.wait().url).call(method, *params)

    def _running(self) -> EmbeddedNode | AnvilNode:
        if self._node is None:
            raise InvalidInputError("the sandbox is not running: start it first")
        return self._node

    def _file(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name

    def _choose(self) -> Engine:
        made_by: Engine | None = None
        for engine, name in (("py-evm", "chain.sqlite"), ("anvil", "anvil.json")):
            kept = self._file(name)
            if kept is not None and kept.exists():
                made_by = "py-evm" if engine == "py-evm" else "anvil"
        if self._asked == "auto":
            if made_by is not None:
                return made_by
            if importlib.util.find_spec("eth") is None and find_anvil() is not None:
                return "anvil"
            return "py-evm"
        if self._asked not in ("py-evm", "anvil"):
            raise InvalidInputError(f"{self._asked!r} is no engine: auto, py-evm and anvil are")
        if made_by is not None and made_by != self._asked:
            raise ConflictError(f"this folder holds a chain of {made_by}, not {self._asked}: use another folder")
        return self._asked

    def _take_folder(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise ConflictError(f"another process runs the sandbox in {self._folder}") from error
        self._lock = lock
        kept = self._folder / "tokens.json"
        self._tokens = [TokenInfo(*row) for row in json.loads(kept.read_text("ascii"))] if kept.exists() else []

    def _leave_folder(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()
