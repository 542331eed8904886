"""Amounts and fee rates need units and whole satoshi."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.units import MAX_MONEY, FeeRate, Sats
from bursar.errors import InvalidInputError


@pytest.mark.parametrize(
    ("text", "sats"),
    [
        ("0.1btc", 10_000_000),
        ("15000sat", 15_000),
        ("15000 sats", 15_000),
        ("1BTC", 100_000_000),
        ("1.5 mBTC", 150_000),
        ("21000000btc", MAX_MONEY),
        ("0.00000001 btc", 1),
        ("0sat", 0),
    ],
)
def test_amounts_with_units_are_read(text: str, sats: int) -> None:
    assert Sats.from_text(text) == sats


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.1", "input.amount.unit"),
        ("15000", "input.amount.unit"),
        ("5eth", "input.amount.unit"),
        ("0.5sat", "input.amount.precision"),
        ("0.000000001btc", "input.amount.precision"),
        ("21000000.00000001btc", "input.amount.range"),
        ("99999999999999999999btc", "input.amount.range"),
        ("-1sat", "input.amount"),
        ("1e3sat", "input.amount"),
        ("1,5btc", "input.amount"),
        ("1_000sat", "input.amount"),
        ("", "input.amount"),
        (".5btc", "input.amount"),
        ("1.btc", "input.amount"),
        ("nanbtc", "input.amount"),
        ("١btc", "input.amount"),
    ],
)
def test_everything_else_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Sats.from_text(text)
    assert caught.value.code == code


@pytest.mark.parametrize("value", [-1, MAX_MONEY + 1, 1.0, True, "1", None])
def test_sats_take_whole_numbers_in_range_only(value: object) -> None:
    with pytest.raises(InvalidInputError):
        Sats(value)  # type: ignore[arg-type]


@given(st.integers(0, MAX_MONEY))
def test_btc_text_round_trips(value: int) -> None:
    assert Sats.from_text(Sats(value).to_btc_text()) == value


@given(st.text())
def test_any_text_gives_an_amount_or_a_typed_error(text: str) -> None:
    for parse in (Sats.from_text, FeeRate.from_text):
        with suppress(InvalidInputError):
            parse(text)


def test_fee_rates() -> None:
    rate = FeeRate.from_text("12.5sat/vb")
    assert rate == FeeRate(12_500)
    assert str(rate) == "12.5 sat/vB"
    assert str(FeeRate(1)) == "0.001 sat/vB"
    assert str(FeeRate(0)) == "0 sat/vB"
    assert FeeRate.from_text("1500 sat/kvB") == FeeRate(1500)
    assert rate.fee(141) == 1763  # 1762.5 rounded up
    assert FeeRate.of(1763, 141) == FeeRate(12503)
    assert FeeRate(1) < FeeRate(2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("12.5", "input.fee-rate.unit"),
        ("1.2345sat/vb", "input.fee-rate.precision"),
        ("1.5sat/kvb", "input.fee-rate.precision"),
        ("-1sat/vb", "input.fee-rate"),
        ("fast", "input.fee-rate"),
        ("9999999999999sat/vb", "input.fee-rate"),
    ],
)
def test_bad_fee_rates_are_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        FeeRate.from_text(text)
    assert caught.value.code == code


@given(st.integers(0, 10**9))
def test_fee_rate_text_round_trips(rate: int) -> None:
    assert FeeRate.from_text(str(FeeRate(rate))) == FeeRate(rate)


@given(st.integers(0, 10**7), st.integers(1, 10**5))
def test_a_fee_never_pays_less_than_its_rate(rate: int, vsize: int) -> None:
    fee = FeeRate(rate).fee(vsize)
    assert fee * 1000 >= rate * vsize > (fee - 1) * 1000 or fee == 0
