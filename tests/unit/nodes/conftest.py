"""A regtest chain to build on: coins anyone may spend, and transactions made from them without a key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
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
