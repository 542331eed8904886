"""What holds for every way to choose coins, whatever the coins, their ancestors, the fixed ones and the rate."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.package import AncestorPackage, Unconfirmed, lack_of
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.selection import (
    BranchAndBound,
    CoinGrinder,
    Consolidation,
    DefaultSelector,
    OldestFirst,
    Privacy,
    SingleRandomDraw,
)
from bursar.bitcoin.transaction import Txid
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.coins import Coin, CoinSelector, Selection, Target

KINDS = (ScriptType.P2WPKH, ScriptType.P2PKH, ScriptType.P2SH_P2WPKH, ScriptType.P2TR)
RATES = st.sampled_from([0, 1, 999, 1000, 9_999, 10_000, 12_345, 80_000, 500_000])
VALUES = st.integers(200, 10**8) | st.sampled_from([5_000, 50_000, 100_000])
SELECTORS: dict[str, Callable[[random.Random], CoinSelector]] = {
    "default": DefaultSelector,
    "exact": lambda rng: BranchAndBound(),
    "lightest": lambda rng: CoinGrinder(tries=1000),
    "random": SingleRandomDraw,
    "oldest": lambda rng: OldestFirst(),
    "privacy": lambda rng: Privacy(),
    "consolidation": Consolidation,
}


@st.composite
def mempools(draw: Any) -> list[Unconfirmed]:
    """A few unconfirmed transactions, each spending some of those before it."""
    made: list[Unconfirmed] = []
    for number in range(draw(st.integers(1, 6))):
        parents = [one.txid for one in made if draw(st.booleans())]
        made.append(
            Unconfirmed(
                Txid(bytes([200 + number]) * 32),
                Sats(draw(st.integers(0, 40_000))),
                draw(st.integers(100, 900)),
                frozenset(parents),
            )
        )
    return made


@st.composite
def problems(draw: Any, made: Any, wanted: Any) -> tuple[list[Coin], Target, FeeRate]:
    values = draw(st.lists(VALUES, min_size=1, max_size=25))
    count = len(values)
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=count, max_size=count) | st.just([KINDS[0]] * count))
    txids = [Txid(number.to_bytes(32, "big")) for number in range(count)]
    packages: list[AncestorPackage | None] = [None] * count
    if draw(st.booleans()):
        pool = draw(mempools())
        for number in range(0, count, 2):
            one = draw(st.sampled_from(pool))
            txids[number] = one.txid
            packages[number] = AncestorPackage.of(one.txid, pool)
    coins = made(
        values,
        kinds,
        scripts=draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)),
        heights=[None if package else draw(st.integers(1, 9)) for package in packages],
        txids=txids,
        packages=packages,
    )
    fixed = tuple(coin for coin in coins if draw(st.integers(0, 9)) == 0)
    target = wanted(
        int(sum(values) * draw(st.floats(0.001, 1.1))) + 330,
        change=draw(st.sampled_from(KINDS)),
        outputs=draw(st.integers(1, 3)),
        fixed=fixed,
        fee_included=draw(st.integers(0, 4)) == 0,
        max_weight=draw(st.sampled_from([400_000, 400_000, 4_000])),
    )
    return coins, target, FeeRate(draw(RATES))


def payable(coins: list[Coin], target: Target, rate: FeeRate) -> bool:
    """Whether every coin worth its fee, spent together with the fixed ones, would pay."""
    fixed = set(target.fixed)
    worth = [
        coin
        for coin in coins
        if coin not in fixed and 4000 * coin.output.value > (coin.input_weight + 1) * rate.sat_per_kvb
    ]
    worth = [coin for coin in worth if not lack_of([coin], rate)]
    everyone = [*worth, *target.fixed]
    weight = spending_weight(everyone, target.outputs)
    fee = 0 if target.fee_included else -(-(-(-weight // 4) * rate.sat_per_kvb + lack_of(everyone, rate)) // 1000)
    heaviest = max(weight, spending_weight(everyone, [*target.outputs, target.change_script]))
    return (
        bool(everyone)
        and sum(coin.output.value for coin in everyone) - fee >= target.amount
        and heaviest <= target.max_weight
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9))
@pytest.mark.parametrize("name", SELECTORS)
def test_invariants_of_every_selector(
    name: str, data: st.DataObject, seed: int, made: Any, wanted: Any, check: Any
) -> None:
    coins, target, rate = data.draw(problems(made, wanted))
    try:
        found = SELECTORS[name](random.Random(seed)).select(coins, target=target, fee_rate=rate)
    except InsufficientFundsError as error:
        assert not payable(coins, target, rate)
        assert error.needed > 0  # noqa: PT017
        return
    except InvalidInputError as error:
        if error.code == "input.selection":
            assert name == "exact"
        else:
            assert error.code == "input.transaction.weight"  # noqa: PT017
            assert not payable(coins, target, rate)
        return
    check(found, coins, target, rate)
    if name == "exact" and found.algorithm == "branch-and-bound":
        assert found.change == 0 or found.bump
    if name == "privacy" and found.algorithm != "all-coins":
        scripts = {coin.output.script for coin in found.coins}
        behind = [coin for coin in coins if coin.output.script in scripts and coin not in found.coins]
        cost = [(coin.input_weight + 1) * rate.sat_per_kvb + 4 * lack_of([coin], rate) for coin in behind]
        assert all(4000 * coin.output.value <= one for coin, one in zip(behind, cost, strict=True))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 9))
def test_the_default_wastes_no_more_than_any_of_its_three(
    data: st.DataObject, seed: int, made: Any, wanted: Any
) -> None:
    coins, target, rate = data.draw(problems(made, wanted))
    found: dict[str, Selection] = {}
    for name in ("default", "exact", "lightest", "random"):
        try:
            found[name] = SELECTORS[name](random.Random(seed)).select(coins, target=target, fee_rate=rate)
        except (InsufficientFundsError, InvalidInputError):
            continue
    own = [found[name] for name in ("exact", "lightest", "random") if name in found]
    own = [one for one in own if one.algorithm not in ("largest-first", "all-coins")]
    if own:
        assert found["default"].waste <= min(one.waste for one in own)


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.integers(1_000, 90_000), min_size=1, max_size=9),
    share=st.floats(0.05, 1.0),
    rate=st.sampled_from([1_000, 10_000, 25_000]),
    data=st.data(),
)
def test_the_lightest_choice_is_the_lightest_there_is(
    values: list[int], share: float, rate: int, data: st.DataObject, made: Any, wanted: Any
) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS[::3]), min_size=len(values), max_size=len(values)))
    coins = made(values, kinds)
    target = wanted(int(sum(values) * share) + 330)
    try:
        found = CoinGrinder().select(coins, target=target, fee_rate=FeeRate(rate))
    except InsufficientFundsError:
        return
    if found.algorithm != "coin-grinder":
        return
    for mask in range(1, 1 << len(coins)):
        some = [coin for place, coin in enumerate(coins) if mask >> place & 1]
        weight = spending_weight(some, [*target.outputs, target.change_script])
        left = sum(coin.output.value for coin in some) - target.amount - FeeRate(rate).fee(-(-weight // 4))
        if left >= 50_000 + 10 * rate // 1000:
            assert found.weight <= weight


def test_ancestors_that_two_coins_share_are_paid_for_once(made: Any, wanted: Any, check: Any) -> None:
    parent = Unconfirmed(Txid(b"\1" * 32), Sats(100), 1_000)
    children = [Unconfirmed(Txid(bytes([two]) * 32), Sats(0), 200, frozenset([parent.txid])) for two in (2, 3)]
    pool = [parent, *children]
    coins = made(
        [60_000, 60_000],
        heights=[None, None],
        txids=[one.txid for one in children],
        packages=[AncestorPackage.of(one.txid, pool) for one in children],
    )
    rate = FeeRate(20_000)
    found = DefaultSelector(random.Random(1)).select(coins, target=wanted(85_000), fee_rate=rate)
    check(found, coins, wanted(85_000), rate)
    assert len(found.coins) == 2
    assert found.bump == (1_000 + 200 + 200) * 20 - 100
    assert AncestorPackage.of(children[0].txid, pool) == coins[0].package
    assert (coins[0].package.fee, coins[0].package.vsize) == (100, 1_200)


def test_a_chain_too_long_to_relay_is_not_spent(made: Any, wanted: Any) -> None:
    chain: list[Unconfirmed] = []
    for number in range(26):
        parents = frozenset([chain[-1].txid]) if chain else frozenset()
        chain.append(Unconfirmed(Txid(bytes([number]) * 32), Sats(10_000), 150, parents))
    for length, fits in ((24, True), (25, False)):
        tip = chain[length - 1]
        coins = made([500_000], heights=[None], txids=[tip.txid], packages=[AncestorPackage.of(tip.txid, chain[:25])])
        if fits:
            assert DefaultSelector().select(coins, target=wanted(9_000), fee_rate=FeeRate(1000)).coins
        else:
            with pytest.raises(InvalidInputError) as caught:
                DefaultSelector().select(coins, target=wanted(9_000), fee_rate=FeeRate(1000))
            assert caught.value.code == "input.coin.package"
