"""Ethereum's checklist where calldata and typed data are read: what the effects and the policy refuse, by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError
from bursar.ethereum import token as erc20
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.effects.warnings import Known, planted, warnings
from bursar.ethereum.review import Effects, effects
from bursar.ethereum.safe import MultiSendCall, Operation, Safe, SafeTransaction, SafeVersion, encode_multi_send
from bursar.ethereum.token import Token
from bursar.ethereum.transaction import FEE_MARKET, SET_CODE, UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import MAX_UINT256, Wei
from bursar.ethereum.validity import check_transaction
from bursar.policy.ethereum_effects import review_parts, warnings_of
from bursar.policy.history import History
from bursar.policy.policy import DEFAULT_POLICY_TOML, RulePolicy
from bursar.policy.render import review_text
from bursar.policy.review import Asset, Review
from bursar.policy.typed_data import gives_nothing, review_of_typed_data
from bursar.policy.verdict import Allow, Deny, Verdict

OWN, PAYEE, STRANGER = (Address(bytes((number,)) * 20) for number in (0xA1, 0xB0, 0xEE))
NUMBERED = Address(b"\xd7" * 20)  # a contract of tokens with numbers
COIN = Address(b"\xc0" * 20)
USDC = Token(1, COIN, "USDC", 6)
SAFE, BATCH = Address(b"\x5a" * 20), Address.from_text("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526")
ETH = Asset("ethereum", "eip155:1", "ETH", 18)
NOW = 1_800_000_000
HISTORY = History(datetime(2026, 11, 22, tzinfo=UTC))
POLICY = f"""
version = 1
[[token]]
symbol = "USDC"
network = "eip155:1"
contract = "{COIN}"
decimals = 6
[[rule]]
name = "known"
kind = "allow-list"
addresses = ["{PAYEE}"]
[[rule]]
name = "much"
kind = "limit"
max = "1000 USDC"
[[rule]]
name = "fee"
kind = "fee-cap"
max = "0.05eth"
percent = "20%"
"""
CALLS = """
[[rule]]
name = "calls"
kind = "allow-calls"
contracts = ["{}"]
"""
ANYONE = '[[rule]]\nname = "anyone"\nkind = "allow-any"\n'


def tx(to: Address | None, data: bytes = b"", value: int = 0, **changes: Any) -> UnsignedTransaction:
    fields: dict[str, Any] = {
        "type": FEE_MARKET, "chain_id": 1, "nonce": 7, "to": to, "value": Wei(value), "data": data,
        "gas_limit": 100_000, "max_fee_per_gas": Wei(10**9), "max_priority_fee_per_gas": Wei(10**8),
    }  # fmt: skip
    return UnsignedTransaction(**{**fields, **changes})


def seen(one: UnsignedTransaction) -> Effects:
    return effects(one, sender=OWN, tokens={COIN: USDC})


def review(one: UnsignedTransaction, known: Known | None = None) -> Review:
    found = seen(one)
    parts = review_parts(found, coin=ETH)
    said = warnings_of(warnings(found, known)) if known is not None else ()
    return Review(
        "ethereum", "eip155:1", "desk", parts.payments, (), int(one.max_fee), int(one.max_fee), ETH, "1 gwei",
        (*parts.warnings, *said), None, 1, {}, parts.allowances, parts.delegations, parts.calls,
    )  # fmt: skip


SHARE = 'percent = "20%"\n'


def decided(
    one: UnsignedTransaction | Review, extra: str = "", known: Known | None = None, share: str = SHARE
) -> Verdict:
    asked = one if isinstance(one, Review) else review(one, known)
    return RulePolicy.from_toml(POLICY.replace(SHARE, share) + extra).decide(asked, HISTORY)


def refused(one: UnsignedTransaction | Review, words: str, extra: str = "", **changes: Any) -> None:
    verdict = decided(one, extra, **changes)
    assert isinstance(verdict, Deny), verdict
    assert words in verdict.reason


def codes(found: Any) -> set[str]:
    return {one.code for one in (found.cautions if hasattr(found, "cautions") else found.warnings)}


def call(signature: str, *values: Any) -> bytes:
    return AbiFunction.from_text(signature).encode_call(*values)


DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
PERMIT = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
PERMIT.append(("deadline", "uint256"))


def typed(types: dict[str, Any], message: dict[str, Any], *, chain: int = 1, contract: Address = COIN) -> TypedData:
    domain = {"name": "USD Coin", "version": "2", "chainId": chain, "verifyingContract": contract}
    return TypedData.of({"EIP712Domain": DOMAIN, **types}, next(iter(types)), domain, message)


def permit(value: int = 5, spender: Address = PAYEE, deadline: int = NOW + 600, **domain: Any) -> TypedData:
    message = {"owner": OWN, "spender": spender, "value": value, "nonce": 0, "deadline": deadline}
    return typed({"Permit": PERMIT}, message, **domain)


def typed_review(one: TypedData, **known: Any) -> Review:
    return review_of_typed_data(one, account="desk", chain_id=1, tokens={COIN: USDC}, now=NOW, **known)


def test_E1_a_domain_of_another_chain_or_of_no_contract_is_refused() -> None:
    assert isinstance(decided(typed_review(permit())), Allow)
    for one, known in (
        (permit(chain=137), {}),
        (permit(contract=ZERO_ADDRESS), {}),
        (permit(contract=STRANGER), {"codeless": {STRANGER}}),
    ):
        asked = typed_review(one, **known)
        assert "domain-mismatch" in codes(asked)
        refused(asked, "domain-mismatch")
    unbound = TypedData.of({"EIP712Domain": DOMAIN[:2], "Permit": PERMIT}, "Permit", {"name": "a", "version": "1"},
                           {"owner": OWN, "spender": PAYEE, "value": 5, "nonce": 0, "deadline": NOW})  # fmt: skip
    refused(typed_review(unbound), "domain-mismatch")
    elsewhere = typed_review(permit(chain=137))
    assert "chain 137" in review_text(elsewhere)  # the mismatch is shown


def test_E1_an_unknown_contract_is_shown_by_its_address_and_has_no_name() -> None:
    asked = typed_review(permit(contract=STRANGER))
    assert asked.allowances[0].asset.symbol == "units"
    assert str(STRANGER) in review_text(asked)
    bounded = POLICY.replace(str(COIN), str(STRANGER)).replace("decimals = 6", "decimals = 0")
    verdict = RulePolicy.from_toml(bounded.replace("1000 USDC", "4 USDC")).decide(asked, HISTORY)
    assert isinstance(verdict, Deny)
    assert "over the limit of 4" in verdict.reason


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("value", "uint256", 1.0),
        ("value", "uint256", True),
        ("value", "uint8", 256),
        ("value", "uint256", -1),
        ("flag", "bool", "false"),
        ("flag", "bool", 0),
        ("hash", "bytes32", "0x" + "11" * 31),
        ("who", "address", "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),  # one letter's case is wrong
        ("who", "address", "11" * 20),
    ],
)
def test_E3_a_value_that_could_be_read_two_ways_is_refused(name: str, kind: str, value: object) -> None:
    document = {
        "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "A": [{"name": name, "type": kind}]},
        "primaryType": "A",
        "domain": {"name": "x"},
        "message": {name: value},
    }
    with pytest.raises(InvalidInputError):
        TypedData.from_json(json.dumps(document))


@pytest.mark.parametrize("primary", ["EIP712Domain", "uint256", "Missing", "A[]"])
def test_E4_a_primary_type_that_is_none_is_refused(primary: str) -> None:
    types = {"EIP712Domain": [{"name": "name", "type": "string"}], "A": [{"name": "a", "type": "bool"}]}
    types |= {"uint256": [{"name": "a", "type": "bool"}]} if primary == "uint256" else {}
    document = {"types": types, "primaryType": primary, "domain": {"name": "x"}, "message": {"a": True}}
    with pytest.raises(InvalidInputError):
        TypedData.from_json(json.dumps(document))


def test_E4_a_type_nothing_uses_is_refused() -> None:
    types = {"EIP712Domain": [{"name": "name", "type": "string"}], "A": [{"name": "a", "type": "bool"}]}
    types["Permit"] = [{"name": "spender", "type": "address"}]
    document = {"types": types, "primaryType": "A", "domain": {"name": "x"}, "message": {"a": True}}
    with pytest.raises(InvalidInputError):
        TypedData.from_json(json.dumps(document))


def test_E5_a_permit_counts_as_a_payment_up_to_its_amount() -> None:
    assert isinstance(decided(typed_review(permit(1000 * 10**6))), Allow)
    refused(typed_review(permit(1000 * 10**6 + 1)), "over the limit of 1000 USDC")
    refused(typed_review(permit(spender=STRANGER)), "no rule allows")
    refused(typed_review(permit(MAX_UINT256)), "over the limit")
    assert "unlimited-allowance" in codes(typed_review(permit(MAX_UINT256)))
    assert "deadline-far" in codes(typed_review(permit(deadline=MAX_UINT256)))
    assert "deadline-passed" in codes(typed_review(permit(deadline=NOW - 1)))
    assert "deadline-short" in codes(typed_review(permit(deadline=NOW + 5)))


def test_E5_permit2_is_read_for_every_token_of_a_batch() -> None:
    details = [("token", "address"), ("amount", "uint160"), ("expiration", "uint48"), ("nonce", "uint48")]
    types = {
        "PermitBatch": [("details", "PermitDetails[]"), ("spender", "address"), ("sigDeadline", "uint256")],
        "PermitDetails": details,
    }
    rows = tuple(
        {"token": COIN, "amount": amount, "expiration": NOW + 60, "nonce": 0} for amount in (1, (1 << 160) - 1)
    )
    message = {"details": rows, "spender": PAYEE, "sigDeadline": NOW + 60}
    one = typed(types, message, contract=Address.from_text("0x000000000022D473030F116dDEE9F6B43aC78BA3"))
    asked = typed_review(one)
    assert [given.amount for given in asked.allowances] == [1, (1 << 160) - 1]
    refused(asked, "over the limit")


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (
            {"Order": [("offerer", "address"), ("price", "uint256")]},
            {"offerer": OWN, "price": 1},
        ),
        (
            {"ForwardRequest": [("from", "address"), ("to", "address"), ("value", "uint256"), ("data", "bytes")]},
            {"from": OWN, "to": COIN, "value": 0, "data": b"\x01"},
        ),
        (
            {"MetaTransaction": [("nonce", "uint256"), ("from", "address"), ("functionSignature", "bytes")]},
            {"nonce": 0, "from": OWN, "functionSignature": b"\x01"},
        ),
    ],
    ids=["an order", "a call to relay", "a meta transaction"],
)
def test_E5_orders_and_relayed_calls_nobody_reads_are_opaque(types: dict[str, Any], message: dict[str, Any]) -> None:
    asked = typed_review(typed(types, message))
    assert not gives_nothing(asked)
    refused(asked, "opaque-call", ANYONE)


def test_E5_what_gives_nothing_away_is_told_apart() -> None:
    login = typed({"Login": [("nonce", "uint256"), ("statement", "string")]}, {"nonce": 1, "statement": "hello"})
    assert gives_nothing(typed_review(login))


def test_B1_an_unknown_function_is_refused_unless_its_contract_is_named() -> None:
    for data in (
        b"\x12\x34\x56\x78",
        b"\x01",
        call("upgradeTo(address)", STRANGER),
        erc20.encode_transfer(PAYEE, 1) + b"\0",
    ):
        one = tx(PAYEE, data, 1)
        assert not seen(one).decoded
        refused(one, "opaque-call", share="")
    known = review(tx(STRANGER, call("upgradeTo(address)", STRANGER)))
    assert "upgradeTo (effects unknown)" in review_text(known)  # a name is no permission
    refused(tx(None, b"\x60\x00"), "creation")


def test_B1_naming_the_contract_is_the_override_and_covers_only_that_contract() -> None:
    blind = tx(STRANGER, b"\x12\x34\x56\x78")
    assert isinstance(decided(blind, ANYONE + CALLS.format(STRANGER)), Allow)
    refused(blind, "opaque-call", ANYONE + CALLS.format(PAYEE))
    hidden = tx(COIN, call("multicall(bytes[])", [erc20.encode_transfer(PAYEE, 1), b"\x12\x34\x56\x78"]))
    refused(hidden, "opaque-call", ANYONE + CALLS.format(STRANGER))
    assert any(one.code == "opaque-call" for one in review(blind).warnings)  # what the journal keeps with the approval


SAFE_TX = (
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)",
    (0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, b""),
)


def executed(to: Address, data: bytes, operation: int = 0, value: int = 0) -> UnsignedTransaction:
    return tx(SAFE, call(SAFE_TX[0], to, value, data, operation, *SAFE_TX[1]))


@pytest.mark.parametrize(
    "one",
    [
        executed(STRANGER, erc20.encode_transfer(PAYEE, 0), 1),  # looks like a payment of nothing
        executed(BATCH, encode_multi_send([MultiSendCall(COIN, data=erc20.encode_transfer(PAYEE, 1)),
                 MultiSendCall(STRANGER, data=b"", operation=Operation.DELEGATE_CALL)]), 1),
        executed(BATCH, encode_multi_send([MultiSendCall(PAYEE)])[:-1], 1),
        executed(STRANGER, encode_multi_send([MultiSendCall(PAYEE)]), 1),  # another's MultiSend
        tx(SAFE, call("execute(bytes32,bytes)", b"\xff" + bytes(31), STRANGER.value + b"\x01\x02\x03\x04")),
    ],
    ids=["plain", "inside a batch", "a batch cut short", "a batch by unknown code", "a smart account's"],
)  # fmt: skip
def test_B5_a_delegate_call_to_unknown_code_is_refused(one: UnsignedTransaction) -> None:
    found = seen(one)
    assert found.delegate_call
    assert not found.decoded
    refused(one, "delegate-call")
    refused(one, "delegate-call", ANYONE + CALLS.format(COIN))
    assert "UNKNOWN CODE RUN AS THE CALLER" in review_text(review(one))


def test_B5_the_same_holds_for_an_owners_signature() -> None:
    safe = Safe(1, SAFE, SafeVersion.from_text("1.4.1"))
    evil = SafeTransaction(safe=safe, to=STRANGER, data=b"\x01", operation=Operation.DELEGATE_CALL, nonce=4)
    with pytest.raises(InvalidInputError, match="as the Safe itself"):
        evil.typed_data()
    asked = typed_review(evil.typed_data(delegates=frozenset((STRANGER,))))
    refused(asked, "delegate-call")
    honest = SafeTransaction(safe=safe, to=BATCH, data=encode_multi_send(
        [MultiSendCall(PAYEE, Wei(3)), MultiSendCall(COIN, data=erc20.encode_transfer(PAYEE, 5))]
    ), operation=Operation.DELEGATE_CALL, nonce=4)  # fmt: skip
    asked = typed_review(honest.typed_data())
    assert [(one.to, one.amount) for one in asked.payments] == [(str(PAYEE), 3), (str(PAYEE), 5)]
    assert isinstance(decided(asked), Allow)


def test_B5_who_rules_the_safe_is_not_changed_unnoticed() -> None:
    for signature, values in (
        ("enableModule(address)", (STRANGER,)),
        ("swapOwner(address,address,address)", (OWN, PAYEE, STRANGER)),
        ("setFallbackHandler(address)", (STRANGER,)),
    ):
        one = executed(SAFE, call(signature, *values))
        assert "safe-change" in codes(seen(one))
        refused(one, "safe-change")
        refused(one, "safe-change", ANYONE)
        assert isinstance(decided(one, ANYONE + CALLS.format(SAFE)), Allow)


def test_A1_unlimited_allowances_are_refused_in_every_form() -> None:
    forms = [
        (COIN, erc20.encode_approve(PAYEE, MAX_UINT256)),
        (COIN, erc20.encode_approve(PAYEE, (1 << 160) - 1)),
        (COIN, call("increaseAllowance(address,uint256)", PAYEE, MAX_UINT256)),
        (COIN, call("setApprovalForAll(address,bool)", PAYEE, True)),
        (COIN, call("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", OWN, PAYEE, MAX_UINT256, 1, 27,
                    bytes(32), bytes(32))),
        (COIN, call("permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)", OWN, PAYEE, 0, 1, True, 27,
                    bytes(32), bytes(32))),
        (STRANGER, call("approve(address,address,uint160,uint48)", COIN, PAYEE, (1 << 160) - 1, 1)),
        (STRANGER, call("multicall(bytes[])", [erc20.encode_approve(PAYEE, MAX_UINT256)])),
    ]  # fmt: skip
    open_policy = RulePolicy.from_toml(f"version = 1\n{ANYONE}")
    for to, data in forms:
        asked = review(tx(to, data))
        assert [one.unlimited for one in asked.allowances] == [True]
        verdict = open_policy.decide(asked, HISTORY)
        assert isinstance(verdict, Deny)
        assert "unlimited-allowance" in verdict.reason
        assert "ALL" in review_text(asked)
    named = RulePolicy.from_toml(f"version = 1\n{ANYONE}{CALLS.format(COIN)}")
    assert isinstance(named.decide(review(tx(*forms[0])), HISTORY), Allow)
    assert isinstance(RulePolicy.from_toml(DEFAULT_POLICY_TOML).decide(review(tx(*forms[0])), HISTORY), Deny)


def test_A1_an_allowance_is_held_to_the_list_and_the_limit_of_payments() -> None:
    assert isinstance(decided(tx(COIN, erc20.encode_approve(PAYEE, 10**9))), Allow)
    refused(tx(COIN, erc20.encode_approve(STRANGER, 1)), "no rule allows")
    refused(tx(COIN, erc20.encode_approve(PAYEE, 10**9 + 1)), "over the limit of 1000 USDC")
    split = [erc20.encode_approve(PAYEE, 6 * 10**8), erc20.encode_transfer(PAYEE, 6 * 10**8)]
    refused(tx(COIN, call("multicall(bytes[])", split)), "1200 USDC is over the limit")


def test_A1_an_allowance_to_an_account_is_refused_and_one_upon_another_is_said() -> None:
    one = tx(COIN, erc20.encode_approve(PAYEE, 5))
    refused(one, "allowance-to-account", known=Known(codeless={PAYEE}))
    again = review(one, Known(allowances={(COIN, PAYEE): 3}))
    assert "allowance-not-reset" in codes(again)
    reset = review(tx(COIN, erc20.encode_approve(PAYEE, 0)), Known(codeless={PAYEE}, allowances={(COIN, PAYEE): 3}))
    assert not codes(reset) & {"allowance-not-reset", "allowance-to-account"}
    assert "takes an allowance back" in review_text(reset)


ROUTES: dict[str, Callable[[Address], UnsignedTransaction]] = {
    "transfer": lambda to: tx(COIN, erc20.encode_transfer(to, 5)),
    "transferFrom": lambda to: tx(COIN, erc20.encode_transfer_from(OWN, to, 5)),
    "safeTransferFrom": lambda to: tx(NUMBERED, call("safeTransferFrom(address,address,uint256)", OWN, to, 5)),
    "a batch of ERC-1155": lambda to: tx(
        NUMBERED, call("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", OWN, to, [1, 2], [3, 4], b"")
    ),
    "multicall": lambda to: tx(COIN, call("multicall(bytes[])", [erc20.encode_transfer(to, 5)])),
    "multicall in multicall": lambda to: tx(
        COIN, call("multicall(uint256,bytes[])", 9, [call("multicall(bytes[])", [erc20.encode_transfer(to, 5)])])
    ),
    "Multicall3": lambda to: tx(
        Address.from_text("0xcA11bde05977b3631167028862bE2a173976CA11"),
        call("aggregate3Value((address,bool,uint256,bytes)[])", [(to, False, 5, b"")]), 5,
    ),
    "execTransaction": lambda to: executed(to, b"", value=5),
    "a batch of a Safe": lambda to: executed(
        BATCH, encode_multi_send([MultiSendCall(COIN, data=erc20.encode_transfer(to, 5))]), 1
    ),
    "a smart account": lambda to: tx(OWN, call("executeBatch((address,uint256,bytes)[])", [(to, 5, b"")])),
    "Permit2": lambda to: tx(PAYEE, call("transferFrom((address,address,uint160,address)[])", [(OWN, to, 5, COIN)])),
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_A2_the_payee_is_found_in_calls_inside_calls(route: str) -> None:
    free = POLICY.replace('percent = "20%"\n', "")
    policy = RulePolicy.from_toml(free)
    listed, other = review(ROUTES[route](PAYEE)), review(ROUTES[route](STRANGER))
    assert {one.to for one in listed.payments} == {str(PAYEE)}
    assert isinstance(policy.decide(listed, HISTORY), Allow)
    verdict = policy.decide(other, HISTORY)
    assert isinstance(verdict, Deny)
    assert str(STRANGER) in verdict.reason


def test_A2_ether_given_to_a_contract_that_only_looks_like_a_batch_is_paid_to_that_contract() -> None:
    one = tx(STRANGER, call("aggregate3Value((address,bool,uint256,bytes)[])", [(PAYEE, False, 5, b"")]), 5)
    assert str(STRANGER) in {paid.to for paid in review(one).payments}
    refused(one, f"no rule allows paying ETH to {STRANGER}", share="")


def test_A2_what_lies_too_deep_or_is_too_much_is_not_looked_into_but_refused() -> None:
    data = erc20.encode_transfer(PAYEE, 5)
    for _ in range(12):
        data = call("multicall(bytes[])", [data])
    refused(tx(COIN, data), "opaque-call")
    many = call("multicall(bytes[])", [erc20.encode_transfer(PAYEE, 0)] * 1001)
    refused(tx(COIN, many), "opaque-call")


def test_A4_a_token_is_its_contract_whatever_it_calls_itself() -> None:
    one = tx(STRANGER, erc20.encode_transfer(PAYEE, 5))
    for lie in ("USDC", "usdc", "USD\u0421", "U\u200bSDC", "\u202eUSDC"):
        said = warnings(seen(one), Known(tokens={COIN: USDC}, symbols={STRANGER: lie}))
        assert [caution.code for caution in said] == ["token-symbol"], ascii(lie)
        assert len(said[0].text) < 200
        assert said[0].text.isascii()
    huge = warnings(seen(one), Known(tokens={COIN: USDC}, symbols={STRANGER: "USDC" * 10**6}))
    assert not huge  # bounded, and another word
    asked = review(one)
    assert asked.payments[0].asset.symbol == "units"
    assert asked.payments[0].asset.decimals == 0
    assert "unknown-token" in codes(asked)
    for decimals in (77, 256, -1):
        with pytest.raises(InvalidInputError):
            Token(1, STRANGER, "LIE", decimals)
    for symbol in ("ETH", "USDC\u202e", "A" * 17, ""):
        with pytest.raises(InvalidInputError):
            Token(1, STRANGER, symbol, 6)


def test_A5_look_alikes_dust_and_nothing_are_warned_of() -> None:
    payee = Address.from_text("0x52908400098527886E0F7030069857D2E4169EE7")
    text = payee.value.hex()
    twins = [
        text[:4] + "0" * 32 + text[-4:],  # both ends
        text[:5] + "1" * 33 + text[-2:],
        text[:20] + "abcdef" + text[26:],  # the middle
        "7" + text[1:],  # the first digit
        text[1:] + "0",  # moved by one place
    ]
    for twin in twins:
        found = seen(tx(Address(bytes.fromhex(twin)), b"", 10**18))
        assert [one.code for one in warnings(found, Known(familiar={payee}))] == ["look-alike"], twin
        assert planted(Address(bytes.fromhex(twin)), 10**18, contract=None, familiar={payee}) is not None
    assert warnings(seen(tx(payee, b"", 1)), Known(familiar={payee})) == ()
    assert warnings(seen(tx(STRANGER, b"", 1)), Known(familiar={payee})) == ()
    nothing = tx(COIN, erc20.encode_transfer_from(PAYEE, STRANGER, 0))
    assert "zero-value" in {one.code for one in warnings(seen(nothing), Known())}
    for amount, contract, code in ((0, COIN, "zero-value"), (1, None, "dust")):
        found_one = planted(STRANGER, amount, contract=contract, familiar={payee})
        assert found_one is not None
        assert found_one.code == code
    assert planted(payee, 1, contract=None, familiar={payee}) is None


def test_A6_checksums_and_payees_that_cannot_be_meant() -> None:
    good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    assert str(Address.from_text(good)) == good
    for text in (
        "0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",  # a letter's case
        good.lower(),
        good[2:],
        "0x5aaEB6053f3e94c9b9a09f33669435E7ef1bEAeD",  # EIP-1191 for chain 30
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
        "0x0",
        good + "0",
    ):
        with pytest.raises(InvalidInputError):
            Address.from_text(text)
    assert "zero-address" in codes(seen(tx(ZERO_ADDRESS, b"", 1)))
    assert "self-payment" in codes(seen(tx(OWN, b"", 1)))
    assert "token-contract" in codes(seen(tx(COIN, b"", 1)))
    assert "token-contract" in codes(seen(tx(COIN, erc20.encode_transfer(COIN, 1))))
    contract = warnings(seen(tx(STRANGER, b"", 1)), Known(contracts={STRANGER}))
    assert [one.code for one in contract] == ["contract-payee"]
    for to in (ZERO_ADDRESS, OWN, COIN):
        refused(tx(to, b"", 10**18), "no rule allows paying")


KEY = b"\x07" * 32


def delegating(chain: int, nonce: int, delegate: Address = STRANGER) -> UnsignedTransaction:
    unsigned = Authorization(chain, delegate, nonce, any_chain=not chain)
    one = SignedAuthorization(unsigned, ecdsa_sign_recoverable(KEY, unsigned.digest()))
    return tx(PAYEE, b"", 10**18, type=SET_CODE, authorization_list=(one,))


DELEGATES = '[[rule]]\nname = "code"\nkind = "allow-delegations"\ndelegates = ["{}"]\n'


def test_C4_a_delegation_needs_a_rule_that_names_its_code() -> None:
    one = delegating(1, 8)
    assert str(STRANGER) in review_text(review(one))
    refused(one, "to run the code of")
    refused(one, "to run the code of", ANYONE)
    refused(one, "to run the code of", DELEGATES.format(PAYEE))
    assert isinstance(decided(one, DELEGATES.format(STRANGER)), Allow)
    ended = delegating(1, 8, ZERO_ADDRESS)
    assert isinstance(decided(ended), Allow)


def test_C4_an_authorization_for_every_chain_needs_a_rule_that_says_so() -> None:
    one = delegating(0, 8)
    refused(one, "on every chain", DELEGATES.format(STRANGER))
    assert isinstance(decided(one, DELEGATES.format(STRANGER) + "any_chain = true\n"), Allow)
    with pytest.raises(InvalidInputError, match="every chain"):
        check_transaction(one)


def test_C4_the_senders_own_authorization_has_the_next_nonce() -> None:
    authority = Address.from_public_key(public_key(KEY))
    one = delegating(1, 7)
    with pytest.raises(InvalidInputError, match="takes effect with 8"):
        check_transaction(one, sender=authority)
    assert "delegation-void" in codes(effects(one, sender=authority))


def test_G1_a_fee_beyond_its_caps_is_refused() -> None:
    fair = tx(PAYEE, b"", 10**18)
    assert isinstance(decided(fair), Allow)
    refused(tx(PAYEE, b"", 10**18, max_fee_per_gas=Wei(10**15)), "over the cap of 0.05 ETH")
    refused(tx(PAYEE, b"", 10**18, gas_limit=30_000_000, max_fee_per_gas=Wei(10**10)), "over the cap of 0.05 ETH")
    refused(tx(PAYEE, b"", 10**14), "over the cap of 20%")
    assert "fee-above-value" in codes(seen(tx(PAYEE, b"", 10**12)))
    with pytest.raises(InvalidInputError, match="above max_fee_per_gas"):
        tx(PAYEE, max_priority_fee_per_gas=Wei(10**10))
    with pytest.raises(InvalidInputError, match="2\\^256"):
        check_transaction(tx(PAYEE, b"", MAX_UINT256))


def test_G1_a_refund_of_a_safe_is_a_payment() -> None:
    data = call(SAFE_TX[0], PAYEE, 0, b"", 0, 0, 10**6, 10**12, ZERO_ADDRESS, STRANGER, b"")
    one = tx(SAFE, data)
    assert "safe-refund" in codes(seen(one))
    refused(one, f"no rule allows paying ETH to {STRANGER}")
