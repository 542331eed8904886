"""The wallet's values: canonical JSON, round trips, and typed errors for anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bitcoin.units import FeeRate
from bursar.errors import InvalidInputError
from bursar.ethereum.fees import Eip1559Fees
from bursar.ethereum.units import Wei
from bursar.policy.review import Asset, Change, Payment, Review, ReviewWarning
from bursar.wallet import ApprovedPlan, FeeChoice, JournalHead, PaymentOrder, Plan, SignedTransfer, Transfer
from bursar.wallet.canonical import canonical_json, digest
from bursar.wallet.records import Recovery, TransferState
from bursar.wallet.review_json import review_from_json, review_to_json

TEXT = st.text(min_size=1, max_size=20)
AMOUNT = st.integers(0, (1 << 256) - 1)
OPTIONAL = st.none() | TEXT
RATES = (
    st.none()
    | st.integers(0, 10**9).map(FeeRate)
    | st.tuples(st.integers(0, 10**18), st.integers(0, 10**18)).map(
        lambda two: Eip1559Fees(max_fee_per_gas=Wei(max(two)), max_priority_fee_per_gas=Wei(min(two)))
    )
)
FEES = st.builds(
    FeeChoice, speed=st.sampled_from(["slow", "normal", "fast"]), rate=RATES, max_fee=st.none() | st.integers(0, 10**30)
)
ORDERS = st.builds(PaymentOrder, to=TEXT, amount=AMOUNT, asset=TEXT)
TRANSFERS = st.builds(
    Transfer,
    account=TEXT,
    payments=st.lists(ORDERS, min_size=1, max_size=3).map(tuple),
    fee=FEES,
    idempotency_key=OPTIONAL,
    memo=OPTIONAL,
    source=OPTIONAL,
)
ASSETS = st.builds(Asset, chain=TEXT, network=TEXT, symbol=TEXT, decimals=st.integers(0, 36), contract=OPTIONAL)
REVIEWS = st.builds(
    Review,
    chain=TEXT,
    network=TEXT,
    account=TEXT,
    payments=st.lists(st.builds(Payment, asset=ASSETS, to=TEXT, amount=AMOUNT, label=OPTIONAL), max_size=2).map(tuple),
    change=st.lists(st.builds(Change, address=TEXT, amount=AMOUNT, path=TEXT), max_size=2).map(tuple),
    fee=AMOUNT,
    max_fee=AMOUNT,
    fee_asset=ASSETS,
    fee_rate=TEXT,
    warnings=st.lists(st.builds(ReviewWarning, code=TEXT, text=TEXT), max_size=2).map(tuple),
    replaces=OPTIONAL,
    extra=st.dictionaries(TEXT, TEXT | st.integers(), max_size=2),
)
PLANS = st.builds(
    Plan,
    id=TEXT,
    transfer=TRANSFERS,
    review=REVIEWS,
    created=st.integers(0, 1 << 40),
    psbt=OPTIONAL,
    unsigned=OPTIONAL,
    path=OPTIONAL,
    sender=OPTIONAL,
    replaces=OPTIONAL,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def through_json(data: object) -> Any:
    return json.loads(canonical_json(data))


@given(PLANS, st.text(max_size=10), st.integers(0, 1 << 40), st.binary(max_size=40))
def test_every_parked_value_comes_back(plan: Plan, rule: str, when: int, raw: bytes) -> None:
    assert Plan.from_json(through_json(plan.to_json())) == plan
    assert review_from_json(through_json(review_to_json(plan.review))) == plan.review
    approved = ApprovedPlan(plan, plan.digest(), "p", rule, when)
    assert ApprovedPlan.from_json(through_json(approved.to_json())) == approved
    signed = SignedTransfer("id", plan.digest(), "txid", raw)
    assert SignedTransfer.from_json(through_json(signed.to_json())) == signed
    head = JournalHead(when, "ab")
    assert JournalHead.from_json(through_json(head.to_json())) == head


@given(TRANSFERS)
def test_a_body_is_everything_but_the_names_given_to_it(transfer: Transfer) -> None:
    import dataclasses

    other = dataclasses.replace(transfer, id="another", idempotency_key="another")
    assert other.body_digest() == transfer.body_digest()
    assert dataclasses.replace(transfer, memo="else" + (transfer.memo or "")).body_digest() != transfer.body_digest()


KINDS = (Transfer, FeeChoice, Plan, ApprovedPlan, SignedTransfer, JournalHead)


@given(JSON, st.sampled_from(KINDS))
def test_garbage_is_a_typed_error(data: object, kind: Any) -> None:
    with pytest.raises(InvalidInputError):
        kind.from_json(data)


@given(PLANS, st.data())
def test_damage_is_a_typed_error(plan: Plan, data: st.DataObject) -> None:
    """Whatever is put in place of one field of a plan, or of a value inside it, nothing but a typed error comes out."""
    record = through_json(plan.to_json())
    place: Any = record
    while True:
        name = data.draw(st.sampled_from(sorted(place)))
        if isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
            place = place[name]
            continue
        break
    if data.draw(st.booleans()):
        del place[name]
    else:
        place[name] = data.draw(JSON)
    try:
        read = Plan.from_json(record)
    except InvalidInputError:
        return
    assert isinstance(read, Plan)


@pytest.mark.parametrize("version", [0, 2, "1", True, None, 1.0])
def test_other_versions_are_refused(version: object) -> None:
    record = Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),)).to_json()
    with pytest.raises(InvalidInputError, match="version"):
        Transfer.from_json({**record, "version": version})
    with pytest.raises(InvalidInputError, match="expected a transfer"):
        Transfer.from_json({**record, "kind": "plan"})


@pytest.mark.parametrize("text", ["", "-", "01", "1.0", " 1", "+1", "١", "1" * 81, "1e3", "0x1"])
def test_amounts_are_plain_decimal_text(text: str) -> None:
    record = Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),)).to_json()
    record["payments"][0]["amount"] = text
    with pytest.raises(InvalidInputError):
        Transfer.from_json(record)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PaymentOrder("", 1, "BTC"),
        lambda: PaymentOrder("x", 1, ""),
        lambda: PaymentOrder("x", -1, "BTC"),
        lambda: PaymentOrder("x", 1 << 256, "BTC"),
        lambda: PaymentOrder("x", True, "BTC"),
        lambda: PaymentOrder("x", 1.5, "BTC"),  # type: ignore[arg-type]
        lambda: FeeChoice(speed="warp"),  # type: ignore[arg-type]
        lambda: FeeChoice(max_fee=-1),
        lambda: FeeChoice(rate=5),  # type: ignore[arg-type]
        lambda: Transfer(account="a", payments=()),
        lambda: Transfer(account="a", payments=[PaymentOrder("x", 1, "BTC")]),  # type: ignore[arg-type]
        lambda: Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),), everything=True),
        lambda: Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),), memo=""),
        lambda: Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),), idempotency_key="k" * 1001),
        lambda: Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),), id="i" * 65),
    ],
)
def test_impossible_values_cannot_be_made(make: Any) -> None:
    with pytest.raises(InvalidInputError):
        make()


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": [1, None, True], "a": "ü\ud800"}) == b'{"a":"\\u00fc\\ud800","b":[1,null,true]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    for bad in (1.0, {1: 2}, {"a": object()}, [b"x"], float("nan")):
        with pytest.raises(InvalidInputError):
            canonical_json(bad)


def test_a_digest_is_pinned() -> None:
    """Journals and approvals outlive releases: this may never change within version 1."""
    transfer = Transfer(account="a", payments=(PaymentOrder("x", 1, "BTC"),), id="i")
    assert digest(transfer.to_json()) == "ba0e6f8865ff2c96d6b36277102750f821629582631ef3b96a63f2e4cdfd887c"


def test_states_print_as_words() -> None:
    assert f"{TransferState.SENT}" == "sent"
    assert Recovery("i", "released").to_json()["version"] == 1
