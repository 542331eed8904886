"""Children lift their parents' package to the rate asked for, and say so where they cannot."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.build import BuiltTransfer, build_cpfp, build_transfer
from bursar.bitcoin.coins import Coin
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.package import AncestorPackage, Unconfirmed
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.keys.scheme import Scheme

Verify = Callable[[Transaction, Sequence[TxOut]], None]


def incoming(wallet: Any, value: int, *, index: int = 0) -> tuple[Coin, Unconfirmed]:
    """A coin somebody sends us, and the transaction that does, at 1 sat/vB."""
    coin = wallet.coin(wallet.account(Scheme.BIP84), value, index=index, height=None)
    return coin, Unconfirmed.of(coin.previous, FeeRate(1000).fee(coin.previous.vsize))


def lift(wallet: Any, coins: list[Coin], rate: int, **options: Any) -> BuiltTransfer:
    change = wallet.change(wallet.account(Scheme.BIP84), 9)
    options = {"change": change, "tip_height": 200, "rng": random.Random(1), **options}
    return build_cpfp(coins, fee_rate=FeeRate(rate), **options)


def signed(wallet: Any, built: BuiltTransfer) -> Transaction:
    return extract(finalize(wallet.sign(built.psbt)))


def test_an_incoming_parent_is_lifted(wallet: Any, kernel_verify: Verify) -> None:
    coin, parent = incoming(wallet, 400_000)
    built = lift(wallet, [coin], 30_000, parents=[parent])
    child = signed(wallet, built)
    kernel_verify(child, [coin.output])
    assert built.change_index == 0
    assert len(child.outputs) == 1
    assert built.fee == FeeRate(30_000).fee(built.vsize + parent.vsize) - parent.fee
    assert built.bump == 29 * parent.vsize
    assert built.fee + parent.fee >= FeeRate(30_000).fee(child.vsize + parent.vsize)


def test_an_outgoing_parent_is_lifted_by_its_change(wallet: Any, kernel_verify: Verify) -> None:
    account = wallet.account(Scheme.BIP84)
    first = build_transfer(
        wallet.network,
        [wallet.coin(account, 900_000)],
        [(wallet.account(Scheme.BIP86, 3).address(0, 1), Sats(300_000))],
        change=wallet.change(account),
        fee_rate=FeeRate(1000),
        tip_height=200,
    )
    parent = signed(wallet, first)
    place = first.change_index
    assert place is not None
    coin = Coin(
        OutPoint(parent.txid, place),
        parent.outputs[place],
        wallet.key(account, 1, 0),
        previous=parent,
        package=AncestorPackage.of(parent.txid, [Unconfirmed.of(parent, first.fee)]),
    )
    built = lift(wallet, [coin], 25_000)
    child = signed(wallet, built)
    kernel_verify(child, [coin.output])
    assert built.fee + first.fee >= FeeRate(25_000).fee(child.vsize + parent.vsize)
    assert built.fee + first.fee < FeeRate(25_300).fee(child.vsize + parent.vsize)


def test_several_ancestors_and_coins(wallet: Any) -> None:
    grandparent = Unconfirmed(Txid(b"\7" * 32), Sats(200), 700)
    coins, pool = [], [grandparent]
    for index in (1, 2):
        coin, parent = incoming(wallet, 100_000, index=index)
        coins.append(coin)
        pool.append(Unconfirmed(parent.txid, parent.fee, parent.vsize, frozenset([grandparent.txid])))
    built = lift(wallet, coins, 10_000, parents=pool)
    size = built.vsize + sum(one.vsize for one in pool)
    assert built.fee + sum(one.fee for one in pool) == 10 * size
    assert len(built.coins) == 2


def test_confirmed_coins_help_a_small_one(wallet: Any) -> None:
    coin, parent = incoming(wallet, 1_000)
    more = [wallet.coin(wallet.account(Scheme.BIP84), value, index=5) for value in (20_000, 90_000)]
    fresh, _ = incoming(wallet, 10**6, index=6)
    with pytest.raises(InsufficientFundsError) as caught:
        lift(wallet, [coin], 40_000, parents=[parent], extra_coins=[fresh])
    assert caught.value.needed > caught.value.available == 1_000
    assert "confirmed coins" in str(caught.value)
    built = lift(wallet, [coin], 40_000, parents=[parent], extra_coins=[fresh, *more])
    assert set(built.coins) == {coin, more[1]}


def test_refusals_name_the_remedy(wallet: Any) -> None:
    coin, parent = incoming(wallet, 100_000)
    settled = wallet.coin(wallet.account(Scheme.BIP84), 50_000)
    rich = Unconfirmed(parent.txid, Sats(90_000), parent.vsize)
    chain = [Unconfirmed(Txid(bytes([number]) * 32), Sats(1), 100) for number in range(25)]
    end = Unconfirmed(parent.txid, Sats(1), 100, frozenset(one.txid for one in chain))
    for code, coins, pool in (
        ("input.cpfp", [], [parent]),
        ("input.cpfp", [settled], [parent]),
        ("input.cpfp", [coin], [rich]),
        ("input.coin.package", [coin], []),
        ("input.coin.package", [coin], [Unconfirmed(Txid(bytes(32)), Sats(1), 100)]),
        ("input.coin.package", [coin], [*chain, end]),
        ("input.coin.duplicate", [coin, coin], [parent]),
    ):
        with pytest.raises(InvalidInputError) as caught:
            lift(wallet, coins, 10_000, parents=pool)
        assert caught.value.code == code
        assert ":" in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(
    value=st.integers(2_000, 400_000),
    rate=st.integers(1_500, 60_000),
    fee=st.integers(0, 2_000),
    before=st.lists(st.tuples(st.integers(0, 9_000), st.integers(90, 2_000)), max_size=4),
)
def test_the_package_always_reaches_the_rate(
    value: int, rate: int, fee: int, before: list[tuple[int, int]], wallet: Any
) -> None:
    coin, parent = incoming(wallet, value)
    pool: list[Unconfirmed] = []
    for number, (paid, size) in enumerate(before):
        parents = frozenset([pool[-1].txid]) if pool else frozenset()
        pool.append(Unconfirmed(Txid(bytes([number]) * 32), Sats(paid), size, parents))
    pool.append(Unconfirmed(parent.txid, Sats(fee), parent.vsize, frozenset(one.txid for one in pool)))
    try:
        built = lift(wallet, [coin], rate, parents=pool)
    except (InsufficientFundsError, InvalidInputError):
        return
    child = signed(wallet, built)
    paid = built.fee + sum(one.fee for one in pool)
    rich = sum(max(0, one.fee - FeeRate(rate).fee(one.vsize)) for one in pool)
    assert paid >= FeeRate(rate).fee(child.vsize + sum(one.vsize for one in pool))
    assert paid - rich <= FeeRate(rate).fee(built.vsize + sum(one.vsize for one in pool)) + len(pool) + 1
