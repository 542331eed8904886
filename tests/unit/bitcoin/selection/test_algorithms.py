"""The algorithms on amounts of Core's own tests (src/wallet/test/coinselector_tests.cpp), and each strategy."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bursar.bitcoin.coins import CHANGE_TARGET
from bursar.bitcoin.selection import (
    BranchAndBound,
    CoinGrinder,
    Consolidation,
    DefaultSelector,
    OldestFirst,
    Privacy,
    branch_and_bound,
    coin_grinder,
    single_random_draw,
)
from bursar.bitcoin.units import FeeRate
from bursar.errors import InsufficientFundsError, InvalidInputError

CENT = 1_000_000
COIN = 100 * CENT


def exact(values: list[int], target: float, window: float) -> list[int] | None:
    ordered = sorted(values, reverse=True)
    found = branch_and_bound(ordered, [0] * len(ordered), int(target), int(window), tries=100_000)
    return None if found is None else sorted(ordered[place] for place in found)


def test_branch_and_bound_as_core() -> None:
    pool = [number * CENT for number in (1, 2, 3, 4)]
    assert exact([], CENT, CENT / 2) is None
    assert exact(pool, 1 * CENT, CENT / 2) == [1 * CENT]
    assert exact(pool, 2 * CENT, CENT / 2) == [2 * CENT]
    assert sum(exact(pool, 5 * CENT, CENT / 2) or []) == 5 * CENT
    assert exact(pool, 11 * CENT, CENT / 2) is None
    assert exact(pool, 0.9 * CENT, CENT / 2) == [1 * CENT]
    assert exact(pool, 0.9 * CENT, 0) is None
    assert sum(exact([*pool, 5 * CENT], 10 * CENT, CENT / 2) or []) == 10 * CENT
    assert exact([*pool, 5 * CENT], 0.25 * CENT, CENT / 2) is None
    assert exact([number * CENT for number in range(5, 21)], CENT, 2 * CENT) is None


def test_branch_and_bound_is_not_held_up_by_equal_coins() -> None:
    pool = [7 * CENT] * 4 + [2 * CENT] + [5 * CENT] * 5_000
    assert exact(pool, 30 * CENT, 5_000) == [2 * CENT, *[7 * CENT] * 4]


def hard_case(size: int) -> tuple[list[int], int]:
    pool: list[int] = []
    target = 0
    for number in range(size):
        target += 1 << (size + number)
        pool += [1 << (size + number), (1 << (size + number)) + (1 << (size - 1 - number))]
    return pool, target


def test_branch_and_bound_solves_hard_cases_up_to_its_tries() -> None:
    pool, target = hard_case(14)
    assert sum(exact(pool, target, 1) or []) in (target, target + 1)
    pool, target = hard_case(40)
    assert branch_and_bound(sorted(pool, reverse=True), [0] * len(pool), target - 1, 0) is None


def lightest(coins: list[tuple[int, int]], target: float, most: int) -> list[int] | None:
    """At Core's 5 sat/vB, change of a cent included; coins are amounts and virtual bytes."""
    ordered = sorted([(value - 5 * size, -4 * size, value) for value, size in coins], reverse=True)
    found = coin_grinder(
        [one[0] for one in ordered], [-one[1] for one in ordered], int(target) + CENT, most, tries=100_000
    )
    return None if found is None else sorted(ordered[place][2] for place in found)


