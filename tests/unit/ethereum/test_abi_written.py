"""Values of the contract ABI as people write them."""

from __future__ import annotations

import json
from typing import Any

import eth_abi.abi as eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import AbiFunction, AbiType
from bursar.ethereum.abi.written import read_values, shown
from bursar.ethereum.address import Address

PAYEE = "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"


def read(kind: str, text: str) -> Any:
    return read_values(AbiFunction.from_text(f"f({kind} it)").inputs, [text])[0]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("uint256", "1000000", 10**6),
        ("uint256", "0xf4240", 10**6),
        ("uint256", "1.5eth", 15 * 10**17),
        ("int8", "-5", -5),
        ("int256", "-1gwei", -(10**9)),
        ("bool", "true", True),
        ("bool", "false", False),
        ("string", '0x text, [with] "everything"', '0x text, [with] "everything"'),
        ("string", "", ""),
        ("bytes", "0x", b""),
        ("bytes4", "0xa9059cbb", bytes.fromhex("a9059cbb")),
        ("address", PAYEE, Address.from_text(PAYEE)),
        ("uint256[]", '["1", 2, "0x03"]', [1, 2, 3]),
        ("uint8[2][]", '[["1","2"],["3","4"]]', [[1, 2], [3, 4]]),
        ("(address,uint256,bytes)[]", f'[["{PAYEE}", "1eth", "0x"]]', [[Address.from_text(PAYEE), 10**18, b""]]),
        ("bool[]", '[true, "false"]', [True, False]),
    ],
)
def test_what_people_write(kind: str, text: str, value: Any) -> None:
    assert read(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("uint256", ""),
        ("uint256", "1.5"),
        ("uint256", "1e18"),
        ("uint256", "0x"),
        ("uint256", "0xzz"),
        ("uint256", "12 "),
        ("uint256", "١٢"),
        ("uint256", "9" * 81),
        ("uint256", "1 parsec"),
        ("bool", "yes"),
        ("bool", "1"),
        ("bytes", "a9059cbb"),
        ("bytes", "0xa"),
        ("bytes", "0xa9 05"),
        ("bytes4", "0xa9059c"),
        ("address", "0x9858effd232b4033e47d90003d41ec34ecaeda95".upper()),
        ("address", "pay.eth"),
        ("uint256[]", "1,2"),
        ("uint256[]", "[1.5]"),
        ("uint256[]", "[NaN]"),
        ("uint256[]", "[[1]]"),
        ("uint256[]", "{}"),
        ("uint256[]", "[true]"),
        ("(uint256,bool)", '["1"]'),
        ("(uint256,bool)", '["1", "true", "2"]'),
        ("uint256[]", "[" * 5000),
        ("string", "x" * 300_000),
    ],
)
def test_what_could_be_read_two_ways_is_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidInputError):
        read(kind, text)


def test_the_number_of_values_is_that_of_the_parameters() -> None:
    function = AbiFunction.from_text("transfer(address to, uint256 amount)")
    with pytest.raises(InvalidInputError, match="1 values are given and 2 are needed: address to, uint256 amount"):
        read_values(function.inputs, [PAYEE])


@given(st.lists(st.tuples(st.integers(0, 2**256 - 1), st.booleans(), st.binary(max_size=40), st.text(max_size=20))))
def test_values_shown_are_read_as_the_same(rows: list[tuple[int, bool, bytes, str]]) -> None:
    kind = "(uint256,bool,bytes,string)[]"
    rows = [row for row in rows if row[3].isprintable()]
    text = json.dumps(shown(rows))
    value = read(kind, text)
    assert [tuple(one) for one in value] == rows
    function = AbiFunction.from_text(f"f({kind})")
    assert function.encode_call(value)[4:] == eth_abi.encode([kind], [rows])
    assert AbiType.from_text(kind).dynamic
