"""Fee rates from several sources: liars are outvoted, and where nobody can tell who lies nothing is believed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.units import FeeRate
from bursar.chain.estimates import CrossChecked, FixedRate, FixedRates, cross_checked
from bursar.chain.fees import FeeCaps
from bursar.chain.protocols import FeeEstimator
from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError


class Silent:
    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        return None


class Down:
    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        raise ChainUnavailableError("node is away")


def fixed(*rates: int) -> dict[str, FeeEstimator]:
    return {f"source {at}": FixedRate(FeeRate(rate)) for at, rate in enumerate(rates)}


def test_fixed() -> None:
    assert isinstance(FixedRate(FeeRate(5)), FeeEstimator)
    table = FixedRates({2: FeeRate(9000), 6: FeeRate(4000), 144: FeeRate(1000)})
    asked = {1: 9000, 2: 9000, 5: 9000, 6: 4000, 143: 4000, 144: 1000, 1008: 1000}
    assert {target: table.fee_rate(target_blocks=target) for target in asked} == {
        target: FeeRate(rate) for target, rate in asked.items()
    }
    assert FixedRates({}).fee_rate(target_blocks=2) is None


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ((5000,), 5000),
        ((5000, 6001), 5501),
        ((5000, 6000, 9000), 6000),
        ((5000, 6000, 900_000), 5500),  # one far above
        ((5000, 6000, 1), 5500),  # one far below
        ((5000, 6000, 7000, 40_000, 1), 6000),
        ((5000, 6000, 2_000_000), 5500),  # above the cap
    ],
)
def test_median_of_those_who_agree(rates: tuple[int, ...], expected: int) -> None:
    found = cross_checked(fixed(*rates), target_blocks=2)
    assert found.rate == FeeRate(expected)
    assert len(found.agreed) + len(found.refused) == len(rates)


def test_who_was_left_out_and_why() -> None:
    sources = {"node": FixedRate(FeeRate(5000)), "away": Down(), "mute": Silent(), **fixed(6000, 900_000, 1_000_001)}
    found = cross_checked(sources, target_blocks=6)
    assert found.rate == FeeRate(5500)
    assert found.refused == {
        "away": "node is away",
        "mute": "has no estimate",
        "source 1": "says 900 sat/vB, far off the others",
        "source 2": "says 1000.001 sat/vB, above the cap of 1000 sat/vB",
    }


@pytest.mark.parametrize("rates", [(1000, 50_000), (1000, 1000, 90_000, 90_000), (1000, 10_000, 100_000, 900_000)])
def test_nobody_can_tell(rates: tuple[int, ...]) -> None:
    with pytest.raises(ChainError, match=r"disagree .*give the rate yourself") as caught:
        cross_checked(fixed(*rates), target_blocks=2)
    assert caught.value.code == "chain.fee-disagreement"


def test_too_few() -> None:
    with pytest.raises(ChainError, match=r"1 of 2 sources .* 2 are needed") as caught:
        cross_checked({"mute": Silent(), **fixed(5000)}, target_blocks=2, needed=2)
    assert caught.value.code == "chain.fee-unknown"
    with pytest.raises(ChainError, match="0 of 1"):
        cross_checked({"away": Down()}, target_blocks=2)


@pytest.mark.parametrize(("sources", "spread", "needed"), [({}, 3, 1), (fixed(1), 0, 1), (fixed(1), 3, 0)])
def test_senseless_questions(sources: dict[str, FeeEstimator], spread: int, needed: int) -> None:
    with pytest.raises(InvalidInputError):
        cross_checked(sources, target_blocks=2, spread=spread, needed=needed)


def test_as_one_estimator() -> None:
    one = CrossChecked(fixed(5000, 6000), FeeCaps(bitcoin=FeeRate(5500)))
    assert isinstance(one, FeeEstimator)
    assert one.fee_rate(target_blocks=2) == FeeRate(5000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1_000_000), min_size=1, max_size=7), st.integers(1, 1_000_000))
def test_one_liar_among_three_moves_little(honest: list[int], lie: int) -> None:
    """With a majority of honest answers within the spread, the result stays among them."""
    near = [5000 + rate % 5000 for rate in honest]
    liars = [lie] * ((len(near) - 1) // 2)
    try:
        found = cross_checked(fixed(*near, *liars), target_blocks=2)
    except ChainError:
        return
    assert min(near) <= found.rate.sat_per_kvb <= max(near) or not liars or min(near) <= lie <= max(near) * 3
    assert found.rate.sat_per_kvb <= 3 * max(near)
