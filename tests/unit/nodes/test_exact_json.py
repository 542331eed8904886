"""JSON without floats, in both directions."""

from __future__ import annotations

import contextlib
import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.units import MAX_MONEY
from bursar.errors import InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.exact_json import Btc

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_round_trip(value: object) -> None:
    text = exact_json.dumps(value)
    assert exact_json.loads(text) == value
    assert exact_json.loads(text.encode()) == value
    assert json.loads(text) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_garbage_is_a_typed_error(raw: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        exact_json.loads(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"nul", b"NaN", b"[Infinity]", b"-Infinity", b"\xff", b"1" * 5000, b"[" * 200_000, b'{"a":' * 50_000,
        b"1e" + b"9" * 70, b"0." + b"1" * 80, b'"\n"', b"[1,]", b"01",
    ],
)  # fmt: skip
def test_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInputError):
        exact_json.loads(raw)


@given(st.integers(0, MAX_MONEY))
def test_amounts_survive(amount: int) -> None:
    text = exact_json.dumps(Btc(amount))
    assert len(text.partition(".")[2]) == 8
    assert exact_json.satoshi(exact_json.loads(text)) == amount
    assert exact_json.satoshi(text) == amount


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (0, 0),
        (1, 10**8),
        (Decimal("1E-8"), 1),
        ("0.10", 10**7),
        (Decimal("1.000000000"), 10**8),
        (Decimal("2e1"), 2 * 10**9),
    ],
)
def test_amounts(value: object, amount: int) -> None:
    assert exact_json.satoshi(value) == amount


@pytest.mark.parametrize(
    "value",
    [None, True, 0.1, -1, "x", "", "1 btc", "0.000000001", Decimal("NaN"), Decimal("Infinity"), Decimal("1e400"),
     "-0.1", 21_000_001, [], {}, "1" * 70, Decimal("1e-9")],
)  # fmt: skip
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(InvalidInputError):
        exact_json.satoshi(value)


def test_decimals_and_negatives() -> None:
    assert exact_json.dumps([Decimal("4.656542373906925e-10"), Btc(-15), Decimal(1)]) == (
        "[4.656542373906925e-10,-0.00000015,1]"
    )


def test_only_json_is_written() -> None:
    for value in (0.1, b"x", {1}, object()):
        with pytest.raises(TypeError):
            exact_json.dumps(value)


def test_deep_nesting_is_refused_whatever_the_recursion_limit() -> None:
    """The EVM's libraries raise the limit to where the parser would end the process instead of raising."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        for raw in (b"[" * 200_000, b'{"a":' * 50_000, b'["]",' * 100_000):
            with pytest.raises(InvalidInputError, match="nested"):
                exact_json.loads(raw)
        assert exact_json.loads(b'["[[[[", ' + b"[" * 60 + b"]" * 60 + b"]")[0] == "[[[["
    finally:
        sys.setrecursionlimit(before)