def test_coin_grinder_as_core() -> None:
    both = [(1 * COIN, 68), (2 * COIN, 68)] * 10
    assert lightest(both, 49.5 * COIN, 10_000) is None
    assert lightest(both, 29.5 * COIN, 3_000) is None
    many = [(33 * CENT, 68)] * 60 + [(2 * COIN, 68)] * 10
    found = lightest(many, 25.33 * COIN, 10_000)
    assert found is not None
    assert len(found) == 27
    heavy = [(2 * COIN, 148), (1 * COIN, 68), (1 * COIN, 68)]
    assert lightest(heavy, 1.9 * COIN, 400_000) == [1 * COIN, 1 * COIN]
    mixed = [((base + 3 * step) * COIN, size) for step in range(5) for base, size in ((3, 350), (2, 250), (1, 150))]
    assert lightest(mixed, 30 * COIN, 400_000) == [4 * COIN, 13 * COIN, 14 * COIN]
    clones = [(number * COIN, 100) for number in (4, 3, 2, 1)]
    for value, size in ((8, 1000), (7, 800), (6, 600), (5, 400)):
        clones += [(value * COIN, size)] * 100
    assert lightest(clones, 9.9 * COIN, 400_000) == [number * COIN for number in (1, 2, 3, 4)]
    tiny = [(18 * COIN // 10, 2500), (1 * COIN, 1000), (1 * COIN, 1000)]
    tiny += [(CENT + number, 110) for number in range(100)]
    assert lightest(tiny, 1.9 * COIN, 40_000) == [1 * COIN, 1 * COIN]


def test_a_random_draw_as_core() -> None:
    rng = random.Random(3)
    goal = int(25.33 * COIN) + CHANGE_TARGET
    both = [2 * COIN] * 10 + [1 * COIN] * 10
    assert single_random_draw(both, 50 * COIN, rng=rng, weights=[272] * 20, max_weight=10_000) is None
    assert single_random_draw(both, 50 * COIN, rng=rng, weights=[272] * 20, max_weight=3_000) is None
    many = [2 * COIN] * 10 + [33 * CENT] * 60
    drawn = single_random_draw(many, goal, rng=rng, weights=[272] * 70, max_weight=10_000)
    assert drawn is not None
    assert len(drawn) * 272 <= 10_000
    assert sum(many[place] for place in drawn) >= goal


def test_no_match_is_told_apart_from_no_money(made: Any, wanted: Any) -> None:
    coins = made([1_000_000, 3_000_000])
    with pytest.raises(InvalidInputError) as caught:
        BranchAndBound().select(coins, target=wanted(500_000), fee_rate=FeeRate(2_000))
    assert caught.value.code == "input.selection"
    with pytest.raises(InsufficientFundsError):
        BranchAndBound().select(coins, target=wanted(5_000_000), fee_rate=FeeRate(2_000))


def test_oldest_first(made: Any, wanted: Any, check: Any) -> None:
    coins = made([50_000, 60_000, 70_000, 80_000], heights=[9, None, 3, 5])
    target = wanted(100_000)
    found = OldestFirst().select(coins, target=target, fee_rate=FeeRate(1_000))
    check(found, coins, target, FeeRate(1_000))
    assert [coin.height for coin in found.coins] == [3, 5]


def test_fixed_coins_are_spent_and_suffice(made: Any, wanted: Any, check: Any) -> None:
    coins = made([50_000, 60_000, 70_000, 80_000])
    for strategy in (DefaultSelector(random.Random(1)), CoinGrinder(), OldestFirst(), Privacy()):
        alone = wanted(40_000, fixed=(coins[0],))
        found = strategy.select(coins, target=alone, fee_rate=FeeRate(1_000))
        assert found.coins == (coins[0],)
        more = wanted(100_000, fixed=(coins[0],))
        found = strategy.select(coins, target=more, fee_rate=FeeRate(1_000))
        check(found, coins, more, FeeRate(1_000))


def test_privacy_joins_no_more_scripts_than_it_must(made: Any, wanted: Any, check: Any) -> None:
    coins = made([30_000, 30_000, 30_000, 100_000, 500_000, 40_000], scripts=[1, 1, 1, 2, 3, 4])
    rate = FeeRate(1_000)
    one = Privacy().select(coins, target=wanted(80_000), fee_rate=rate)
    check(one, coins, wanted(80_000), rate)
    assert len({coin.output.script for coin in one.coins}) == 1
    together = Privacy().select(coins, target=wanted(89_300), fee_rate=rate)
    assert [coin.output.value for coin in together.coins] == [30_000] * 3  # one script, no change worth making
    assert together.change == 0
    two = Privacy().select(coins, target=wanted(560_000), fee_rate=rate)
    assert len({coin.output.script for coin in two.coins}) == 2
    fixed = Privacy().select(coins, target=wanted(10_000, fixed=(coins[0],)), fee_rate=rate)
    assert {coin.output.value for coin in fixed.coins} == {30_000}
    assert len(fixed.coins) == 3


def test_privacy_makes_change_as_large_as_the_payment_where_it_can(made: Any, wanted: Any) -> None:
    coins = made([1_000_000, 3_050_000, 2_020_000, 9_000_000])
    found = Privacy().select(coins, target=wanted(1_000_000), fee_rate=FeeRate(5_000))
    assert [coin.output.value for coin in found.coins] == [2_020_000]
    assert 0.9 < found.change / 1_000_000 < 1.1


def test_privacy_spends_a_crowded_script_in_parts(made: Any, wanted: Any) -> None:
    coins = made([10_000] * 25, scripts=[1] * 25, heights=list(range(25, 0, -1)))
    found = Privacy(most=10).select(coins, target=wanted(60_000), fee_rate=FeeRate(1_000))
    assert len(found.coins) == 10


def test_consolidation_takes_small_coins_along_while_fees_are_low(made: Any, wanted: Any, check: Any) -> None:
    coins = made([1_000_000, *range(20_000, 60_000, 500)])
    target = wanted(200_000)
    found = Consolidation(random.Random(1), most=40).select(coins, target=target, fee_rate=FeeRate(2_000))
    check(found, coins, target, FeeRate(2_000))
    assert len(found.coins) == 40
    assert max(sorted(coin.output.value for coin in found.coins)[:39]) < 40_000
    dear = Consolidation(random.Random(1)).select(coins, target=target, fee_rate=FeeRate(30_000))
    assert len(dear.coins) < 10
    fixed = wanted(200_000, fixed=(coins[0],))
    assert len(Consolidation(most=40).select(coins, target=fixed, fee_rate=FeeRate(2_000)).coins) == 40


def test_the_lightest_coins_win_at_high_fees_over_a_draw(made: Any, wanted: Any) -> None:
    coins = made([random.Random(2).randrange(20_000, 400_000) for _ in range(1)] * 50 + [5_000_000])
    found = DefaultSelector(random.Random(1)).select(coins, target=wanted(2_000_000), fee_rate=FeeRate(90_000))
    assert len(found.coins) == 1
    assert found.algorithm == "coin-grinder"


def test_the_fee_may_come_out_of_what_is_paid(made: Any, wanted: Any, check: Any) -> None:
    coins = made([100_000, 50_000, 30_000])
    rate = FeeRate(5_000)
    everything = wanted(180_000, fee_included=True)
    found = DefaultSelector(random.Random(1)).select(coins, target=everything, fee_rate=rate)
    check(found, coins, everything, rate)
    assert (len(found.coins), found.change) == (3, 0)
    with pytest.raises(InsufficientFundsError) as caught:
        DefaultSelector().select(coins, target=wanted(180_001, fee_included=True), fee_rate=rate)
    assert (caught.value.needed, caught.value.available) == (180_001, 180_000)
