"""Reviews with allowances, delegations and nested calls as JSON; records written before there were any."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.policy.review import Asset, Called, Delegated, Granted, Payment, Review
from bursar.wallet.review_json import review_from_json, review_to_json

ETH = Asset("ethereum", "eip155:1", "ETH", 18)
BARE = Review("ethereum", "eip155:1", "desk", (Payment(ETH, "0x1", 5),), (), 1, 2, ETH, "1 gwei")
amounts, texts = st.integers(0, 2**256 - 1), st.text(max_size=8)
numbers = st.none() | amounts
calls = st.recursive(
    st.builds(Called, st.none() | texts, amounts, st.none() | texts),
    lambda inner: st.builds(
        Called, texts, amounts, texts, st.lists(st.tuples(texts, texts), max_size=2).map(tuple), st.booleans(),
        st.booleans(), st.lists(inner, max_size=2).map(tuple),
    ),
    max_leaves=4,
)  # fmt: skip
reviews = st.builds(
    replace,
    st.just(BARE),
    payments=st.lists(st.builds(Payment, st.just(ETH), texts, amounts, st.none(), numbers), max_size=2).map(tuple),
    allowances=st.lists(
        st.builds(Granted, st.just(ETH), texts, amounts, numbers, st.booleans(), st.none() | st.integers(0, 2**48)),
        max_size=2,
    ).map(tuple),
    delegations=st.lists(st.builds(Delegated, texts, texts, st.booleans()), max_size=2).map(tuple),
    calls=st.lists(calls, max_size=2).map(tuple),
)


@settings(max_examples=25, deadline=None)
@given(reviews)
def test_round_trip(review: Review) -> None:
    assert review_from_json(json.loads(json.dumps(review_to_json(review)))) == review


def test_a_record_of_before_is_read_and_a_plain_one_is_written_as_before() -> None:
    members = {
        "kind", "version", "chain", "network", "account", "payments", "change", "fee", "max_fee", "fee_asset",
        "fee_rate", "warnings", "replaces", "extra",
    }  # fmt: skip
    record = review_to_json(BARE)
    assert record.keys() == members  # so that the digests of stored plans stay what they were
    assert record["payments"][0].keys() == {"asset", "to", "amount", "label"}
    read = review_from_json(record)
    assert (read.allowances, read.delegations, read.calls, read.payments[0].token_id) == ((), (), (), None)


@pytest.mark.parametrize(
    "change",
    [
        {"allowances": {}},
        {"allowances": [{}]},
        {"allowances": [{"asset": None, "spender": "x", "amount": "1", "unlimited": False, "until": None}]},
        {"delegations": [{"authority": "x", "delegate": "y", "any_chain": 1}]},
        {"calls": [1]},
        {"calls": [{"to": "x", "value": "0", "name": None, "arguments": [["a"]], "understood": True,
                    "delegate": False, "calls": []}]},
    ],
)  # fmt: skip
def test_malformed_members(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        review_from_json(review_to_json(BARE) | change)


def test_calls_too_deep_are_refused() -> None:
    one: dict[str, Any] = {"to": "x", "value": "0", "name": None, "arguments": [], "understood": True}
    one |= {"delegate": False, "calls": []}
    for _ in range(20):
        one = {**one, "calls": [one]}
    with pytest.raises(InvalidInputError, match="deeper"):
        review_from_json(review_to_json(BARE) | {"calls": [one]})
