"""Wei and token amounts: text with units, exact, nothing guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.units import MAX_UINT256, Wei, format_units, parse_units


@pytest.mark.parametrize(
    ("text", "wei"),
    [
        ("0.5eth", 5 * 10**17),
        ("2gwei", 2 * 10**9),
        ("10wei", 10),
        ("1 ETH", 10**18),
        ("1.000000000000000001 eth", 10**18 + 1),
        ("0eth", 0),
        ("0.000000001 gwei", 1),
        ("3 kwei", 3000),
        ("1ether", 10**18),
        (f"{MAX_UINT256} wei", MAX_UINT256),
    ],
)
def test_amounts_with_units_are_read_exactly(text: str, wei: int) -> None:
    assert Wei.from_text(text) == wei


@pytest.mark.parametrize("text", ["1", "0.5", "15000", "0"])
def test_a_bare_number_is_refused_and_told_to_take_a_unit(text: str) -> None:
    with pytest.raises(InvalidInputError, match="has no unit") as caught:
        Wei.from_text(text)
    assert caught.value.code == "input.amount"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "eth", "-1eth", "+1eth", "1,5eth", "1e3eth", "0x10wei", ".5eth", "5.eth", "00.5eth", "01eth", "1  eth",
        " 1eth", "1eth ", "1 eth\n", "1.5wei", "1.0000000000000000001eth", "1.2345678901gwei", "nan eth", "inf eth",
        "1btc", "1sat", "１eth", "1\u00a0eth", "1_000wei", f"{MAX_UINT256 + 1}wei", "9" * 100 + "eth", "1.5.2eth",
        "1eth" + "h" * 100,
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Wei.from_text(text)
    assert caught.value.code == "input.amount"
    assert len(caught.value.message) < 300


@given(st.integers(0, MAX_UINT256))
def test_text_is_read_back(amount: int) -> None:
    wei = Wei(amount)
    assert Wei.from_text(wei.to_eth_text()) == wei
    assert Wei.from_text(wei.to_gwei_text()) == wei
    assert int(str(wei)) == amount
    assert f"{wei}" == str(amount)


@given(st.text())
def test_any_text_is_an_amount_or_a_typed_error(text: str) -> None:
    try:
        amount = Wei.from_text(text)
    except InvalidInputError:
        return
    assert 0 <= amount <= MAX_UINT256


@pytest.mark.parametrize("amount", [-1, MAX_UINT256 + 1, 1.0, "1", True, None])
def test_wei_are_whole_and_in_range(amount: object) -> None:
    with pytest.raises(InvalidInputError):
        Wei(amount)  # type: ignore[arg-type]


def test_arithmetic_gives_plain_integers_and_repr_shows_the_type() -> None:
    assert type(Wei(1) + Wei(2)) is int
    assert repr(Wei(7)) == "Wei(7)"


def test_token_amounts_need_their_own_symbol() -> None:
    assert parse_units("12.5usdc", decimals=6, symbol="USDC") == 12_500_000
    assert parse_units("12.5 USDC", decimals=6, symbol="USDC") == 12_500_000
    assert parse_units("3 1INCH", decimals=18, symbol="1INCH") == 3 * 10**18
    for text in ("12.5", "12.5eth", "12.5usdt", "0.0000001usdc"):
        with pytest.raises(InvalidInputError):
            parse_units(text, decimals=6, symbol="USDC")
    with pytest.raises(InvalidInputError, match="no decimal places"):
        parse_units("1.5 NFT", decimals=0, symbol="NFT")


@given(st.integers(0, MAX_UINT256), st.integers(0, 77))
def test_token_text_is_read_back(amount: int, decimals: int) -> None:
    text = format_units(amount, decimals=decimals, symbol="TKN")
    assert parse_units(text, decimals=decimals, symbol="TKN") == amount


@pytest.mark.parametrize("decimals", [-1, 78, True, 6.0, "6"])
def test_absurd_decimals_are_refused(decimals: object) -> None:
    with pytest.raises(InvalidInputError):
        parse_units("1 T", decimals=decimals, symbol="T")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        format_units(1, decimals=decimals, symbol="T")  # type: ignore[arg-type]


def test_token_amounts_out_of_range_are_not_formatted() -> None:
    with pytest.raises(InvalidInputError):
        format_units(-1, decimals=6, symbol="T")
