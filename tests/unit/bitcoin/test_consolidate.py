"""Consolidations join what is worth joining while fees are low, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.build import BuiltTransfer, build_consolidation
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.units import FeeRate
from bursar.errors import InvalidInputError
from bursar.keys.scheme import Scheme

if TYPE_CHECKING:
    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.transaction import Transaction, TxOut


def join(wallet: Any, coins: list[Coin], rate: int = 2_000, **options: Any) -> BuiltTransfer:
    options = {"change": wallet.change(wallet.account(Scheme.BIP86)), "tip_height": 200, **options}
    return build_consolidation(coins, fee_rate=FeeRate(rate), rng=random.Random(1), **options)


def test_small_coins_become_one(wallet: Any, kernel_verify: Callable[[Transaction, Sequence[TxOut]], None]) -> None:
    values = (100, 5_000, 6_000, 7_000, 90_000)
    coins = [wallet.coin(wallet.account(Scheme.BIP84), value, index=at) for at, value in enumerate(values)]
    fresh = wallet.coin(wallet.account(Scheme.BIP84), 8_000, index=8, height=None)
    built = join(wallet, [*coins, fresh])
    assert sorted(coin.output.value for coin in built.coins) == [5_000, 6_000, 7_000, 90_000]
    assert built.fee == FeeRate(2_000).fee(built.vsize)
    tx = extract(finalize(wallet.sign(built.psbt)))
    kernel_verify(tx, [coin.output for coin in built.coins])
    assert len(tx.outputs) == 1
    assert built.psbt.outputs[0].tap_internal_key is not None
    few = join(wallet, coins, most=2, exclude=[coins[1].outpoint])
    assert sorted(coin.output.value for coin in few.coins) == [6_000, 7_000]
    assert len(join(wallet, [*coins, fresh], min_confirmations=0).coins) == 5
    assert len(join(wallet, coins, max_weight=900).coins) == 2


def test_refusals(wallet: Any) -> None:
    coins = [wallet.coin(wallet.account(Scheme.BIP84), 5_000, index=at) for at in range(3)]
    for code, some, options in (
        ("input.fee-rate.consolidation", coins, {"rate": 10_001}),
        ("input.consolidation", coins[:1], {}),
        ("input.consolidation", [], {}),
        ("input.consolidation", coins, {"min_confirmations": 200}),
        ("input.consolidation", coins, {"rate": 70_000, "limit": FeeRate(90_000)}),
        ("input.coin.duplicate", [coins[0], coins[0]], {}),
    ):
        with pytest.raises(InvalidInputError) as caught:
            join(wallet, some, **options)
        assert caught.value.code == code
