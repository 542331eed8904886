"""The Bitcoin half of the sandbox: a regtest chain, its JSON-RPC server, and a faucet that needs no key."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import p2wsh
from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto.hashes import sha256
from bursar.errors import InsufficientFundsError
from bursar.nodes.sandbox.bitcoin.blocks import MATURITY
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.publisher import Publisher
from bursar.nodes.sandbox.bitcoin.server import RpcServer

OP_TRUE: Final = b"\x51"
FAUCET: Final = p2wsh(sha256(OP_TRUE))  # anyone may spend it
FAUCET_RATE: Final = FeeRate(2000)
_DUST: Final = 330


class BitcoinSandbox:
    """A regtest node over ``folder``, or a passing one when it is ``None``; serving between ``start`` and ``close``.

    ``indexes=False`` makes it answer like a bitcoind without transaction and block filter indexes; ``zmq=True``
    publishes notifications, and ``getzmqnotifications`` says where.
    """

    def __init__(self, folder: Path | None, *, port: int = 0, indexes: bool = True, zmq: bool = False) -> None:
        self._folder = folder
        self._indexes = indexes
        self._zmq = zmq
        self._publisher: Publisher | None = None
        self._port = port
        self._temporary: Path | None = None
        self._chain: RegtestChain | None = None
        self._server: RpcServer | None = None

    def start(self) -> None:
        """Open the chain and serve it; ``StoreBusyError`` when another process holds the folder. Idempotent."""
        if self._server is not None:
            return
        self._chain = RegtestChain(self._folder, indexes=self._indexes)
        try:
            if self._folder is None:
                self._temporary = Path(tempfile.mkdtemp(prefix="bursar-sandbox-"))
            self._server = RpcServer(self._chain, cookie=(self._folder or self.temporary) / ".cookie", port=self._port)
            if self._zmq:
                self._publisher = Publisher(self._chain)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop serving and let go of the folder; idempotent."""
        server, self._server = self._server, None
        chain, self._chain = self._chain, None
        temporary, self._temporary = self._temporary, None
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()
        if server is not None:
            server.close()
        if chain is not None:
            chain.close()
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def temporary(self) -> Path:
        """The folder of a passing sandbox's cookie."""
        assert self._temporary is not None
        return self._temporary

    @property
    def chain(self) -> RegtestChain:
        """The chain, for callers in this process."""
        assert self._chain is not None, "the sandbox is not started"
        return self._chain

    @property
    def server(self) -> RpcServer:
        """The server, for its port and its stop event."""
        assert self._server is not None, "the sandbox is not started"
        return self._server

    @property
    def url(self) -> str:
        """Where JSON-RPC is served."""
        return self.server.url

    @property
    def cookie(self) -> Path:
        """The file with the user and password for it."""
        return self.server.cookie

    @property
    def stopping(self) -> threading.Event:
        """Set when a caller asked the node to stop."""
        return self.server.stopping

    def mine(self, blocks: int, to_address: str | None = None) -> list[str]:
        """Mine blocks to an address, or to the faucet; their hashes in display hex."""
        script = FAUCET if to_address is None else Address.from_text(to_address, Network.REGTEST).script
        return self.chain.mine(blocks, script)

    def fund(self, address: str, amount: int, *, confirm: bool = True) -> str:
        """Pay ``amount`` satoshi from the faucet, mined at once unless ``confirm`` is off; the transaction's id.

        Mines what the faucet needs first: ``InsufficientFundsError`` only when the chain has no subsidy left to give.
        """
        wanted = TxOut(Sats(amount), Address.from_text(address, Network.REGTEST).script)
        chain = self.chain
        with chain.lock:
            tx = self._payment(wanted)
            txid = chain.submit(tx)
            if confirm:
                chain.mine(1, FAUCET)
        return str(txid)

    def _payment(self, wanted: TxOut) -> Transaction:
        tx = _spend(self._coins(), wanted)
        if tx is None:
            self.chain.mine(MATURITY + 1, FAUCET)
            tx = _spend(self._coins(), wanted)
        if tx is None:
            available = sum(value for _, value in self._coins())
            raise InsufficientFundsError(
                f"the faucet holds {available} sat: mine more blocks to it or ask for less than {wanted.value} sat",
                needed=int(wanted.value),
                available=available,
            )
        return tx

    def _coins(self) -> list[tuple[OutPoint, int]]:
        """The faucet's mature coins that nothing spends yet, largest first."""
        chain = self.chain
        height = chain.height + 1
        coins = [
            (outpoint, chain.index.coins[outpoint])
            for outpoint in chain.index.by_script.get(FAUCET, ())
            if chain.mempool.spender(outpoint) is None
        ]
        ripe = [(at, coin.value) for at, coin in coins if not coin.coinbase or height - coin.height >= MATURITY]
        return sorted(ripe, key=lambda coin: -coin[1])


def _spend(coins: list[tuple[OutPoint, int]], wanted: TxOut) -> Transaction | None:
    """A payment from as few coins as reach, with change back to the faucet; ``None`` if they do not reach."""
    chosen: list[TxIn] = []
    total = 0
    for outpoint, value in coins:
        chosen.append(TxIn(outpoint, b"", SEQUENCE_RBF, (OP_TRUE,)))
        total += value
        draft = Transaction(2, chosen, [wanted, TxOut(Sats(0), FAUCET)])
        change = total - wanted.value - FAUCET_RATE.fee(draft.vsize)
        if change >= _DUST:
            return Transaction(2, chosen, [wanted, TxOut(Sats(change), FAUCET)])
    return None
