"""What typed data lets others do: permits of every form told as allowances, and what only looks like one."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.ethereum.address import Address
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_effects import leaves, typed_data_effects
from bursar.ethereum.units import MAX_UINT256

DOMAIN = [("name", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
OWNER, SPENDER, TOKEN, PERMIT2 = (Address(bytes((byte,)) * 20) for byte in (1, 2, 3, 4))
DETAILS = [("token", "address"), ("amount", "uint160"), ("expiration", "uint48"), ("nonce", "uint48")]
HELD = {"token": TOKEN, "amount": 5, "expiration": 100, "nonce": 0}
PERMITTED = [("token", "address"), ("amount", "uint256")]


def typed(types: dict[str, Any], message: dict[str, Any], *, contract: Address = PERMIT2) -> TypedData:
    domain = {"name": "Test", "chainId": 1, "verifyingContract": contract}
    return TypedData.of({"EIP712Domain": DOMAIN, **types}, next(iter(types)), domain, message)


def permit(value: int = 5) -> TypedData:
    fields = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    message = {"owner": OWNER, "spender": SPENDER, "value": value, "nonce": 0, "deadline": 99}
    return typed({"Permit": [*fields, ("deadline", "uint256")]}, message, contract=TOKEN)


def codes(one: TypedData) -> set[str]:
    return {caution.code for caution in typed_data_effects(one).cautions}


def test_a_permit_of_eip_2612_is_an_allowance() -> None:
    (one,) = typed_data_effects(permit()).allowances
    assert (one.spender, one.contract, one.amount, one.deadline) == (SPENDER, TOKEN, 5, 99)
    assert not one.unlimited
    assert codes(permit()) == {"allowance"}
    assert codes(permit(MAX_UINT256)) == {"unlimited-allowance"}
    assert codes(permit(0)) == set()


def dai(allowed: bool) -> TypedData:
    fields = [("holder", "address"), ("spender", "address"), ("nonce", "uint256"), ("expiry", "uint256")]
    message = {"holder": OWNER, "spender": SPENDER, "nonce": 0, "expiry": 0, "allowed": allowed}
    return typed({"Permit": [*fields, ("allowed", "bool")]}, message, contract=TOKEN)


def test_the_permit_of_dai_is_all_or_nothing() -> None:
    assert codes(dai(True)) == {"unlimited-allowance"}
    assert typed_data_effects(dai(False)).allowances[0].amount == 0


def test_a_permit_of_one_token_number() -> None:
    fields = [("spender", "address"), ("tokenId", "uint256"), ("nonce", "uint256"), ("deadline", "uint256")]
    message = {"spender": SPENDER, "tokenId": MAX_UINT256, "nonce": 0, "deadline": 99}
    (one,) = typed_data_effects(typed({"Permit": fields}, message, contract=TOKEN)).allowances
    assert (one.token_id, one.amount, one.unlimited) == (MAX_UINT256, 1, False)


def permit2(kind: str) -> TypedData:
    many = "Batch" in kind
    rest = [("spender", "address"), ("nonce", "uint256"), ("deadline", "uint256")]
    values: dict[str, Any] = {"spender": SPENDER, "nonce": 1, "deadline": 99}
    if "Transfer" not in kind:
        held: Any = HELD
        types: dict[str, Any] = {
            kind: [("details", "PermitDetails" + "[]" * many), ("spender", "address"), ("sigDeadline", "uint256")],
            "PermitDetails": DETAILS,
        }
        message = {"details": (held, held) if many else held, "spender": SPENDER, "sigDeadline": 99}
    else:
        held = {"token": TOKEN, "amount": 5}
        types = {kind: [("permitted", "TokenPermissions" + "[]" * many), *rest], "TokenPermissions": PERMITTED}
        message = {"permitted": (held, held) if many else held, **values}
        if "Witness" in kind:
            types[kind].append(("witness", "Order"))
            types["Order"] = [("whatever", "bool")]
            message["witness"] = {"whatever": True}
    return typed(types, message)


@pytest.mark.parametrize(
    "kind",
    [
        "PermitSingle",
        "PermitBatch",
        "PermitTransferFrom",
        "PermitBatchTransferFrom",
        "PermitWitnessTransferFrom",
        "PermitBatchWitnessTransferFrom",
    ],
)
def test_permit2_in_all_its_forms(kind: str) -> None:
    found = typed_data_effects(permit2(kind))
    assert len(found.allowances) == 1 + ("Batch" in kind)
    for one in found.allowances:
        assert (one.spender, one.contract, one.amount, one.deadline) == (SPENDER, TOKEN, 5, 99)
        assert one.until == (100 if "Transfer" not in kind else None)
    assert not found.suspect


@pytest.mark.parametrize("name", ["TransferWithAuthorization", "ReceiveWithAuthorization"])
def test_a_payment_by_signature(name: str) -> None:
    fields = [("from", "address"), ("to", "address"), ("value", "uint256"), ("validAfter", "uint256")]
    fields += [("validBefore", "uint256"), ("nonce", "bytes32")]
    message = {"from": OWNER, "to": SPENDER, "value": 7, "validAfter": 0, "validBefore": 9, "nonce": bytes(32)}
    found = typed_data_effects(typed({name: fields}, message, contract=TOKEN))
    (one,) = found.movements
    assert (one.recipient, one.amount, one.contract, one.owner) == (SPENDER, 7, TOKEN, OWNER)
    assert [caution.code for caution in found.cautions] == ["payment"]


def safe(operation: int) -> TypedData:
    fields = [("to", "address"), ("value", "uint256"), ("data", "bytes"), ("operation", "uint8")]
    fields += [(name, "uint256") for name in ("safeTxGas", "baseGas", "gasPrice")]
    fields += [("gasToken", "address"), ("refundReceiver", "address"), ("nonce", "uint256")]
    zeros: dict[str, Any] = {name: 0 if kind.startswith("uint") else Address(bytes(20)) for name, kind in fields}
    return typed({"SafeTx": fields}, {**zeros, "data": b"", "operation": operation})


def test_a_safes_delegate_call() -> None:
    assert codes(safe(0)) == {"safe"}
    assert codes(safe(1)) == {"safe", "delegate-call"}


@pytest.mark.parametrize(
    ("types", "message"),
    [
        # one field more than the standard's: no longer its exact form
        ({"Permit": [("spender", "address"), ("value", "uint256")]}, {"spender": SPENDER, "value": 1}),
        ({"Grant": [("operator", "address")]}, {"operator": SPENDER}),
        ({"OrderComponents": [("start", "uint256")]}, {"start": 1}),
        ({"Call": [("inner", "ApprovalRequest")], "ApprovalRequest": [("a", "bool")]}, {"inner": {"a": True}}),
        ({"Delegation": [("nonce", "uint256")]}, {"nonce": 1}),
    ],
)
def test_what_looks_like_an_allowance_is_suspect(types: dict[str, Any], message: dict[str, Any]) -> None:
    found = typed_data_effects(typed(types, message))
    assert found.suspect
    assert [caution.code for caution in found.cautions] == ["opaque-call"]


def test_a_letter_is_not_suspect() -> None:
    one = typed({"Mail": [("to", "address"), ("contents", "string")]}, {"to": OWNER, "contents": "permit me"})
    assert typed_data_effects(one).cautions == ()


def test_a_domain_that_binds_nothing() -> None:
    one = TypedData.of(
        {"EIP712Domain": [("name", "string")], "Mail": [("a", "bool")]}, "Mail", {"name": "x"}, {"a": True}
    )
    assert codes(one) == {"no-chain", "no-contract"}
    assert codes(typed({"Mail": [("a", "bool")]}, {"a": True}, contract=Address(bytes(20)))) == {"no-contract"}


def test_every_value_has_a_place() -> None:
    types = {"A": [("list", "B[][2]"), ("none", "uint8[]"), ("b", "B")], "B": [("x", "uint8"), ("y", "bytes")]}
    b = {"x": 1, "y": b""}
    one = typed(types, {"list": ((b,), ()), "none": (), "b": b})
    assert [(place, kind) for place, kind, _ in leaves(one)] == [
        ("domain.name", "string"),
        ("domain.chainId", "uint256"),
        ("domain.verifyingContract", "address"),
        ("list[0][0].x", "uint8"),
        ("list[0][0].y", "bytes"),
        ("list[1]", "B[]"),
        ("none", "uint8[]"),
        ("b.x", "uint8"),
        ("b.y", "bytes"),
    ]
