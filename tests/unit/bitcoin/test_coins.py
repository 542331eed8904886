"""Coin selection: invariants for any coins, exact matches found, randomness injected, speed at ten thousand coins."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin import script as s
from bursar.bitcoin.coins import (
    LONG_TERM_RATE,
    MAX_STANDARD_WEIGHT,
    Coin,
    CoinKey,
    Selection,
    Target,
)
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.selection import branch_and_bound, select, single_random_draw
from bursar.bitcoin.transaction import OutPoint, Txid, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import input_weight, transaction_weight
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath

ORIGIN = KeyOrigin(Fingerprint(bytes(4)), DerivationPath())
KEYS = {
    kind: CoinKey(b"\x02" * 33, ORIGIN, kind)
    for kind in (ScriptType.P2PKH, ScriptType.P2SH_P2WPKH, ScriptType.P2WPKH, ScriptType.P2TR)
}
SCRIPTS = {
    ScriptType.P2PKH: s.p2pkh(bytes(20)),
    ScriptType.P2SH_P2WPKH: s.p2sh(bytes(20)),
    ScriptType.P2WPKH: s.p2wpkh(bytes(20)),
    ScriptType.P2TR: s.p2tr(bytes(32)),
}


def made(values: list[int], kinds: list[ScriptType] | None = None) -> list[Coin]:
    kinds = kinds or [ScriptType.P2WPKH] * len(values)
    return [
        Coin(OutPoint(Txid(number.to_bytes(32, "big")), 0), TxOut(Sats(value), SCRIPTS[kind]), KEYS[kind], 1)
        for number, (value, kind) in enumerate(zip(values, kinds, strict=True))
    ]


def target(amount: int, *, change: ScriptType = ScriptType.P2WPKH, outputs: int = 1) -> Target:
    return Target(Sats(amount), (s.p2tr(bytes(32)),) * outputs, SCRIPTS[change])


def check(selection: Selection, coins: list[Coin], wanted: Target, rate: FeeRate) -> None:
    """What must hold for every selection, whatever made it."""
    outpoints = [coin.outpoint for coin in selection.coins]
    assert len(set(outpoints)) == len(outpoints)
    assert set(outpoints) <= {coin.outpoint for coin in coins}
    total = sum(coin.output.value for coin in selection.coins)
    assert total == wanted.amount + selection.fee + selection.change
    outputs = [*wanted.outputs, *([wanted.change_script] if selection.change else [])]
    assert selection.weight == transaction_weight([coin.key.script_type for coin in selection.coins], outputs)
    assert selection.fee >= rate.fee(-(-selection.weight // 4))
    if selection.change:
        assert selection.change >= max(s.dust_threshold(wanted.change_script), wanted.min_change)
        assert selection.fee == rate.fee(-(-selection.weight // 4))
    else:  # what is given away is less than change would have cost and been worth, and the slack of BnB's bounds
        change_weight = transaction_weight([], [*outputs, wanted.change_script]) - transaction_weight([], outputs)
        most = rate.fee(-(-change_weight // 4) + 4) + LONG_TERM_RATE.fee(-(-wanted.change_spend_weight // 4))
        assert selection.fee - rate.fee(-(-selection.weight // 4)) <= most + wanted.min_change


@given(
    values=st.lists(st.integers(200, 10**9) | st.sampled_from([5_000, 50_000, 100_000]), min_size=1, max_size=60),
    share=st.floats(0.0001, 1.1),
    rate=st.sampled_from([0, 1, 999, 1000, 1500, 10_000, 12_345, 80_000, 500_000]),
    change=st.sampled_from(list(SCRIPTS)),
    outputs=st.integers(1, 3),
    seed=st.integers(0, 10),
    data=st.data(),
)
def test_invariants_of_every_selection(
    values: list[int], share: float, rate: int, change: ScriptType, outputs: int, seed: int, data: st.DataObject
) -> None:
    kinds = data.draw(
        st.lists(st.sampled_from(list(SCRIPTS)), min_size=len(values), max_size=len(values))
        | st.sampled_from(list(SCRIPTS)).map(lambda kind: [kind] * len(values))
    )
    coins = made(values, kinds)
    wanted = target(int(sum(values) * share) + 330, change=change, outputs=outputs)
    asked = FeeRate(rate)
    useful = [coin for coin in coins if 4000 * coin.output.value > (coin.input_weight + 1) * rate]
    most = transaction_weight([coin.key.script_type for coin in useful], wanted.outputs)
    payable = sum(coin.output.value for coin in useful) - asked.fee(-(-most // 4)) >= wanted.amount
    try:
        selection = select(coins, target=wanted, fee_rate=asked, rng=random.Random(seed))
    except InsufficientFundsError as error:
        assert not payable, "every useful coin together would have paid it"
        assert error.needed > error.available or error.available == sum(values)  # noqa: PT017
        return
    check(selection, coins, wanted, asked)


def test_an_exact_match_makes_no_change() -> None:
    rate = FeeRate(20_000)
    coins = made([40_000, 70_000, 110_000, 500_000, 123_456, 77_777])
    weight = transaction_weight([ScriptType.P2WPKH] * 2, [s.p2tr(bytes(32))])
    wanted = target(40_000 + 110_000 - rate.fee(-(-weight // 4)) - 20)
    selection = select(coins, target=wanted, fee_rate=rate, rng=random.Random(1))
    assert selection.algorithm == "branch-and-bound"
    assert {coin.output.value for coin in selection.coins} == {40_000, 110_000}
    assert selection.change == 0


def test_the_last_satoshi_can_be_spent() -> None:
    rate = FeeRate(1000)
    coins = made([10_000, 20_000, 30_000])
    weight = transaction_weight([ScriptType.P2WPKH] * 3, [s.p2tr(bytes(32))])
    exact = 60_000 - rate.fee(-(-weight // 4))
    selection = select(coins, target=target(exact), fee_rate=rate, rng=random.Random(1))
    assert (selection.change, selection.fee) == (0, rate.fee(-(-weight // 4)))
    with pytest.raises(InsufficientFundsError) as caught:
        select(coins, target=target(exact + 1), fee_rate=rate, rng=random.Random(1))
    assert (caught.value.needed, caught.value.available) == (60_001, 60_000)


def test_coins_not_worth_their_fee_are_left_alone() -> None:
    coins = made([500, 600, 10_000_000])
    selection = select(coins, target=target(100_000), fee_rate=FeeRate(50_000), rng=random.Random(1))
    assert [coin.output.value for coin in selection.coins] == [10_000_000]
    with pytest.raises(InsufficientFundsError) as caught:
        select(made([500, 600]), target=target(400), fee_rate=FeeRate(50_000))
    assert caught.value.available == 1100
    with pytest.raises(InsufficientFundsError):
        select([], target=target(400), fee_rate=FeeRate(1000))


def test_the_same_seed_draws_the_same_coins() -> None:
    coins = made([random.Random(5).randrange(10_000, 10**6) for _ in range(1)] * 3 + list(range(10_000, 90_000, 1000)))
    wanted = target(777_777)
    draws = {
        tuple(select(coins, target=wanted, fee_rate=FeeRate(2000), rng=random.Random(seed)).coins)
        for seed in (1, 1, 2, 3)
    }
    assert len(draws) == 3


def test_branch_and_bound_finds_what_exhaustive_search_finds() -> None:
    rng = random.Random(8)
    for _ in range(150):
        values = sorted([rng.randrange(1, 60) for _ in range(rng.randrange(1, 11))], reverse=True)
        waste = [rng.randrange(-3, 8) for _ in values] if rng.random() < 0.5 else [1] * len(values)
        wanted, window = rng.randrange(1, 200), rng.randrange(6)
        subsets = [[place for place in range(len(values)) if mask >> place & 1] for mask in range(1 << len(values))]
        fitting = [chosen for chosen in subsets if wanted <= sum(values[place] for place in chosen) <= wanted + window]
        found = branch_and_bound(values, waste, wanted, window)
        assert (found is not None) == bool(fitting)
        if found is not None:
            assert wanted <= sum(values[place] for place in found) <= wanted + window
            assert sorted(set(found)) == sorted(found)
            if len(set(zip(values, waste, strict=True))) == len(set(values)):  # equal values are tried once

                def cost(chosen: list[int], values: list[int] = values, waste: list[int] = waste) -> int:
                    return sum(waste[place] + values[place] for place in chosen)

                assert cost(found) == min(cost(chosen) for chosen in fitting)


def test_branch_and_bound_gives_up_after_its_tries() -> None:
    values = [2 * value for value in range(400, 200, -1)]
    assert branch_and_bound(values, [0] * len(values), 10_001, 0, tries=5000) is None


def test_single_random_draw() -> None:
    assert single_random_draw([5, 5, 5], 16, rng=random.Random(1)) is None
    assert sorted(single_random_draw([5, 5, 5], 15, rng=random.Random(1)) or []) == [0, 1, 2]
    assert single_random_draw([5], 0, rng=random.Random(1)) == []


def test_a_selection_heavier_than_nodes_relay_is_refused_or_avoided() -> None:
    small = made([2_000] * 3000)
    with pytest.raises(InvalidInputError) as caught:
        select(small, target=target(4_000_000), fee_rate=FeeRate(1000), rng=random.Random(1))
    assert caught.value.code == "input.transaction.weight"
    mixed = made([2_000] * 3000 + [10_000_000])
    selection = select(mixed, target=target(4_000_000), fee_rate=FeeRate(1000), rng=random.Random(4))
    assert selection.weight <= MAX_STANDARD_WEIGHT


def test_high_fees_spend_fewer_inputs_than_low_fees() -> None:
    rng = random.Random(3)
    coins = made([rng.randrange(20_000, 400_000) for _ in range(200)])
    wanted = target(3_000_001)
    cheap = select(coins, target=wanted, fee_rate=FeeRate(1000), rng=random.Random(1))
    dear = select(coins, target=wanted, fee_rate=FeeRate(100_000), rng=random.Random(1))
    assert len(dear.coins) <= len(cheap.coins)
    assert cheap.waste < 0 < dear.waste


def test_ten_thousand_coins_take_milliseconds() -> None:
    rng = random.Random(7)
    coins = made([rng.randrange(1_000, 10**7) for _ in range(10_000)])
    wanted = target(sum(coin.output.value for coin in coins) // 100)
    best = 1.0
    for _ in range(3):
        start = time.perf_counter()
        selection = select(coins, target=wanted, fee_rate=FeeRate(12_500), rng=rng)
        best = min(best, time.perf_counter() - start)
    check(selection, coins, wanted, FeeRate(12_500))
    assert best < 0.25  # a few milliseconds on a quiet machine; quadratic code would take seconds


def test_coins_know_their_weight() -> None:
    assert [input_weight(kind) for kind in SCRIPTS] == [592, 364, 272, 230]
    assert made([5])[0].input_weight == 272
    key = CoinKey(b"\x02" * 33, ORIGIN, ScriptType.P2WSH)
    with pytest.raises(InvalidInputError):
        Coin(OutPoint(Txid(bytes(32)), 0), TxOut(Sats(1), b""), key)
