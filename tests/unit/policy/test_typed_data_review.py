"""Typed data as a review: permits are allowances, Safes and smart accounts are unfolded, the unknown is opaque."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.safe import MultiSendCall, Operation, Safe, SafeTransaction, SafeVersion, encode_multi_send
from bursar.ethereum.token import Token, encode_approve, encode_transfer
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_effects import typed_data_effects
from bursar.ethereum.units import Wei
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation
from bursar.policy.history import History
from bursar.policy.policy import RulePolicy
from bursar.policy.review import Asset, Granted, Payment, Review
from bursar.policy.typed_data import gives_nothing, review_of_typed_data
from bursar.policy.verdict import Allow, Deny

OWN, PAYEE, COIN, SAFE = (Address(bytes((number,)) * 20) for number in (0xA1, 0xB0, 0xC0, 0x5A))
BATCH = Address.from_text("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526")
USDC = Token(1, COIN, "USDC", 6)
ETH, DOLLARS = Asset("ethereum", "eip155:1", "ETH", 18), Asset("ethereum", "eip155:1", "USDC", 6, str(COIN))


def reviewed(typed: TypedData, **known: Any) -> Review:
    return review_of_typed_data(typed, account="desk", chain_id=1, tokens={COIN: USDC}, **known)


def codes(review: Review) -> list[str]:
    return [one.code for one in review.warnings]


def safe_tx(**fields: Any) -> SafeTransaction:
    return SafeTransaction(safe=Safe(1, SAFE, SafeVersion.from_text("1.4.1")), nonce=3, **fields)


def test_a_batch_of_a_safe() -> None:
    calls = [
        MultiSendCall(PAYEE, Wei(7)),
        MultiSendCall(COIN, data=encode_transfer(PAYEE, 5)),
        MultiSendCall(COIN, data=encode_approve(PAYEE, 9)),
    ]
    one = safe_tx(to=BATCH, data=encode_multi_send(calls), operation=Operation.DELEGATE_CALL)
    found = reviewed(one.typed_data())
    assert found.payments == (Payment(ETH, str(PAYEE), 7), Payment(DOLLARS, str(PAYEE), 5))
    assert found.allowances == (Granted(DOLLARS, str(PAYEE), 9),)
    assert found.calls[0].name == "multiSend"
    assert [call.name for call in found.calls[0].calls] == [None, "transfer", "approve"]
    assert codes(found) == ["safe", "allowance"]


def test_what_a_safe_cannot_be_read_to_do_is_suspect() -> None:
    found = reviewed(safe_tx(to=PAYEE, data=b"\x01\x02\x03\x04").typed_data())
    assert "opaque-call" in codes(found)
    assert not gives_nothing(found)
    rejection = reviewed(safe_tx(to=SAFE).typed_data())
    assert gives_nothing(rejection)
    changed = AbiFunction.from_text("enableModule(address)").encode_call(PAYEE)
    assert "safe-change" in codes(reviewed(safe_tx(to=SAFE, data=changed).typed_data()))


def test_a_refund_of_a_safe_is_a_payment_at_its_most() -> None:
    named = safe_tx(to=PAYEE, gas_price=2, base_gas=10, gas_token=COIN, refund_receiver=OWN)
    (paid,) = reviewed(named.typed_data()).payments
    assert (paid.asset, paid.to, paid.amount) == (DOLLARS, str(OWN), 2 * (10 + (1 << 24)))
    unnamed = reviewed(safe_tx(to=PAYEE, gas_price=2).typed_data())
    assert unnamed.payments[0].to == str(ZERO_ADDRESS)


def operation(**fields: Any) -> TypedData:
    gas: dict[str, Any] = {"call_gas_limit": 10, "verification_gas_limit": 20, "pre_verification_gas": 30}
    made = UserOperation(sender=SAFE, nonce=0, max_fee_per_gas=2, max_priority_fee_per_gas=1, **gas, **fields)
    return made.typed_data(EntryPoint.known(EntryPointVersion.V08, 1))


def test_an_operation_of_a_smart_account() -> None:
    data = AbiFunction.from_text("execute(address,uint256,bytes)").encode_call(PAYEE, 7, b"")
    found = reviewed(operation(call_data=data))
    assert found.payments == (Payment(ETH, str(PAYEE), 7),)
    assert (found.fee, found.max_fee) == (120, 120)
    assert codes(found) == ["user-operation"]
    paid_for = reviewed(operation(call_data=data, paymaster=OWN))
    assert paid_for.max_fee == 0
    assert "creation" in codes(reviewed(operation(call_data=data, factory=PAYEE)))
    assert "opaque-call" in codes(reviewed(operation(call_data=b"\x01\x02\x03\x04")))


def payment(**domain: Any) -> TypedData:
    names = [("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256")]
    names += [("validBefore", "uint256"), ("nonce", "bytes32")]
    values = {"name": "USDC", "chainId": 1, "verifyingContract": COIN, **domain}
    kinds = [("name", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    message = {"from": OWN, "to": PAYEE, "value": 7, "validAfter": 0, "validBefore": 9, "nonce": bytes(32)}
    return TypedData.of(
        {"EIP712Domain": kinds, "TransferWithAuthorization": names}, "TransferWithAuthorization", values, message
    )


def test_a_payment_by_signature() -> None:
    found = reviewed(payment())
    assert found.payments == (Payment(DOLLARS, str(PAYEE), 7),)
    assert codes(found) == ["payment"]
    assert codes(reviewed(payment(chainId=5))) == ["payment", "domain-mismatch"]
    assert codes(reviewed(payment(), codeless={COIN})) == ["payment", "domain-mismatch"]


def test_whose_money_it_is_is_held_against_who_signs() -> None:
    mine = reviewed(payment(), signer=OWN)
    assert mine.payments == (Payment(DOLLARS, str(PAYEE), 7),)
    assert "other-owner" not in codes(mine)
    other = reviewed(payment(), signer=PAYEE)
    assert other.payments == (Payment(DOLLARS, str(PAYEE), 7, owner=str(OWN)),)
    assert "other-owner" in codes(other)


@pytest.mark.parametrize(
    ("fields", "suspect"),
    [
        ([("to", "address"), ("amount", "uint256")], True),
        ([("_recipient", "address"), ("shares", "uint256")], True),
        ([("target", "address"), ("data", "bytes")], True),
        ([("calls", "bytes[]"), ("from", "address")], True),
        ([("to", "address"), ("contents", "string")], False),
        ([("amount", "uint256"), ("data", "bytes")], True),
        ([("amount", "uint256"), ("contents", "string")], False),
        ([("who", "address"), ("nonce", "uint256")], False),
    ],
)
def test_forms_nobody_knows(fields: list[tuple[str, str]], suspect: bool) -> None:
    zeros: dict[str, Any] = {"address": PAYEE, "uint256": 1, "bytes": b"", "bytes[]": (), "string": ""}
    domain = {"chainId": 1, "verifyingContract": COIN}
    types = {"EIP712Domain": [("chainId", "uint256"), ("verifyingContract", "address")], "Thing": fields}
    one = TypedData.of(types, "Thing", domain, {name: zeros[kind] for name, kind in fields})
    assert typed_data_effects(one).suspect is suspect
    assert gives_nothing(reviewed(one)) is not suspect


def test_a_rule_can_name_the_contract_that_takes_an_order() -> None:
    domain = {"chainId": 1, "verifyingContract": COIN}
    types = {"EIP712Domain": [("chainId", "uint256"), ("verifyingContract", "address")]}
    types["Order"] = [("offerer", "address"), ("price", "uint256")]
    found = reviewed(TypedData.of(types, "Order", domain, {"offerer": OWN, "price": 1}))
    assert found.payments == (Payment(ETH, str(COIN), 0),)
    rules = 'version = 1\n[[rule]]\nname = "who"\nkind = "allow-list"\naddresses = ["{0}"]\n'
    calls = '[[rule]]\nname = "calls"\nkind = "allow-calls"\ncontracts = ["{0}"]\n'
    history = History(datetime(2026, 11, 22, tzinfo=UTC))
    assert isinstance(RulePolicy.from_toml(rules.format(COIN)).decide(found, history), Deny)
    assert isinstance(RulePolicy.from_toml((rules + calls).format(COIN)).decide(found, history), Allow)
    unbound = TypedData.of(
        {"EIP712Domain": types["EIP712Domain"][:1], "Order": types["Order"]}, "Order", {"chainId": 1},
        {"offerer": OWN, "price": 1},
    )  # fmt: skip
    assert isinstance(RulePolicy.from_toml((rules + calls).format(COIN)).decide(reviewed(unbound), history), Deny)


def test_the_account_of_an_operation_that_makes_it_has_to_be_named() -> None:
    data = AbiFunction.from_text("execute(address,uint256,bytes)").encode_call(PAYEE, 7, b"")
    found = reviewed(operation(call_data=data, factory=PAYEE))
    assert (found.calls[0].to, found.calls[0].understood) == (str(SAFE), False)
