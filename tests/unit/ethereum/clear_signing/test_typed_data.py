"""Typed data in the words of descriptors: what binds one, and the container of a message."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import Descriptors, Known, KnownToken, own_descriptors, render_typed_data
from bursar.ethereum.typed_data import TypedData

TOKEN = Address(bytes([0x33] * 20))
SPENDER = Address(bytes([0x44] * 20))
OWNER = Address(bytes([0x55] * 20))
KNOWN = Known(tokens={(1, TOKEN): KnownToken("USD", 6)}, chains={1: ("Ethereum Mainnet", "ETH")})
PERMIT = [("owner", "address"), ("spender", "address")]
PERMIT += [(name, "uint256") for name in ("value", "nonce", "deadline")]
KEY = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]


def permit(**domain: Any) -> TypedData:
    values = {"name": "USD", "version": "1", "chainId": 1, "verifyingContract": TOKEN} | domain
    values = {key: value for key, value in values.items() if value is not None}
    message = {"owner": OWNER, "spender": SPENDER, "value": 1_500_000, "nonce": 0, "deadline": 1_709_191_632}
    fields = [one for one in DOMAIN if one[0] in values]
    return TypedData.of({"EIP712Domain": fields, "Permit": PERMIT}, "Permit", values, message)


def book(key: str = KEY, **binding: Any) -> Descriptors:
    fields = [
        {"path": "spender", "label": "Spender", "format": "addressName"},
        {"path": "value", "label": "At most", "format": "tokenAmount", "params": {"tokenPath": "@.to"}},
        {"path": "@.chainId", "label": "On", "format": "chainId"},
        {"path": "@.value", "label": "Pays", "format": "amount"},
    ]
    tree = {"context": {"eip712": binding}, "display": {"formats": {key: {"intent": "Permit", "fields": fields}}}}
    made = Descriptors.from_files({"a.json": json.dumps(tree)})
    assert not made.refused
    return made


AT = {"deployments": [{"chainId": 1, "address": str(TOKEN)}]}


def test_a_message_is_shown_with_what_is_around_it() -> None:
    found = render_typed_data(permit(), book=book(**AT), known=KNOWN)
    assert found is not None
    assert [row.value for row in found.rows] == [str(SPENDER), "1.5 USD", "Ethereum Mainnet", "0 ETH"]
    assert [row.label for row in found.not_shown] == ["owner", "nonce", "deadline"]


@pytest.mark.parametrize(
    ("binding", "fits"),
    [
        (AT, True),
        ({"deployments": [{"chainId": 10, "address": str(TOKEN)}]}, False),
        ({"deployments": [{"chainId": 1, "address": str(SPENDER)}]}, False),
        ({"deployments": []}, False),
        ({}, False),
        ({"domain": {"name": "USD"}}, True),
        ({"domain": {"name": "EUR"}}, False),
        ({"domain": {"name": "USD", "chainId": 1, "verifyingContract": str(TOKEN).lower()}}, True),
        ({"domain": {"salt": "0x00"}}, False),
        ({"domainSeparator": "0x" + permit().domain_separator.hex()}, True),
        ({"domainSeparator": "0x" + "00" * 32}, False),
        (AT | {"domain": {"version": "2"}}, False),
    ],
)
def test_every_constraint_of_the_context_holds(binding: dict[str, Any], fits: bool) -> None:
    found = render_typed_data(permit(), book=book(**binding), known=KNOWN)
    assert (found is not None) is fits


def test_the_type_hash_decides_and_not_the_name() -> None:
    other = "Permit(address owner,address spender,uint256 value,uint256 deadline,uint256 nonce)"
    assert render_typed_data(permit(), book=book(other, **AT), known=KNOWN) is None
    assert render_typed_data(permit(), book=book(KEY.replace(",", ", "), **AT), known=KNOWN) is None


def test_deployments_need_a_chain_in_the_domain() -> None:
    assert render_typed_data(permit(chainId=None), book=book(**AT), known=KNOWN) is None
    assert render_typed_data(permit(verifyingContract=None), book=book(**AT), known=KNOWN) is None


def test_a_proxy_is_shown_by_the_contract_it_runs() -> None:
    known = Known(implementations={(1, SPENDER): TOKEN}, chains=KNOWN.chains)
    typed = permit(verifyingContract=SPENDER)
    assert render_typed_data(typed, book=book(**AT), known=KNOWN) is None
    assert render_typed_data(typed, book=book(**AT), known=known) is not None


def test_the_own_permit_is_for_tokens_that_are_known() -> None:
    found = render_typed_data(permit(), book=own_descriptors(), known=KNOWN)
    assert found is not None
    assert found.sentence == f"Allow {SPENDER} to spend 1.5 USD of {OWNER}"
    assert not found.not_shown
    assert render_typed_data(permit(verifyingContract=SPENDER), book=own_descriptors(), known=KNOWN) is None


def test_types_that_use_each_other_twice_do_not_grow() -> None:
    types: dict[str, list[tuple[str, str]]] = {"EIP712Domain": [("name", "string")]}
    for depth in range(10):
        types[f"T{depth}"] = [(f"f{place}", f"T{depth + 1}[]") for place in range(8)]
    types["T10"] = [("x", "uint8")]
    typed = TypedData.of(types, "T0", {"name": "n"}, {f"f{place}": () for place in range(8)})
    started = time.process_time()
    tree = {
        "context": {"eip712": {"domain": {"name": "n"}}},
        "display": {"formats": {typed.types.encode_type("T0"): {"intent": "T", "fields": [{"path": "f0"}]}}},
    }
    found = render_typed_data(typed, book=Descriptors.from_files({"a.json": json.dumps(tree)}), known=KNOWN)
    assert found is not None
    assert len(found.not_shown) == 8
    assert time.process_time() - started < 1
