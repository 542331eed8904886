"""Fees, replacement, and the least gas a transaction needs (G1, G2, N3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.fees import (
    MAX_INIT_CODE,
    MAX_TRANSACTION_GAS,
    Eip1559Fees,
    bumped_price,
    check_gas,
    intrinsic_gas,
    padded_gas,
)
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import MAX_UINT256, Wei

Make = Callable[..., UnsignedTransaction]
GWEI = 10**9


def fees(most: int, tip: int) -> Eip1559Fees:
    return Eip1559Fees(max_fee_per_gas=Wei(most), max_priority_fee_per_gas=Wei(tip))


def test_fees_from_a_quote() -> None:
    assert Eip1559Fees.from_quote(base_fee=Wei(10 * GWEI), priority_fee=Wei(GWEI)) == fees(21 * GWEI, GWEI)
    capped = Eip1559Fees.from_quote(base_fee=Wei(10 * GWEI), priority_fee=Wei(GWEI), cap=Wei(15 * GWEI))
    assert capped == fees(15 * GWEI, GWEI)
    with pytest.raises(InvalidInputError, match="below the present price"):
        Eip1559Fees.from_quote(base_fee=Wei(10 * GWEI), priority_fee=Wei(GWEI), cap=Wei(11 * GWEI - 1))


def test_g1_a_tip_above_the_maximum_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        fees(1, 2)
    assert fees(2, 2).effective(Wei(0)) == 2


def test_the_price_in_a_block() -> None:
    assert fees(21, 1).effective(Wei(10)) == 11
    assert fees(21, 5).effective(Wei(18)) == 21
    with pytest.raises(InvalidInputError, match="waits"):
        fees(21, 5).effective(Wei(22))


@given(st.integers(0, 2**200), st.integers(0, 2**200))
def test_n3_a_bump_raises_both_prices_by_a_tenth(one: int, two: int) -> None:
    old = fees(max(one, two), min(one, two))
    new = old.bumped()
    new.check_replaces(old)
    for before, after in (
        (old.max_fee_per_gas, new.max_fee_per_gas),
        (old.max_priority_fee_per_gas, new.max_priority_fee_per_gas),
    ):
        assert after > before
        assert after * 100 >= before * 110
        assert after == before + 1 or (after - 1) * 100 < before * 110


def test_n3_less_than_a_tenth_or_one_price_only_does_not_replace() -> None:
    old = fees(100, 10)
    for new in (fees(109, 11), fees(110, 10), fees(100, 11), fees(109, 109)):
        with pytest.raises(InvalidInputError):
            new.check_replaces(old)
    fees(110, 11).check_replaces(old)
    assert old.bumped(at_least=fees(300, 5)) == fees(300, 11)
    assert old.bumped(at_least=fees(50, 50)) == fees(110, 50)
    assert bumped_price(0) == 1
    with pytest.raises(InvalidInputError):
        bumped_price(MAX_UINT256)


def test_words_and_json() -> None:
    assert str(fees(21 * GWEI, GWEI // 2)) == "21 gwei, of it 0.5 gwei tip"
    assert Eip1559Fees.from_json(fees(5, 3).to_json()) == fees(5, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"max_fee_per_gas": 5}, {"max_fee_per_gas": "-5"}, {"max_fee_per_gas": "٥"}, {"x": 1},
        {"max_fee_per_gas": "9" * 100}, {"max_priority_fee_per_gas": "6"}, {"max_fee_per_gas": ""},
    ],
)  # fmt: skip
def test_other_json_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Eip1559Fees.from_json({**fees(5, 3).to_json(), **change})


def test_gas_limits_from_estimates() -> None:
    assert padded_gas(21_000) == 21_000
    assert padded_gas(50_000) == 60_000
    assert padded_gas(MAX_TRANSACTION_GAS - 1) == MAX_TRANSACTION_GAS


ENTRY = AccessListEntry(Address(b"\x35" * 20), (bytes(32), bytes(32)))


@pytest.mark.parametrize(
    ("changes", "gas"),
    [
        ({}, 21_000),
        ({"data": bytes(10)}, 21_100),  # the floor of EIP-7623 is above the 40 of EIP-2028
        ({"data": b"\x01" * 10}, 21_400),
        ({"access_list": (ENTRY,)}, 21_000 + 2_400 + 2 * 1_900),
        ({"to": None, "data": b"\x60" * 33}, 21_000 + 33 * 16 + 32_000 + 2 * 2),
    ],
)
def test_g2_intrinsic_gas(make: Make, changes: dict[str, Any], gas: int) -> None:
    assert intrinsic_gas(make(**changes)) == gas
    check_gas(make(gas_limit=gas, **changes))
    with pytest.raises(InvalidInputError, match="needs before it runs"):
        check_gas(make(gas_limit=gas - 1, **changes))


def test_g2_the_caps_of_eip_7825_and_eip_3860(make: Make) -> None:
    check_gas(make(gas_limit=MAX_TRANSACTION_GAS))
    with pytest.raises(InvalidInputError, match="EIP-7825"):
        check_gas(make(gas_limit=MAX_TRANSACTION_GAS + 1))
    check_gas(make(to=None, data=bytes(MAX_INIT_CODE), gas_limit=10**6))
    with pytest.raises(InvalidInputError, match="EIP-3860"):
        check_gas(make(to=None, data=bytes(MAX_INIT_CODE + 1), gas_limit=10**6))
