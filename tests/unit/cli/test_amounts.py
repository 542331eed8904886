"""Amounts and fees as typed: the unit is never guessed."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.units import FeeRate
from bursar.cli.amounts import coin_amount, fee_choice, payment_orders
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.token import Token

BITCOIN: Any = SimpleNamespace(chain="bitcoin", account=SimpleNamespace(), coin="BTC")
ETHEREUM: Any = SimpleNamespace(chain="ethereum", account=SimpleNamespace(chain_id=1), coin="ETH")
POLYGON: Any = SimpleNamespace(chain="ethereum", account=SimpleNamespace(chain_id=137), coin="POL")
USDC = Token(1, Address.from_text("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"), "USDC", 6)
ELSEWHERE = Token(5, Address.from_text("0x5FbDB2315678afecb367f032d93F642f64180aa3"), "USDC", 6)
TWIN = Token(1, Address.from_text("0x5FbDB2315678afecb367f032d93F642f64180aa3"), "usdc", 18)


@pytest.mark.parametrize(
    ("record", "text", "amount", "asset"),
    [
        (BITCOIN, "0.1btc", 10_000_000, "BTC"),
        (BITCOIN, "15000sat", 15_000, "BTC"),
        (ETHEREUM, "2gwei", 2 * 10**9, "ETH"),
        (ETHEREUM, "0.5 ETH", 5 * 10**17, "ETH"),
        (ETHEREUM, "12.5usdc", 12_500_000, str(USDC.contract)),
        (POLYGON, "0.5pol", 5 * 10**17, "POL"),
        (POLYGON, "1.5 POL", 15 * 10**17, "POL"),
        (POLYGON, "30gwei", 30 * 10**9, "POL"),
    ],
)
def test_amounts(record: Any, text: str, amount: int, asset: str) -> None:
    (order,), everything = payment_orders(("somebody", text), record, [USDC, ELSEWHERE], record.coin)
    assert (order.amount, order.asset, everything) == (amount, asset, False)


@pytest.mark.parametrize(
    ("record", "text", "asset"),
    [
        (BITCOIN, "all", "BTC"),
        (ETHEREUM, "ALL usdc", str(USDC.contract)),
        (ETHEREUM, "all", "ETH"),
        (ETHEREUM, "all ether", "ETH"),
        (POLYGON, "all", "POL"),
        (POLYGON, "all pol", "POL"),
    ],
)
def test_everything(record: Any, text: str, asset: str) -> None:
    (order,), everything = payment_orders(("somebody", text), record, [USDC], record.coin)
    assert (order.amount, order.asset, everything) == (0, asset, True)


@pytest.mark.parametrize("record", [BITCOIN, ETHEREUM, POLYGON])
@pytest.mark.parametrize(
    "text",
    ["1", "0.1", "", "btc", "-1btc", "1e3btc", "1doge", "0,1btc", "1btc2", "NaN btc", "9" * 99 + "btc", "1 2sat"],
)
def test_what_is_no_amount(record: Any, text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        payment_orders(("somebody", text), record, [USDC], record.coin)
    assert caught.value.code.startswith("input.amount")


def test_ether_is_no_unit_of_a_chain_with_another_coin() -> None:
    with pytest.raises(InvalidInputError, match="the coin is POL") as caught:
        payment_orders(("somebody", "1eth"), POLYGON, [], "POL")
    assert caught.value.code == "input.amount.unit"
    with pytest.raises(InvalidInputError, match=r"0\.5pol"):
        fee_choice(POLYGON, "POL", speed=None, fee_rate=None, max_fee="0.001eth")
    assert fee_choice(POLYGON, "POL", speed=None, fee_rate="30gwei", max_fee="0.25pol").max_fee == 25 * 10**16
    assert coin_amount("3 BNB", "BNB") == 3 * 10**18


@pytest.mark.parametrize("uri", ["ethereum:0x5FbDB2315678afecb367f032d93F642f64180aa3@1?value=1", "ETHEREUM:x"])
def test_a_request_of_ethereum_is_not_paid_from_bitcoin(uri: str) -> None:
    with pytest.raises(InvalidInputError, match="from an ethereum account"):
        payment_orders((uri, "1btc"), BITCOIN, [], "BTC")


def test_a_symbol_two_tokens_claim_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="several tokens"):
        payment_orders(("somebody", "1usdc"), ETHEREUM, [USDC, TWIN], "ETH")


@pytest.mark.parametrize("words", [(), ("somebody",), ("somebody", "1btc", "another")])
def test_pairs(words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="ADDRESS AMOUNT"):
        payment_orders(words, BITCOIN, [], "BTC")


def test_several_payees() -> None:
    orders, _ = payment_orders(("a", "1btc", "b", "2sat"), BITCOIN, [], "BTC")
    assert [(order.to, order.amount) for order in orders] == [("a", 10**8), ("b", 2)]
    with pytest.raises(InvalidInputError):
        payment_orders(("a", "all", "b", "2sat"), BITCOIN, [], "BTC")


def test_fees() -> None:
    assert fee_choice(BITCOIN, "BTC", speed=None, fee_rate=None, max_fee=None).speed == "normal"
    choice = fee_choice(BITCOIN, "BTC", speed=None, fee_rate="12.5sat/vb", max_fee="5000sat")
    assert (choice.rate, choice.max_fee) == (FeeRate(12_500), 5000)
    rate: Any = fee_choice(ETHEREUM, "ETH", speed=None, fee_rate="30gwei:2gwei", max_fee="0.001eth").rate
    assert (rate.max_fee_per_gas, rate.max_priority_fee_per_gas) == (30 * 10**9, 2 * 10**9)
    flat: Any = fee_choice(ETHEREUM, "ETH", speed=None, fee_rate="30gwei", max_fee=None).rate
    assert flat.max_priority_fee_per_gas == 30 * 10**9
    for wrong in (
        {"fee_rate": "12"},
        {"fee_rate": "12gwei"},
        {"max_fee": "5"},
        {"speed": "fast", "fee_rate": "1sat/vb"},
    ):
        with pytest.raises(InvalidInputError):
            fee_choice(BITCOIN, "BTC", **{"speed": None, "fee_rate": None, "max_fee": None, **wrong})  # type: ignore[arg-type]


@given(text=st.text(max_size=40))
def test_any_text_is_an_amount_or_an_error(text: str) -> None:
    for record in (BITCOIN, ETHEREUM, POLYGON):
        with contextlib.suppress(InvalidInputError):
            assert payment_orders(("somebody", text), record, [USDC], record.coin)
