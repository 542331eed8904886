"""Calldata read as contracts read it, against the strict codec; and no bytes that make it grow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiType, decode, encode
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.calldata import read_arguments

TYPES = [AbiType.from_text(one) for one in ("uint8", "int16[]", "(address,bytes,string)[2]", "bytes4", "bool[][]")]
ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
VALUES = st.tuples(
    st.integers(0, 255),
    st.lists(st.integers(-(1 << 15), (1 << 15) - 1), max_size=3).map(tuple),
    st.tuples(*[st.tuples(ADDRESSES, st.binary(max_size=40), st.text(max_size=20))] * 2),
    st.binary(min_size=4, max_size=4),
    st.lists(st.lists(st.booleans(), max_size=2).map(tuple), max_size=3).map(tuple),
)


@settings(deadline=None)  # the codec is imported by the first
@given(VALUES, st.binary(max_size=40))
def test_reads_what_the_codec_writes_and_says_what_follows(values: tuple[object, ...], behind: bytes) -> None:
    try:
        data = encode(TYPES, values)
    except InvalidInputError:  # half of a surrogate pair
        return
    assert read_arguments(TYPES, data) == (decode(TYPES, data), b"")
    read, rest = read_arguments(TYPES, data + b"\x01" + behind)
    assert read == values
    assert rest == b"\x01" + behind


@given(st.binary(max_size=600))
def test_any_bytes_are_values_or_a_typed_error(data: bytes) -> None:
    code = "input.clear-signing.data"
    try:
        read_arguments(TYPES, data)
    except InvalidInputError as error:
        code = error.code
    assert code == "input.clear-signing.data"


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


BYTES = AbiType.from_text("bytes")


def test_tails_may_stand_in_another_order() -> None:
    data = word(128) + word(64) + word(1) + b"b".ljust(32, b"\0") + word(1) + b"a".ljust(32, b"\0")
    assert read_arguments([BYTES, BYTES], data) == ((b"a", b"b"), b"")
    with pytest.raises(InvalidInputError):
        decode([BYTES, BYTES], data)


def test_no_byte_serves_two_values() -> None:
    data = word(64) + word(64) + word(32) + bytes(32)
    with pytest.raises(InvalidInputError):
        read_arguments([BYTES, BYTES], data)


def test_arrays_at_one_place_do_not_multiply() -> None:
    inner = word(20) + bytes(640)
    once = word(32) + word(1) + word(32) + inner
    assert len(read_arguments([AbiType.from_text("uint256[][]")], once)[0][0][0]) == 20
    with pytest.raises(InvalidInputError):
        read_arguments([AbiType.from_text("uint256[][]")], word(32) + word(50) + word(1600) * 50 + inner)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("address", b"\x01" + bytes(31)),
        ("bool", word(2)),
        ("uint8", word(256)),
        ("int8", word(128)),
        ("bytes4", bytes(31) + b"\x01"),
        ("uint256", bytes(31)),
        ("bytes", word(1 << 255) + word(0)),
        ("string", word(32) + word(1) + b"\xff" + bytes(31)),
        ("uint256[]", word(32) + word(1 << 200)),
    ],
)
def test_what_no_contract_would_take(kind: str, data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_arguments([AbiType.from_text(kind)], data)
    assert caught.value.code == "input.clear-signing.data"


def test_a_value_without_its_padding_at_the_end_is_read() -> None:
    assert read_arguments([BYTES], word(32) + word(3) + b"abc") == ((b"abc",), b"")
