"""Inputs made to have money leave, or be let to leave, past a policy that should refuse them; named by the trick."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bursar.chain.ethereum_reading import SimulatedTransfer, Simulation
from bursar.chain.simulation_check import compare
from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.ethereum import token as erc20
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.review import effects
from bursar.ethereum.safe import MultiSendCall, Operation, Safe, SafeTransaction, SafeVersion, encode_multi_send
from bursar.ethereum.safe.review import safe_cautions
from bursar.ethereum.token import Token
from bursar.ethereum.transaction import FEE_MARKET, UnsignedTransaction
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.units import Wei
from bursar.ethereum.user_operation import EntryPoint, EntryPointVersion, UserOperation
from bursar.policy.ethereum_effects import review_parts
from bursar.policy.history import History
from bursar.policy.policy import DEFAULT_POLICY_TOML, RulePolicy
from bursar.policy.render import review_text
from bursar.policy.review import Asset, Called, Review
from bursar.policy.typed_data import gives_nothing, review_of_typed_data
from bursar.policy.verdict import Allow, Deny
from bursar.wallet.canonical import canonical_json
from bursar.wallet.review_json import review_from_json, review_to_json

OWN, PAYEE, THIEF = (Address(bytes((number,)) * 20) for number in (0xA1, 0xB0, 0xEE))
NUMBERED, COIN, SAFE = (Address(bytes((number,)) * 20) for number in (0xD7, 0xC0, 0x5A))
USDC = Token(1, COIN, "USDC", 6)
MULTICALL3 = Address.from_text("0xcA11bde05977b3631167028862bE2a173976CA11")
ETH = Asset("ethereum", "eip155:1", "ETH", 18)
HISTORY = History(datetime(2026, 11, 22, tzinfo=UTC))
TO_PAYEE = f'version = 1\n[[rule]]\nname = "known"\nkind = "allow-list"\naddresses = ["{PAYEE}"]\n'
CREATIONS = '[[rule]]\nname = "make"\nkind = "allow-creations"\n'
PERMIT = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
ANYONE = '[[rule]]\nname = "anyone"\nkind = "allow-any"\n'


def tx(to: Address | None, data: bytes = b"", value: int = 0) -> UnsignedTransaction:
    return UnsignedTransaction(
        type=FEE_MARKET, chain_id=1, nonce=7, to=to, value=Wei(value), data=data, gas_limit=100_000,
        max_fee_per_gas=Wei(10**9), max_priority_fee_per_gas=Wei(10**8),
    )  # fmt: skip


def review(one: UnsignedTransaction, *tokens: Token) -> Review:
    parts = review_parts(effects(one, sender=OWN, tokens={held.contract: held for held in tokens}), coin=ETH)
    return Review(
        "ethereum", "eip155:1", "desk", parts.payments, (), int(one.max_fee), int(one.max_fee), ETH, "1 gwei",
        parts.warnings, allowances=parts.allowances, delegations=parts.delegations, calls=parts.calls,
    )  # fmt: skip


def refused(one: Review, rules: str = DEFAULT_POLICY_TOML) -> str:
    verdict = RulePolicy.from_toml(rules).decide(one, HISTORY)
    assert isinstance(verdict, Deny), verdict
    return verdict.reason


def allowed(one: Review, rules: str = DEFAULT_POLICY_TOML) -> None:
    assert isinstance(RulePolicy.from_toml(rules).decide(one, HISTORY), Allow)


def call(signature: str, *values: Any) -> bytes:
    return AbiFunction.from_text(signature).encode_call(*values)


def codes(one: Any) -> set[str]:
    return {caution.code for caution in one}


def test_the_token_number_zero_is_not_given_away_as_an_allowance_taken_back() -> None:
    given = review(tx(NUMBERED, erc20.encode_approve(THIEF, 0)))
    for rules in (DEFAULT_POLICY_TOML, TO_PAYEE):
        assert "to take units" in refused(given, rules)
    assert "units number 0" in review_text(given)
    allowed(review(tx(COIN, erc20.encode_approve(THIEF, 0)), USDC))  # of a token that is known to have none
    allowed(review(tx(NUMBERED, erc20.encode_approve(ZERO_ADDRESS, 0))))


@pytest.mark.parametrize(
    ("standard", "data"),
    [
        ("erc1155", erc20.encode_transfer_from(OWN, THIEF, 5)),
        ("erc1155", erc20.encode_transfer(THIEF, 5)),
        ("erc1155", erc20.encode_approve(THIEF, 0)),
        ("erc721", call(PERMIT, OWN, THIEF, 0, 9, 27, bytes(32), bytes(32))),
        ("erc20", call("safeTransferFrom(address,address,uint256)", OWN, THIEF, 5)),
        ("erc20", call("permit(address,uint256,uint256,bytes)", THIEF, 5, 9, b"")),
    ],
    ids=["1155-transferFrom", "1155-transfer", "1155-approve", "721-permit", "20-safeTransferFrom", "20-permit"],
)
def test_a_function_of_another_standard_than_the_registered_one_is_not_understood(standard: str, data: bytes) -> None:
    """Contracts of several standards at once exist: their numbers are whole units, their transferFrom is one more."""
    found = review(tx(NUMBERED, data), Token(1, NUMBERED, "GAME", 0, standard))
    assert "opaque-call" in refused(found)
    assert "opaque-call" in refused(found, f"version = 1\n{ANYONE}")


def test_what_nobody_understood_is_opaque_whatever_the_warnings_of_a_record_say() -> None:
    bare = review(tx(PAYEE))
    edited = Review(
        bare.chain, bare.network, bare.account, (), (), 1, 1, ETH, "1 gwei",
        calls=(Called(str(PAYEE), 0, "multicall", calls=(Called(str(THIEF), 0, "drain", understood=False),)),),
    )  # fmt: skip
    assert "opaque-call" in refused(edited)
    allowed(edited, f'{DEFAULT_POLICY_TOML}\n[[rule]]\nname = "x"\nkind = "allow-calls"\ncontracts = ["{THIEF}"]\n')


def test_ether_given_to_a_new_contract_counts_as_paid() -> None:
    rules = DEFAULT_POLICY_TOML + CREATIONS
    allowed(review(tx(None, b"\x60\x00", 10**18)), rules)
    assert "over the limit" in refused(review(tx(None, b"\x60\x00", 11 * 10**18)), rules)
    assert "no rule allows paying" in refused(review(tx(None, b"\x60\x00", 1)), TO_PAYEE + CREATIONS)
    made = Address(keccak256(rlp.encode([OWN.value, b"\x07"]))[12:])
    assert [(one.to, one.amount) for one in review(tx(None, b"\x60\x00", 5)).payments] == [(str(made), 5)]


def test_a_call_that_may_fail_leaves_its_ether_to_the_batch() -> None:
    kinds = "aggregate3Value((address,bool,uint256,bytes)[])"
    sure = review(tx(MULTICALL3, call(kinds, [(PAYEE, False, 5, b"")]), 5))
    allowed(sure, TO_PAYEE)
    may_fail = review(tx(MULTICALL3, call(kinds, [(PAYEE, True, 5, b"")]), 5))
    assert str(MULTICALL3) in refused(may_fail, TO_PAYEE)


def test_a_mode_of_execution_that_is_not_known_is_not_read_as_a_batch() -> None:
    rows = AbiFunction.from_text("x((address,uint256,bytes)[])").encode_call([(PAYEE, 5, b"")])[4:]
    for mode, plain in (("01", True), ("0100000000007821000100", True), ("0100000000007821000200", False)):
        data = call("execute(bytes32,bytes)", bytes.fromhex(mode).ljust(32, b"\0"), rows)
        found = effects(tx(SAFE, data), sender=OWN)
        assert found.decoded is plain
        assert ("opaque-call" in codes(found.cautions)) is not plain


DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]


def signed(fields: list[tuple[str, str]], name: str, contract: Address | None = COIN, **values: Any) -> Review:
    zeros: dict[str, Any] = {"address": PAYEE, "bytes": b"", "bytes32": bytes(32), "bytes32[]": (), "string": ""}
    message = {field: values.get(field, zeros.get(kind, 0)) for field, kind in fields}
    domain: dict[str, Any] = {"name": "x", "version": "1", "chainId": 1}
    kinds = DOMAIN[:3]
    if contract is not None:
        domain["verifyingContract"], kinds = contract, DOMAIN
    typed = TypedData.of({"EIP712Domain": kinds, name: fields}, name, domain, message)
    return review_of_typed_data(typed, account="desk", chain_id=1, tokens={})


NUMBERS = [(name, "uint256") for name in ("txType", "from", "to", "gasLimit", "maxFeePerGas", "nonce", "value")]
ROLLUP = [*NUMBERS, ("data", "bytes"), ("factoryDeps", "bytes32[]"), ("paymasterInput", "bytes")]
VENUE = [("destination", "string"), ("amount", "string"), ("time", "uint64")]


@pytest.mark.parametrize(
    ("fields", "name", "contract"),
    [
        (ROLLUP, "Transaction", None),  # the whole transaction of a ZK Stack chain, its addresses as numbers
        (ROLLUP, "Thing", None),
        (VENUE, "Thing", ZERO_ADDRESS),  # withdrawals of venues, addresses and amounts as texts
        (VENUE[:1], "UsdSend", ZERO_ADDRESS),
        ([("source", "string"), ("connectionId", "bytes32")], "Connection", ZERO_ADDRESS),  # any action by its hash
        ([("root", "bytes32")], "Root", COIN),  # a tree of orders to sell
        ([("message", "bytes")], "SafeMessage", SAFE),  # EIP-1271: whatever the Safe may sign
        ([("hash", "bytes32")], "Kernel", SAFE),  # the same of smart accounts
        ([("nonce", "bytes32[]")], "Thing", COIN),
        ([("operator", "uint256")], "Thing", COIN),
    ],
)
def test_typed_data_that_is_a_transaction_or_hides_one_is_put_to_the_policy(
    fields: list[tuple[str, str]], name: str, contract: Address | None
) -> None:
    found = signed(fields, name, contract)
    assert not gives_nothing(found)
    assert "opaque-call" in codes(found.warnings)
    refused(found)


def test_votes_and_letters_are_still_free() -> None:
    vote = [("from", "address"), ("space", "string"), ("timestamp", "uint64"), ("proposal", "bytes32")]
    vote += [("choice", "uint32"), ("reason", "string"), ("app", "string"), ("metadata", "string")]
    assert gives_nothing(signed(vote, "Vote", None))
    assert not gives_nothing(signed([*vote, ("extra", "string")], "Vote", None))
    assert gives_nothing(signed([("to", "address"), ("contents", "string"), ("nonce", "bytes32")], "Mail"))


@pytest.mark.parametrize("gas", [0, 10**6])
def test_a_zero_paymaster_does_not_hide_what_the_account_pays(gas: int) -> None:
    """Entry points 0.6 and 0.7 take it for none: the account pays, to whoever sends the operation."""
    one = UserOperation(
        sender=SAFE, nonce=0, call_gas_limit=1, verification_gas_limit=1, pre_verification_gas=10**12,
        max_fee_per_gas=10**9, max_priority_fee_per_gas=1, paymaster=ZERO_ADDRESS,
        paymaster_verification_gas_limit=gas, paymaster_post_op_gas_limit=gas,
    )  # fmt: skip
    point = EntryPoint.known(EntryPointVersion.V08, 1)
    found = review_of_typed_data(one.typed_data(point), account="desk", chain_id=1, tokens={})
    assert found.max_fee == one.max_gas_cost
    assert "over the cap" in refused(found)
    packed = [*one.packed(point).values(), b""]
    fields = "(address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[]"
    sent = effects(tx(point.address, call(f"handleOps({fields},address)", [packed], THIEF)), sender=OWN)
    assert [(said.recipient, said.amount) for said in sent.movements] == [(THIEF, one.max_gas_cost)]


def test_a_batch_that_calls_the_zero_address_calls_the_safe_itself() -> None:
    """MultiSend 1.5.0 takes the zero address for the Safe, which may change who owns it."""
    data = call("addOwnerWithThreshold(address,uint256)", THIEF, 1)
    batch = encode_multi_send([MultiSendCall(ZERO_ADDRESS, data=data)])
    for contract in ("0x218543288004CD07832472D464648173c77D7eB7", "0xA83c336B20401Af773B6219BA5027174338D1836"):
        one = SafeTransaction(
            safe=Safe(1, SAFE, SafeVersion(1, 5, 0)), to=Address.from_text(contract), data=batch,
            operation=Operation.DELEGATE_CALL, nonce=3,
        )  # fmt: skip
        assert codes(safe_cautions(one)) == {"safe-change"}
        found = review_of_typed_data(one.typed_data(), account="desk", chain_id=1, tokens={})
        assert codes(found.warnings) == {"safe", "safe-change"}
        assert "safe-change" in refused(found)


def simulated(*moved: SimulatedTransfer) -> Simulation:
    return Simulation(method="test", succeeded=True, gas_used=1, transfers=moved, approvals=(), complete=True)


def test_calldata_cannot_make_a_thief_one_of_the_owners_of_what_moves() -> None:
    blind = call("multicall(bytes[])", [erc20.encode_transfer_from(THIEF, PAYEE, 0), b"\xde\xad\xbe\xef"])
    said = effects(tx(NUMBERED, blind), sender=OWN)
    for contract in (COIN, None):
        taken = compare(said, simulated(SimulatedTransfer(contract, OWN, THIEF, 9)), sender=OWN)
        assert codes(taken) == {"simulation-differs"}


def test_a_node_that_tells_of_more_ether_than_exists_is_answered() -> None:
    most = SimulatedTransfer(None, OWN, THIEF, (1 << 256) - 1)
    assert "wei" in compare(effects(tx(PAYEE)), simulated(most, most), sender=OWN)[0].text


def test_more_than_all_ether_is_written_down_and_read_back() -> None:
    """A record that can be written and not read would end every later look at the wallet."""
    most = (1 << 256) - 1
    kinds = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
    refund = call(kinds, PAYEE, 0, b"", 0, most, most, most, ZERO_ADDRESS, THIEF, b"")
    fields = "(address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes)[]"
    dear = (SAFE, 0, b"", b"", most, most, most, most, most, b"", b"")
    for data in (refund, call(f"handleOps({fields},address)", [dear], THIEF)):
        found = review(tx(SAFE, data))
        assert [one.amount for one in found.payments if one.to == str(THIEF)] == [most]
        assert review_from_json(json.loads(canonical_json(review_to_json(found)))) == found


def test_the_worst_is_shown_first_where_not_everything_is() -> None:
    noise = [erc20.encode_approve(Address(number.to_bytes(20, "big")), 5) for number in range(1, 300)]
    ends = call("setApprovalForAll(address,bool)", THIEF, True)
    text = review_text(review(tx(NUMBERED, call("multicall(bytes[])", [*noise, ends, b"\xde\xad\xbe\xef"]))))
    assert f"ALL units, now and later\n    by  {THIEF}" in text
    assert f"! {THIEF} may take every token of {NUMBERED}" in text
    assert "selector 0xdeadbeef" in text
    assert "200 more allowances that are not shown" in text
