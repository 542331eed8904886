from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rlp as other_rlp
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto import rlp
from bursar.errors import InvalidInputError

ITEMS: st.SearchStrategy[Any] = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6))


def as_item(value: Any) -> Any:
    if isinstance(value, list):
        return [as_item(part) for part in value]
    if isinstance(value, str) and value.startswith("#"):
        value = int(value[1:])
    if isinstance(value, int):
        return value.to_bytes((value.bit_length() + 7) // 8, "big")
    return value.encode("latin-1")


@pytest.mark.parametrize(
    ("item", "encoded"),  # Ethereum's yellow paper and wiki examples
    [
        (b"", "80"),
        (b"\x00", "00"),
        (b"\x7f", "7f"),
        (b"\x80", "8180"),
        (b"dog", "83646f67"),
        ([], "c0"),
        ([b"cat", b"dog"], "c88363617483646f67"),
        ([[], [[]], [[], [[]]]], "c7c0c1c0c3c0c1c0"),
        (b"\x04\x00", "820400"),
        (bytes(56), "b838" + "00" * 56),
        (bytes(55), "b7" + "00" * 55),
        (bytes(256), "b90100" + "00" * 256),
        ([b"\x01"] * 56, "f838" + "01" * 56),
    ],
)
def test_known_answers(item: Any, encoded: str) -> None:
    assert rlp.encode(item).hex() == encoded
    assert rlp.decode(bytes.fromhex(encoded)) == item


def test_official_valid_cases(official_vectors: Callable[[str], Path]) -> None:
    cases = json.loads(official_vectors("ethereum/rlptest.json").read_text())
    assert len(cases) == 28
    for case in cases.values():
        item, encoded = as_item(case["in"]), bytes.fromhex(case["out"].removeprefix("0x"))
        assert rlp.encode(item) == encoded
        assert rlp.decode(encoded) == item


def test_official_invalid_cases(official_vectors: Callable[[str], Path]) -> None:
    cases = json.loads(official_vectors("ethereum/invalidRLPTest.json").read_text())
    assert len(cases) == 26
    for case in cases.values():
        with pytest.raises(InvalidInputError):
            rlp.decode(bytes.fromhex(case["out"].removeprefix("0x")))


@given(ITEMS)
def test_round_trip_agrees_with_another_implementation(item: Any) -> None:
    encoded = rlp.encode(item)
    assert encoded == other_rlp.encode(item)
    assert rlp.decode(encoded) == item


@given(st.binary(max_size=200))
def test_garbage_is_a_typed_error_or_canonical(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except InvalidInputError as error:
        assert error.code == "input.rlp"  # noqa: PT017
        with pytest.raises(other_rlp.exceptions.DecodingError):
            other_rlp.decode(data)
    else:
        assert rlp.encode(item) == data


@given(ITEMS, st.data())
def test_a_truncated_or_extended_item_is_refused(item: Any, data: st.DataObject) -> None:
    encoded = rlp.encode(item)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for bad in (encoded[:cut], encoded + b"\x00"):
        with pytest.raises(InvalidInputError):
            rlp.decode(bad)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\x81\x05",  # a small byte with a prefix
        b"\xb8\x01a",  # a short length written long
        b"\xb9\x00\x38" + bytes(56),  # a length with a leading zero
        b"\xf8\x00",
        b"\xff" + b"\xff" * 8,  # 2**64 - 1 bytes
        b"\xbf" + b"\x7f" + b"\xff" * 7,
        b"\xb8",
        b"\xc1\x83ab",  # an item reaching out of its list
        b"\xc0" * 2,
    ],
)
def test_hostile_encodings(hostile: bytes) -> None:
    with pytest.raises(InvalidInputError):
        rlp.decode(hostile)


def test_deep_nesting_is_refused_without_recursing_away() -> None:
    nested: Any = []
    for _ in range(63):
        nested = [nested]
    assert rlp.decode(rlp.encode(nested)) == nested
    with pytest.raises(InvalidInputError, match="deep"):
        rlp.encode([nested])
    data = b"\xc0"
    for _ in range(5000):
        length = len(data)
        size = length.to_bytes((length.bit_length() + 7) // 8, "big")
        data = (bytes((0xC0 + length,)) if length < 56 else bytes((0xF7 + len(size),)) + size) + data
    with pytest.raises(InvalidInputError, match="deep"):
        rlp.decode(data)


@pytest.mark.parametrize("item", [5, "text", None, bytearray(b"a"), [b"a", 1], {b"a": b"b"}])
def test_encodes_bytes_and_lists_only(item: Any) -> None:
    with pytest.raises(InvalidInputError):
        rlp.encode(item)


def test_decodes_bytes_only() -> None:
    with pytest.raises(InvalidInputError):
        rlp.decode("80")  # type: ignore[arg-type]
