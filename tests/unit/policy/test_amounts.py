"""Amounts, rates, percentages and windows of a policy text."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.policy.amounts import (
    Percentage,
    Token,
    format_units,
    parse_amount,
    parse_percentage,
    parse_rate,
    parse_window,
    reviewed_rate,
)

TOKENS = {"TUSD": Token("TUSD", "eip155:1", "0x" + "ab" * 20, 6)}


@pytest.mark.parametrize(
    ("text", "symbol", "value"),
    [
        ("0.5btc", "BTC", 50_000_000),
        ("0.5 BTC", "BTC", 50_000_000),
        ("15000sat", "BTC", 15_000),
        ("2eth", "ETH", 2 * 10**18),
        ("2 gwei", "ETH", 2 * 10**9),
        ("1000 TUSD", "TUSD", 10**9),
        ("0.000001TUSD", "TUSD", 1),
    ],
)
def test_amounts(text: str, symbol: str, value: int) -> None:
    amount = parse_amount(text, TOKENS)
    assert (amount.asset.symbol, amount.value) == (symbol, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.5",
        "-1btc",
        "+1btc",
        "1 tusd",
        "1 USDC",
        "0.0000001TUSD",
        "0.000000001btc",
        "22000000btc",
        "1e3btc",
        "１btc",
        "1btc ",
        "btc",
        "nanbtc",
        "1  btc",
    ],
)
def test_amounts_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_amount(text, TOKENS)


@pytest.mark.parametrize(("text", "parts"), [("5%", 50_000), ("0.0001%", 1), ("100%", 1_000_000), ("2.50%", 25_000)])
def test_percentages(text: str, parts: int) -> None:
    assert parse_percentage(text).parts == parts


@pytest.mark.parametrize("text", ["5", "5 %", "101%", "-1%", "0.00001%", ".5%", "%"])
def test_percentages_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_percentage(text)


@given(st.integers(0, 1_000_000))
def test_percentages_round_trip(parts: int) -> None:
    assert parse_percentage(str(Percentage(parts))).parts == parts


@pytest.mark.parametrize(
    ("text", "window"),
    [("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)), ("7d", timedelta(7)), ("2w", timedelta(14))],
)
def test_windows(text: str, window: timedelta) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize("text", ["24", "0h", "24 h", "24H", "-1d", "1y", "400d", "999999w", "1.5h", ""])
def test_windows_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_window(text)


def test_rates() -> None:
    assert (parse_rate("200sat/vb").chain, parse_rate("200sat/vb").value) == ("bitcoin", 200_000)
    assert (parse_rate("100gwei").chain, parse_rate("100gwei").value) == ("ethereum", 100 * 10**9)
    for text in ("200", "200sat", "5%", "1btc/vb", "1 00sat/vb", "1 0 gwei", "5 sat / vb"):
        with pytest.raises(InvalidInputError):
            parse_rate(text)


@pytest.mark.parametrize(
    ("chain", "text", "rate"),
    [
        ("bitcoin", "12.5 sat/vB", 12_500),
        ("ethereum", "2 gwei", 2 * 10**9),
        ("ethereum", "2 gwei + 1 gwei tip", 3 * 10**9),
        ("bitcoin", "2 gwei", None),
        ("bitcoin", "1 sat/vB + 1 sat/vB", None),
        ("ethereum", "cheap", None),
        ("ethereum", "", None),
    ],
)
def test_the_rate_a_review_states(chain: str, text: str, rate: int | None) -> None:
    assert reviewed_rate(chain, text) == rate


@given(st.integers(0, 2**256), st.integers(0, 77))
def test_printed_amounts_are_exact(value: int, decimals: int) -> None:
    whole, _, fraction = format_units(value, decimals).partition(".")
    assert int(whole + fraction.ljust(decimals, "0")) == value
    assert not fraction.endswith("0")


@given(st.text(max_size=40))
def test_garbage_raises_nothing_foreign(text: str) -> None:
    for read in (parse_percentage, parse_window, parse_rate, lambda words: parse_amount(words, TOKENS)):
        try:
            read(text)
        except InvalidInputError:
            continue
