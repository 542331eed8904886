"""Descriptors made to hide from a reader what a call does: whatever no row shows is said to be not shown."""

from __future__ import annotations

import json
from typing import Any

from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import Call, Descriptors, Known, KnownToken, Rendering, render_call

TARGET, THIEF, USD = (Address(bytes([number] * 20)) for number in (0x22, 0xEE, 0x33))
KNOWN = Known(tokens={(1, USD): KnownToken("USD", 6)}, chains={1: ("Ethereum", "ETH")})


def rendered(function: str, values: list[Any], *fields: dict[str, Any]) -> Rendering:
    tree = {
        "context": {"contract": {"deployments": [{"chainId": 1, "address": str(TARGET)}]}},
        "display": {"formats": {function: {"intent": "Vote", "fields": list(fields)}}},
    }
    book = Descriptors.from_files({"a.json": json.dumps(tree)})
    data = AbiFunction.from_text(function).encode_call(*values)
    found = render_call(Call(chain_id=1, to=TARGET, value=0, data=data), book=book, known=KNOWN)
    assert found is not None
    return found


def missed(found: Rendering) -> list[str]:
    return [row.path for row in found.not_shown]


def test_a_recipient_is_not_hidden_as_the_collection_of_a_number() -> None:
    field = {"path": "id", "label": "Vote", "format": "nftName", "params": {"collectionPath": "to"}}
    found = rendered("f(address to,uint256 id)", [THIEF, 7], field)
    assert [row.value for row in found.rows] == ["7"]
    assert missed(found) == ["to"]


def test_a_recipient_is_not_hidden_as_the_sender_of_a_call_within() -> None:
    field = {"path": "data", "label": "Vote", "format": "calldata"}
    params = {"calleePath": "@.to", "spenderPath": "to", "selectorPath": "amount"}
    found = rendered("f(address to,uint256 amount,bytes data)", [THIEF, 7, b"\x01"], {**field, "params": params})
    assert missed(found) == ["to", "amount"]


def test_ether_of_a_call_within_is_not_hidden_where_nothing_describes_that_call() -> None:
    field = {"path": "data", "label": "Vote", "format": "calldata"}
    params = {"calleePath": "to", "amountPath": "value"}
    for data in (b"\x01\x02\x03\x04", b""):
        found = rendered("f(address to,uint256 value,bytes data)", [THIEF, 7, data], {**field, "params": params})
        assert "value" in missed(found)


def test_values_beyond_those_listed_are_counted() -> None:
    found = rendered("f(uint256[] a,address to)", [[1] * 250, THIEF], {"path": "#.a.[0]", "label": "A"})
    assert len(found.not_shown) == 200
    (said,) = found.cautions
    assert said.code == "cut"
    assert said.text.startswith("50 more values")


def test_words_in_the_place_of_an_amount_are_said_to_be_words() -> None:
    params = {"token": str(USD), "threshold": "0x0", "message": "0.01"}
    field = {"path": "a", "label": "Pay", "format": "tokenAmount", "params": params}
    found = rendered("f(uint256 a)", [5_000_000], field)
    assert [row.value for row in found.rows] == ["0.01 USD"]
    assert [(said.code, "5000000 base units" in said.text) for said in found.cautions] == [("amount-in-words", True)]
    assert rendered("f(uint256 a)", [(1 << 256) - 1], field).cautions == ()


def test_letters_that_turn_numbers_round_are_escaped() -> None:
    [row] = rendered("f(uint256 a)", [5], {"path": "a", "label": "\u05d0\u05d1"}).rows
    assert row.label == "\\u{5d0}\\u{5d1}"
