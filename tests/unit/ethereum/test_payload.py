"""The quick RLP writer against the strict reader of the crypto room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import rlp
from bursar.errors import InvalidInputError
from bursar.ethereum import payload

SIZES = (0, 1, 2, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536)


@given(st.integers(0, 2**256 - 1))
def test_integers(value: int) -> None:
    item = payload.integer(value)
    assert rlp.decode(item) == value.to_bytes((value.bit_length() + 7) // 8, "big")
    assert payload.read_integer(rlp.decode(item), name="it") == value


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("byte", [b"\x00", b"\x7f", b"\x80", b"\xff"])
def test_strings_and_lists_of_every_length_form(size: int, byte: bytes) -> None:
    value = byte * size
    assert payload.string(value) == rlp.encode(value)
    inner = b"\x80" * size
    assert payload.wrapped(inner) == rlp.encode([b""] * size)


@given(st.binary(max_size=400))
def test_strings(value: bytes) -> None:
    assert payload.string(value) == rlp.encode(value)


def test_integers_are_read_strictly() -> None:
    for item in (b"\x00", b"\x00\x01", b"\x01" * 33, [], [b"\x01"]):
        with pytest.raises(InvalidInputError):
            payload.read_integer(item, name="it")
    assert payload.read_integer(b"", name="it") == 0


def test_lists_are_read_strictly() -> None:
    assert payload.read_list(b"\xc2\x01\x02", names=("a", "b")) == {"a": b"\x01", "b": b"\x02"}
    for data in (b"\xc1\x01", b"\xc3\x01\x02\x03", b"\x82\x01\x02", b"\xc2\x01", b"\xc2\x01\x02\x00", b""):
        with pytest.raises(InvalidInputError):
            payload.read_list(data, names=("a", "b"))


def test_r4_more_bytes_than_nodes_relay_are_refused_unread() -> None:
    from bursar.errors import InvalidInputError
    from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction

    bomb = b"\xfa" + (131_072).to_bytes(3, "big") + b"\xc0" * 131_072
    for parse in (SignedTransaction.parse, UnsignedTransaction.parse):
        with pytest.raises(InvalidInputError, match="nodes relay"):
            parse(bomb)
