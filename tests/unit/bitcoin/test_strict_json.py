"""JSON from strangers: what is refused, that fractions stay exact, that writing and reading agree."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin import strict_json
from bursar.errors import InvalidInputError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(max_size=8)
    | st.decimals(-100, 100, allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(data: bytes | str, **options: Any) -> Any:
    return strict_json.parse(data, **{"what": "it", "code": "input.x", "largest": 10_000, **options})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "b": 2}}',
        b"NaN",
        b"Infinity",
        b"[1e999999999999999999999]",
        b"1" * 41,
        b"0." + b"1" * 41,
        b"\xff",
        b'"\\ud800"',
        "\ud800",
        b"[" * 17 + b"]" * 17,
        b" " * 10_001,
        "ä" * 6000,
        b"[1] [2]",
        b"\xef\xbb\xbf[]",
    ],
)
def test_refused(data: bytes | str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(data)
    assert caught.value.code == "input.x"


def test_deep_nesting_inside_a_text_does_not_count() -> None:
    assert read(json.dumps("[" * 100)) == "[" * 100


def test_fractions_are_exact() -> None:
    assert read(b"[0.1, 105620.00]") == [Decimal("0.1"), Decimal("105620.00")]
    assert strict_json.write(read(b"[0.1, 105620.00]")) == "[0.1, 105620.00]"


@pytest.mark.parametrize("value", [0.5, {1: 2}.keys(), b"", Decimal("NaN")])
def test_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        strict_json.write(value)


@settings(max_examples=50)
@given(VALUES, st.sampled_from((None, 2)))
def test_round_trip(value: object, indent: int | None) -> None:
    written = strict_json.write(value, indent=indent)
    assert read(written, deepest=40) == value
    assert json.loads(written, parse_float=Decimal) == value
