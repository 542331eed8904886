"""A regtest chain to build on: coins anyone may spend, and transactions made from them without a key."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import BroadcastRejectedError
from bursar.nodes import exact_json
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.dispatch import Dispatcher
from bursar.nodes.sandbox.bitcoin.node import FAUCET, OP_TRUE


@dataclass
class Workshop:
    """A chain with ripe faucet coins; everything made here is valid unless a test bends it."""

    chain: RegtestChain

    def ripe(self) -> list[OutPoint]:
        """Outpoints of faucet coins that may be spent now, oldest first."""
        index = self.chain.index
        return [
            outpoint
            for outpoint in index.by_script.get(FAUCET, ())
            if index.coins[outpoint].height <= self.chain.height - 99 or not index.coins[outpoint].coinbase
        ]

    def value(self, outpoint: OutPoint) -> int:
        coin = self.chain.coin(outpoint)
        assert coin is not None
        return coin.value

    def tx(
        self,
        coins: Sequence[OutPoint],
        outputs: Sequence[tuple[bytes, int]] = (),
        *,
        fee: int = 1000,
        sequence: int = SEQUENCE_RBF,
        version: int = 2,
        locktime: int = 0,
        witness: tuple[bytes, ...] = (OP_TRUE,),
    ) -> Transaction:
        """Spend faucet coins: ``outputs`` as script and amount, and the rest but ``fee`` back to the faucet."""
        rest = sum(map(self.value, coins)) - sum(amount for _, amount in outputs) - fee
        made = [TxOut(Sats(amount), script) for script, amount in outputs]
        if rest > 0:
            made.append(TxOut(Sats(rest), FAUCET))
        return Transaction(version, [TxIn(coin, b"", sequence, witness) for coin in coins], made, locktime)

    def send(self, coins: Sequence[OutPoint], outputs: Sequence[tuple[bytes, int]] = (), **options: int) -> OutPoint:
        """Such a transaction in the mempool; its last output."""
        tx = self.tx(coins, outputs, **options)  # type: ignore[arg-type]
        return OutPoint(self.chain.submit(tx), len(tx.outputs) - 1)

    def refusal(self, tx: Transaction, *, code: int = -26) -> str:
        """Why the mempool refuses a transaction, after checking that nothing changed."""
        before = list(self.chain.mempool.entries)
        with pytest.raises(BroadcastRejectedError) as caught:
            self.chain.submit(tx)
        assert caught.value.node_code == code
        assert list(self.chain.mempool.entries) == before
        assert caught.value.message.startswith(caught.value.reason)
        return caught.value.reason


class Caller:
    """Calls methods as a client would, body to body."""

    def __init__(self, chain: RegtestChain) -> None:
        self.stop = threading.Event()
        self.dispatcher = Dispatcher(chain, stop=self.stop)

    @classmethod
    def of(cls, chain: RegtestChain) -> Caller:
        """A caller of another chain."""
        return cls(chain)

    def raw(self, body: bytes) -> tuple[int, Any]:
        reply = self.dispatcher.answer(body)
        return (204, None) if reply is None else (reply.status, exact_json.loads(reply.body))

    def __call__(self, method: str, *params: Any, **named: Any) -> Any:
        given = named or list(params)
        body = exact_json.dumps({"id": 1, "method": method, "params": given}).encode()
        status, reply = self.raw(body)
        assert reply["id"] == 1
        assert reply["error"] is None, reply
        assert status == 200
        return reply["result"]

    def error(self, method: str, *params: Any, **named: Any) -> tuple[int, str]:
        body = exact_json.dumps({"id": 1, "method": method, "params": named or list(params)}).encode()
        status, reply = self.raw(body)
        assert reply["result"] is None
        assert status == {-32600: 400, -32601: 404}.get(reply["error"]["code"], 500)
        return reply["error"]["code"], reply["error"]["message"]


@pytest.fixture
def chain() -> Iterator[RegtestChain]:
    """An empty chain."""
    with RegtestChain(None) as made:
        yield made


@pytest.fixture
def workshop(chain: RegtestChain) -> Workshop:
    """A chain with eleven ripe coins."""
    chain.mine(110, FAUCET)
    return Workshop(chain)


@pytest.fixture
def rpc(chain: RegtestChain) -> Caller:
    return Caller(chain)


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    """A chain for tests that ask much and change nothing they look at."""
    with RegtestChain(None) as made:
        yield Caller(made)
