"""Descriptor files: includes merged, bindings held, whatever is hostile refused and named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing import Descriptors
from bursar.ethereum.clear_signing.descriptor_json import MOST_BYTES, read_json, with_includes
from bursar.ethereum.clear_signing.shapes import read_function

TOKEN = Address(bytes([0x22] * 20))
TRANSFER = bytes.fromhex("a9059cbb")


def descriptor(formats: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    chosen = formats if formats is not None else {"transfer(address to,uint256 value)": {"intent": "Send"}}
    return {
        "$schema": "https://eips.ethereum.org/assets/eip-7730/erc7730-v2.schema.json",
        "context": {"contract": {"deployments": [{"chainId": 1, "address": str(TOKEN)}]}},
        "metadata": {"owner": "Owner"},
        "display": {"formats": chosen},
    } | members


def refusal(data: object) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    book = Descriptors.from_files({"a.json": text})
    assert not book.descriptors
    error = book.refused["a.json"]
    assert error.code == "input.clear-signing"
    assert error.message.isprintable()
    return error.message


def test_a_sound_descriptor_is_found_by_chain_address_and_selector() -> None:
    book = Descriptors.from_files({"a.json": json.dumps(descriptor())})
    assert not book.refused
    found = book.for_call(1, (TOKEN,), TRANSFER)
    assert found is not None
    assert (found.owner, found.name) == ("Owner", "a.json")
    assert book.for_call(2, (TOKEN,), TRANSFER) is None
    assert book.for_call(1, (Address(bytes(20)),), TRANSFER) is None
    assert book.for_call(1, (TOKEN,), bytes(4)) is None


FIELD = {"path": "value", "label": "Amount", "format": "raw"}
DEEP: Any = FIELD
for _ in range(9):
    DEEP = {"fields": [DEEP]}


def with_field(field: object) -> dict[str, Any]:
    return descriptor({"transfer(address to,uint256 value)": {"fields": [field]}})


@pytest.mark.parametrize(
    "data",
    [
        *(
            "",
            "[]",
            "null",
            "{",
            '{"a": NaN}',
            '{"display": {}, "display": {}}',
            "{" * 2000,
            '{"a": ' + "9" * 5000 + "}",
        ),
        descriptor(**{"$schema": "https://example.org/erc7730-v3.schema.json"}),
        descriptor(**{"$schema": 2}),
        descriptor(context={}),
        descriptor(context={"contract": {}, "eip712": {}}),
        descriptor(context=[]),
        descriptor(context={"contract": {"deployments": {}}}),
        descriptor(context={"contract": {"deployments": [{"chainId": "1", "address": str(TOKEN)}]}}),
        descriptor(context={"contract": {"deployments": [{"chainId": 1, "address": str(TOKEN)[:-1] + "z"}]}}),
        descriptor(context={"eip712": {"domain": {"name": {}}}}),
        descriptor(context={"eip712": {"domainSeparator": "0x12"}}),
        descriptor(metadata={"owner": 5}),
        descriptor({"transfer(address to,uint value)": {}}),
        descriptor({"transfer(address to,uint256 to)": {}}),
        descriptor({"transfer(address to": {}}),
        descriptor({"transfer(\u202eaddress)": {}}),
        descriptor({"transfer(address to,uint256 value)": {}, "transfer(address a,uint256 b)": {}}),
        descriptor({f"f{place}()": {} for place in range(501)}),
        descriptor({"transfer(address to,uint256 value)": []}),
        descriptor({"transfer(address to,uint256 value)": {"intent": {str(one): "" for one in range(30)}}}),
        descriptor({"transfer(address to,uint256 value)": {"fields": [FIELD] * 501}}),
        with_field(DEEP),
        with_field([]),
        with_field({"label": "no path"}),
        with_field({**FIELD, "value": 1}),
        with_field({**FIELD, "format": "script"}),
        with_field({**FIELD, "path": "a.[*]"}),
        with_field({**FIELD, "params": {"tokenPath": "to"}}),
        with_field({**FIELD, "format": "tokenAmount", "params": {"token": "0x", "tokenPath": "to"}}),
        with_field({**FIELD, "format": "tokenAmount", "params": {"token": {"map": "$.metadata.maps.a"}}}),
        with_field({**FIELD, "visible": "sometimes"}),
        with_field({**FIELD, "visible": {"ifNotIn": []}}),
        with_field({**FIELD, "visible": {"ifNotIn": [1], "mustMatch": [1]}}),
        with_field({**FIELD, "visible": {"ifNotIn": [[1]]}}),
        with_field({"path": "value", "$ref": "$.display.definitions.none"}),
        with_field({"path": "value", "$ref": "$.metadata.owner"}),
        with_field({"path": "a", "iteration": "random", "fields": []}),
    ],
)
def test_what_is_no_descriptor_binds_nothing_and_is_named(data: object) -> None:
    assert refusal(data)


def test_a_file_that_is_too_large() -> None:
    assert "characters" in refusal(" " * (MOST_BYTES + 1))
    with pytest.raises(InvalidInputError):
        Descriptors.from_files({str(place): "" for place in range(10_001)})


def test_a_broken_file_leaves_the_others_alone() -> None:
    book = Descriptors.from_files({"a.json": "{", "b.json": json.dumps(descriptor())})
    assert [one.name for one in book.descriptors] == ["b.json"]
    assert list(book.refused) == ["a.json"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PLACES = st.sampled_from(["context", "metadata", "display", "includes", "$schema"])


@given(
    st.dictionaries(PLACES, JSON, max_size=5) | JSON, st.sampled_from(["fields", "params", "visible", "intent"]), JSON
)
def test_any_json_is_read_or_refused(tree: object, member: str, inner: object) -> None:
    format_ = {"intent": "", "fields": [{**FIELD, member: inner}], member: inner}
    texts = {"a.json": json.dumps(tree), "b.json": json.dumps(descriptor({"transfer(address to)": format_}))}
    for error in Descriptors.from_files(texts).refused.values():
        assert error.code == "input.clear-signing"


def test_included_files_are_merged_and_the_including_file_wins() -> None:
    common = descriptor(
        {
            "approve(address spender,uint256 value)": {
                "intent": "Approve",
                "fields": [
                    {"path": "spender", "label": "Spender", "format": "addressName"},
                    {"path": "value", "label": "Amount", "format": "tokenAmount", "params": {"tokenPath": "@.to"}},
                ],
            }
        }
    )
    common.pop("context")
    fields = [{"path": "value", "params": {"message": "All"}}, {"path": "@.value", "label": "Ether"}]
    top = descriptor({"approve(address spender,uint256 value)": {"fields": fields}}, includes="../common.json")
    texts = {"common.json": json.dumps(common), "lido/a.json": json.dumps(top)}
    merged = with_includes("lido/a.json", {name: read_json(text) for name, text in texts.items()})
    shown = merged["display"]["formats"]["approve(address spender,uint256 value)"]
    assert shown["intent"] == "Approve"
    assert [one["path"] for one in shown["fields"]] == ["spender", "value", "@.value"]
    assert shown["fields"][1]["params"] == {"tokenPath": "@.to", "message": "All"}
    book = Descriptors.from_files(texts)
    assert [one.name for one in book.descriptors] == ["lido/a.json"]


@pytest.mark.parametrize("target", ["a.json", "../../etc/passwd", "https://a.example/b.json", "", 5, "b.json"])
def test_includes_that_lead_nowhere_or_round_in_a_circle(target: object) -> None:
    book = Descriptors.from_files({"a.json": json.dumps(descriptor(includes=target))})
    assert book.refused["a.json"].code == "input.clear-signing"


def test_two_descriptors_that_differ_are_not_believed() -> None:
    other = descriptor({"transfer(address to,uint256 value)": {"intent": "Receive"}})
    same = {"a.json": json.dumps(descriptor()), "b.json": json.dumps(descriptor())}
    assert Descriptors.from_files(same).for_call(1, (TOKEN,), TRANSFER) is not None
    with pytest.raises(InvalidInputError) as caught:
        Descriptors.from_files({**same, "c.json": json.dumps(other)}).for_call(1, (TOKEN,), TRANSFER)
    assert caught.value.code == "input.clear-signing.ambiguous"


def test_what_a_book_lacks_is_looked_up_in_the_next() -> None:
    first = Descriptors.from_files({"a.json": json.dumps(descriptor({"f()": {"intent": "F"}}))})
    second = Descriptors.from_files({"b.json": json.dumps(descriptor())})
    third = Descriptors.from_files({"c.json": json.dumps(descriptor({"g()": {"intent": "G"}}))})
    book = first.and_then(second).and_then(third)
    found = book.for_call(1, (TOKEN,), TRANSFER)
    assert found is not None
    assert found.name == "b.json"
    assert book.for_call(1, (TOKEN,), read_function("g()").selector) is not None
    assert book.for_call(1, (TOKEN,), bytes(4)) is None


def test_functions_by_their_fragments() -> None:
    swap = read_function("exactInput((bytes path, address recipient,uint256 amountIn)[2][] params, tuple(bool a) b)")
    assert str(swap.inputs.abi) == "((bytes,address,uint256)[2][],(bool))"
    assert [name for name, _ in swap.inputs.parts] == ["params", "b"]
    assert read_function("transfer(address,uint256)").selector == TRANSFER
    assert [name for name, _ in read_function("transfer(address,uint256)").inputs.parts] == ["0", "1"]
