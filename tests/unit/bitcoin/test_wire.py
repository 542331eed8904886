"""Compact sizes: canonical, bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.wire import compact_size, read_compact_size, read_sized, read_stack, sized, stack
from bursar.errors import InvalidInputError


@given(st.integers(0, 2**64 - 1))
def test_compact_sizes_round_trip(number: int) -> None:
    raw = compact_size(number)
    assert read_compact_size(b"x" + raw + b"y", 1) == (number, 1 + len(raw))


@pytest.mark.parametrize("raw", ["fdfc00", "feffff0000", "ffffffffff00000000"])
def test_long_forms_are_refused(raw: str) -> None:
    with pytest.raises(InvalidInputError):
        read_compact_size(bytes.fromhex(raw), 0)


@given(st.lists(st.binary(max_size=300), max_size=5).map(tuple))
def test_stacks_round_trip(items: tuple[bytes, ...]) -> None:
    raw = stack(items)
    assert read_stack(raw, 0) == (items, len(raw))


@pytest.mark.parametrize("raw", ["", "fd", "fdff", "ffffffffffffffffff", "05aabb", "03"])
def test_short_data_is_an_index_error_without_reading_on(raw: str) -> None:
    data = bytes.fromhex(raw)
    for read in (read_sized, read_stack):
        with pytest.raises(IndexError):
            read(data, 0)


def test_sized_is_a_length_and_the_data() -> None:
    assert sized(b"ab") == b"\x02ab"
    assert sized(bytes(300))[:3] == b"\xfd\x2c\x01"
