"""Stored transactions: versioned, exact, nothing missing and nothing unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction

Make = Callable[..., UnsignedTransaction]
ENTRY = AccessListEntry(Address(b"\x35" * 20), (bytes(32),))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def test_the_stored_form(make: Make) -> None:
    assert make(data=b"\xab\xcd", access_list=(ENTRY,)).to_json() == {
        "version": 1,
        "type": 2,
        "chain_id": 1,
        "nonce": 9,
        "to": "0x3535353535353535353535353535353535353535",
        "value": "1000000000000000000",
        "data": "0xabcd",
        "gas_limit": 21000,
        "gas_price": None,
        "max_fee_per_gas": "30000000000",
        "max_priority_fee_per_gas": "1000000000",
        "access_list": [
            {"address": "0x3535353535353535353535353535353535353535", "storage_keys": ["0x" + "00" * 32]},
        ],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"version": "1"}, {"version": True}, {"version": None}, {"extra": 1}, {"type": "2"},
        {"chain_id": "1"}, {"chain_id": 1.0}, {"nonce": "9"}, {"nonce": None}, {"to": 5}, {"to": "0x35"}, {"value": 5},
        {"value": None}, {"value": "-1"}, {"value": "01"}, {"value": "1e3"}, {"value": "9" * 78}, {"value": "9" * 9999},
        {"data": "abcd"}, {"data": "0xABCD"}, {"data": "0xabc"}, {"data": None}, {"gas_limit": None},
        {"max_fee_per_gas": 5}, {"max_fee_per_gas": None}, {"gas_price": "1"}, {"access_list": None},
        {"access_list": [1]}, {"access_list": [{}]}, {"access_list": [{"address": 1, "storage_keys": []}]},
        {"access_list": [{"address": "0x" + "35" * 20, "storage_keys": 1}]},
        {"access_list": [{"address": "0x" + "35" * 20, "storage_keys": ["0x00"]}]},
    ],
)  # fmt: skip
def test_anything_else_is_refused(make: Make, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        UnsignedTransaction.from_json({**make().to_json(), **change})


@pytest.mark.parametrize(
    "name", ["version", "type", "chain_id", "nonce", "to", "value", "data", "gas_limit", "gas_price", "access_list"]
)
def test_nothing_may_be_missing(make: Make, name: str) -> None:
    body = make().to_json()
    del body[name]
    with pytest.raises(InvalidInputError):
        UnsignedTransaction.from_json(body)


def test_the_two_parts_of_a_signed_transaction_must_agree(make: Make) -> None:
    body = make().sign_with(EcdsaSignature(5, 5, 0)).to_json()
    with pytest.raises(InvalidInputError, match="disagree"):
        SignedTransaction.from_json({**body, "unsigned": make(nonce=10).to_json()})
    for change in (
        {"raw": "0x"},
        {"raw": body["raw"][2:]},
        {"raw": None},
        {"unsigned": None},
        {"version": 0},
        {"x": 1},
    ):
        with pytest.raises(InvalidInputError):
            SignedTransaction.from_json({**body, **change})


@given(JSON)
def test_garbage_is_a_typed_error(data: Any) -> None:
    for read in (UnsignedTransaction.from_json, SignedTransaction.from_json):
        with pytest.raises(InvalidInputError):
            read(data)
