"""From a node's fee advice to a fee, or to a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.network import Network
from bursar.bitcoin.units import FeeRate
from bursar.chain.fees import TARGET_BLOCKS, FeeCaps, bitcoin_fee_rate, ethereum_fees
from bursar.chain.protocols import FeeQuote
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.units import Wei

CAPS = FeeCaps()
GWEI = 10**9


@given(st.none() | st.integers(0, 10**8), st.integers(0, 10**8))
def test_a_rate_is_never_below_the_floor_nor_above_the_cap(estimate: int | None, floor: int) -> None:
    asked = None if estimate is None else FeeRate(estimate)
    if max(estimate or 0, floor) > CAPS.bitcoin.sat_per_kvb:
        with pytest.raises(ChainError) as caught:
            bitcoin_fee_rate(asked, FeeRate(floor), network=Network.REGTEST, caps=CAPS)
        assert caught.value.code == "chain.fee-absurd"
        return
    rate = bitcoin_fee_rate(asked, FeeRate(floor), network=Network.REGTEST, caps=CAPS)
    assert FeeRate(floor) <= rate <= CAPS.bitcoin
    assert rate >= (asked or FeeRate(1000))


def test_no_estimate_is_no_guess_where_money_is_real() -> None:
    for network in (Network.MAIN, Network.SIGNET):
        with pytest.raises(ChainError) as caught:
            bitcoin_fee_rate(None, FeeRate(1000), network=network, caps=CAPS)
        assert caught.value.code == "chain.fee-unknown"


def test_explicit_fees_keep_to_the_caps() -> None:
    assert CAPS.check_bitcoin(FeeRate(1_000_000)) == FeeRate(1_000_000)
    with pytest.raises(InvalidInputError):
        CAPS.check_bitcoin(FeeRate(1_000_001))
    with pytest.raises(InvalidInputError):
        CAPS.check_ethereum(Eip1559Fees(max_fee_per_gas=Wei(2001 * GWEI), max_priority_fee_per_gas=Wei(0)))


@given(st.integers(0, 3000 * GWEI), st.integers(0, 3000 * GWEI), st.sampled_from(["slow", "normal", "fast"]))
def test_ethereum_fees_pay_the_next_block_and_keep_to_the_cap(base: int, tip: int, speed: Any) -> None:
    quote = FeeQuote(Wei(base), Wei(tip // 2), Wei(tip), Wei(tip))
    paid = quote.slow if speed == "slow" else tip
    if base + paid > CAPS.ethereum:
        with pytest.raises(ChainError) as caught:
            ethereum_fees(quote, speed, caps=CAPS)
        assert caught.value.code == "chain.fee-absurd"
        return
    fees = ethereum_fees(quote, speed, caps=CAPS)
    assert base + fees.max_priority_fee_per_gas <= fees.max_fee_per_gas <= CAPS.ethereum


def test_faster_asks_for_fewer_blocks() -> None:
    assert TARGET_BLOCKS["fast"] < TARGET_BLOCKS["normal"] < TARGET_BLOCKS["slow"] <= 1008
