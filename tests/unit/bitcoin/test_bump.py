"""Replacements obey every rule of BIP-125 and keep every payee."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.build import (
    INCREMENTAL_RATE,
    BuiltTransfer,
    build_bump,
    build_cancel,
    build_transfer,
    minimum_bump_rate,
    minimum_cancel_rate,
)
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.package import AncestorPackage, Unconfirmed
from bursar.bitcoin.script import dust_threshold
from bursar.bitcoin.transaction import Transaction, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.keys.scheme import Scheme

Verify = Callable[[Transaction, Sequence[TxOut]], None]


def original(wallet: Any, values: list[int], amount: int, rate: int = 2000, **options: Any) -> BuiltTransfer:
    account = wallet.account(Scheme.BIP84)
    coins = [wallet.coin(account, value, index=index) for index, value in enumerate(values)]
    payments = [(wallet.account(Scheme.BIP86, 3).address(0, 1), Sats(amount))]
    options = {"change": wallet.change(account), "fee_rate": FeeRate(rate), "tip_height": 200, **options}
    return build_transfer(wallet.network, coins, payments, rng=random.Random(2), **options)


def bump(wallet: Any, first: BuiltTransfer, tx: Transaction, rate: int, **options: Any) -> BuiltTransfer:
    options = {"change": wallet.change(wallet.account(Scheme.BIP84)), "tip_height": 201, **options}
    return build_bump(tx, first.coins, fee_rate=FeeRate(rate), rng=random.Random(3), **options)


def signed(wallet: Any, built: BuiltTransfer) -> Transaction:
    return extract(finalize(wallet.sign(built.psbt)))


def check_rules(first: BuiltTransfer, old: Transaction, new: Transaction, second: BuiltTransfer, change: bytes) -> None:
    assert old.replaceable  # rule 1
    assert new.replaceable
    assert {one.outpoint for one in old.inputs} <= {one.outpoint for one in new.inputs}
    assert all(coin.height is not None for coin in second.coins if coin not in first.coins)  # rule 2
    assert second.fee >= first.fee + INCREMENTAL_RATE.fee(new.vsize)  # rules 3 and 4
    assert second.fee * old.vsize > first.fee * new.vsize  # rule 6
    payees = [one for one in old.outputs if one.script != change]
    assert [one for one in new.outputs if one.script != change] == payees
    assert all(one.value >= dust_threshold(one.script) for one in new.outputs)


def test_change_pays_the_higher_fee(wallet: Any, kernel_verify: Verify) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    second = bump(wallet, first, old, 20_000)
    new = signed(wallet, second)
    kernel_verify(new, [coin.output for coin in second.coins])
    check_rules(first, old, new, second, wallet.change(wallet.account(Scheme.BIP84)).script)
    assert second.fee == FeeRate(20_000).fee(second.vsize)
    assert [one.script for one in new.outputs] == [one.script for one in old.outputs]
    assert second.change_index == first.change_index
    assert second.psbt.outputs[second.change_index].bip32_derivations


def test_small_change_is_given_up(wallet: Any) -> None:
    first = original(wallet, [310_000], 300_000)
    assert first.change_index is not None
    old = signed(wallet, first)
    second = bump(wallet, first, old, 70_000)
    assert second.change_index is None
    assert second.fee == 10_000
    check_rules(first, old, signed(wallet, second), second, wallet.change(wallet.account(Scheme.BIP84)).script)


def test_confirmed_coins_are_added_when_change_does_not_suffice(wallet: Any, kernel_verify: Verify) -> None:
    account = wallet.account(Scheme.BIP84)
    first = original(wallet, [302_000], 300_000)
    old = signed(wallet, first)
    fresh = wallet.coin(account, 500_000, index=8, height=None)
    steady = [wallet.coin(account, value, index=9) for value in (30_000, 400_000)]
    second = bump(wallet, first, old, 50_000, extra_coins=[fresh, *steady, *first.coins])
    assert set(second.coins) == {*first.coins, steady[1]}
    new = signed(wallet, second)
    kernel_verify(new, [coin.output for coin in second.coins])
    check_rules(first, old, new, second, wallet.change(account).script)
    with pytest.raises(InsufficientFundsError) as caught:
        bump(wallet, first, old, 50_000, extra_coins=[fresh])
    assert caught.value.needed > caught.value.available == 302_000


@pytest.mark.parametrize("rate", [2_000, 2_500, 0])
def test_a_fee_too_low_to_replace_is_refused(rate: int, wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    with pytest.raises(InvalidInputError) as caught:
        bump(wallet, first, old, rate)
    assert caught.value.code == "input.fee-rate.replacement"
    assert "sat/vB" in str(caught.value)


def test_the_minimum_rate_is_enough_and_less_is_not(wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    least = minimum_bump_rate(old, first.coins)
    assert bump(wallet, first, old, least.sat_per_kvb).fee > first.fee
    with pytest.raises(InvalidInputError):
        bump(wallet, first, old, least.sat_per_kvb - 30)


def test_evicted_descendants_are_paid_for(wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    with pytest.raises(InvalidInputError) as caught:
        bump(wallet, first, old, 10_000, descendant_fees=Sats(50_000))
    assert caught.value.code == "input.fee-rate.replacement"
    assert bump(wallet, first, old, 400_000, descendant_fees=Sats(50_000)).fee > 50_000
    assert minimum_bump_rate(old, first.coins, descendant_fees=Sats(50_000)) > FeeRate(300_000)


def test_only_what_signals_and_is_ours_is_replaced(wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    final = Transaction(2, [TxIn(one.outpoint, sequence=0xFFFFFFFF) for one in old.inputs], old.outputs, 0)
    for tx, coins in (
        (final, first.coins),
        (old, ()),
        (old, (*first.coins, wallet.coin(wallet.account(Scheme.BIP84), 5))),
    ):
        with pytest.raises(InvalidInputError) as caught:
            build_bump(
                tx,
                coins,
                change=wallet.change(wallet.account(Scheme.BIP84)),
                fee_rate=FeeRate(50_000),
                tip_height=9,
            )
        assert caught.value.code == "input.replacement"


def test_a_transfer_without_change_gets_one_from_added_coins(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    payee = wallet.account(Scheme.BIP86, 3).address(0, 1)
    first = build_transfer(
        wallet.network,
        [wallet.coin(account, 300_000)],
        [(payee, Sats(0))],
        change=wallet.change(account),
        fee_rate=FeeRate(2000),
        tip_height=200,
        send_max=True,
    )
    old = signed(wallet, first)
    with pytest.raises(InsufficientFundsError):
        bump(wallet, first, old, 20_000)
    second = bump(wallet, first, old, 20_000, extra_coins=[wallet.coin(account, 200_000, index=5)])
    assert second.change_index is not None
    check_rules(first, old, signed(wallet, second), second, wallet.change(account).script)


@settings(max_examples=30, deadline=None)
@given(
    value=st.integers(310_000, 900_000),
    extra=st.lists(st.integers(5_000, 300_000), max_size=3),
    first_rate=st.integers(1_000, 9_000),
    rate=st.integers(1_000, 200_000),
)
def test_rules_hold_for_every_bump(value: int, extra: list[int], first_rate: int, rate: int, wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    first = original(wallet, [value], 300_000, first_rate)
    old = signed(wallet, first)
    coins = [wallet.coin(account, one, index=20 + place) for place, one in enumerate(extra)]
    try:
        second = bump(wallet, first, old, rate, extra_coins=coins)
    except (InsufficientFundsError, InvalidInputError):
        return
    new = signed(wallet, second)
    check_rules(first, old, new, second, wallet.change(account).script)
    assert second.fee >= FeeRate(rate).fee(new.vsize)


def cancel(wallet: Any, first: BuiltTransfer, tx: Transaction, rate: int, **options: Any) -> BuiltTransfer:
    options = {"change": wallet.change(wallet.account(Scheme.BIP84), 4), "tip_height": 201, **options}
    return build_cancel(tx, first.coins, fee_rate=FeeRate(rate), rng=random.Random(3), **options)


def test_a_cancellation_pays_nobody_but_us(wallet: Any, kernel_verify: Verify) -> None:
    first = original(wallet, [600_000, 500_000], 700_000)
    old = signed(wallet, first)
    change = wallet.change(wallet.account(Scheme.BIP84), 4)
    second = cancel(wallet, first, old, 20_000)
    new = signed(wallet, second)
    kernel_verify(new, [coin.output for coin in second.coins])
    assert [one.script for one in new.outputs] == [change.script]
    assert second.change_index == 0
    assert second.psbt.outputs[0].bip32_derivations
    assert {one.outpoint for one in new.inputs} == {one.outpoint for one in old.inputs}
    assert second.fee >= first.fee + INCREMENTAL_RATE.fee(new.vsize)
    assert second.fee * old.vsize > first.fee * new.vsize
    least = minimum_cancel_rate(old, first.coins, change=change)
    assert cancel(wallet, first, old, least.sat_per_kvb).fee > first.fee
    for rate in (least.sat_per_kvb - 30, 2_000):
        with pytest.raises(InvalidInputError) as caught:
            cancel(wallet, first, old, rate)
        assert caught.value.code == "input.fee-rate.replacement"


def test_a_cancellation_too_dear_for_its_coins_says_so(wallet: Any) -> None:
    first = original(wallet, [302_000], 300_000)
    old = signed(wallet, first)
    with pytest.raises(InsufficientFundsError):
        cancel(wallet, first, old, 3_000_000)
    extra = [wallet.coin(wallet.account(Scheme.BIP84), 900_000, index=5)]
    assert len(cancel(wallet, first, old, 3_000_000, extra_coins=extra).coins) == 2


def test_no_more_than_a_hundred_transactions_are_thrown_out(wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    assert bump(wallet, first, old, 90_000, descendants=99, descendant_fees=Sats(1_000)).fee
    for build in (bump, cancel):
        with pytest.raises(InvalidInputError) as caught:
            build(wallet, first, old, 90_000, descendants=100)
        assert caught.value.code == "input.replacement"
        assert "child" in str(caught.value)


def test_a_payment_to_the_change_script_is_no_second_change(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    place = first.change_index
    assert place is not None
    outputs = [*old.outputs, TxOut(Sats(10_000), wallet.change(account).script)]
    outputs[place] = TxOut(Sats(outputs[place].value - 10_000), outputs[place].script)
    twice = Transaction(2, old.inputs, outputs, old.locktime)
    second = bump(wallet, first, twice, 40_000)
    assert second.psbt.tx.outputs[:place] == tuple(outputs[:place])
    assert second.psbt.tx.outputs[place + 1 :] == tuple(outputs[place + 1 :])


def test_coins_that_hold_too_little_are_refused(wallet: Any) -> None:
    first = original(wallet, [900_000], 300_000)
    old = signed(wallet, first)
    greedy = Transaction(2, old.inputs, [TxOut(Sats(900_001), old.outputs[0].script)], 0)
    with pytest.raises(InvalidInputError, match="1 sat more") as caught:
        bump(wallet, first, greedy, 40_000)
    assert caught.value.code == "input.replacement"


def test_a_replacement_is_not_final_before_its_original(wallet: Any) -> None:
    for locktime in (5_000, 1_900_000_000):
        first = original(wallet, [900_000], 300_000, locktime=locktime)
        assert first.psbt.tx.locktime == locktime
        assert bump(wallet, first, signed(wallet, first), 40_000).psbt.tx.locktime == locktime


def test_unconfirmed_ancestors_are_paid_for(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    coin = wallet.coin(account, 900_000, height=None)
    parent = Unconfirmed.of(coin.previous, Sats(100))
    coin = replace(coin, package=AncestorPackage.of(parent.txid, [parent]))
    payee = wallet.account(Scheme.BIP86, 3).address(0, 1)
    first = build_transfer(
        wallet.network,
        [coin],
        [(payee, Sats(300_000))],
        change=wallet.change(account),
        fee_rate=FeeRate(2000),
        tip_height=200,
    )
    assert first.bump == 2 * parent.vsize - 100
    assert first.fee == FeeRate(2000).fee(first.vsize + parent.vsize) - 100
    second = bump(wallet, first, signed(wallet, first), 30_000)
    assert second.fee == FeeRate(30_000).fee(second.vsize + parent.vsize) - 100
