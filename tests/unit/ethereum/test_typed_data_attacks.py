"""Attacks with typed data (EIP-712), E1 to E5, each by its name; the grammar itself is in test_typed_data.py."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from bursar.errors import InvalidInputError
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_effects import typed_data_effects

TOKEN, SPENDER, OWNER = "0x" + "35" * 20, "0x" + "77" * 20, "0x" + "66" * 20
PERMIT: dict[str, Any] = {
    "types": {
        "EIP712Domain": [
            {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"},
        ],
        "Permit": [
            {"name": "owner", "type": "address"}, {"name": "spender", "type": "address"},
            {"name": "value", "type": "uint256"}, {"name": "nonce", "type": "uint256"},
            {"name": "deadline", "type": "uint256"},
        ],
    },
    "primaryType": "Permit",
    "domain": {"name": "USD Coin", "version": "2", "chainId": 1, "verifyingContract": TOKEN},
    "message": {"owner": OWNER, "spender": SPENDER, "value": 5, "nonce": 0, "deadline": 2**40},
}  # fmt: skip


def changed(*path: Any, to: Any) -> dict[str, Any]:
    """The permit with one place set to another value; a callable changes what stands there."""
    body = deepcopy(PERMIT)
    place: Any = body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to(place[path[-1]]) if callable(to) else to
    return body


def read(body: dict[str, Any]) -> TypedData:
    return TypedData.from_json(json.dumps(body))


def refused(body: dict[str, Any] | str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TypedData.from_json(body if isinstance(body, str) else json.dumps(body))
    assert caught.value.code == "input.typed-data"


def test_e1_a_domain_of_another_chain_or_contract_is_told() -> None:
    with pytest.raises(InvalidInputError, match="chain 137"):
        read(changed("domain", "chainId", to=137)).check_chain(1)
    read(PERMIT).check_chain(1)
    unbound = changed("domain", to=lambda domain: {"name": "x"})
    unbound["types"]["EIP712Domain"] = unbound["types"]["EIP712Domain"][:1]
    with pytest.raises(InvalidInputError, match="no chain"):
        read(unbound).check_chain(1)
    assert {one.code for one in typed_data_effects(read(unbound)).cautions} >= {"no-chain", "no-contract"}
    zero = read(changed("domain", "verifyingContract", to="0x" + "00" * 20))
    assert "no-contract" in {one.code for one in typed_data_effects(zero).cautions}


def test_e2_extra_missing_doubled_and_recursive_fields_are_refused() -> None:
    refused(changed("message", to=lambda message: message | {"memo": "rent"}))  # eth-account signs this
    refused(changed("message", to=lambda message: {"owner": OWNER}))
    refused(changed("domain", to=lambda domain: domain | {"salt": "0x" + "00" * 32}))
    refused(changed("domain", to=lambda domain: {"name": "USD Coin"}))
    refused(changed("types", "Permit", to=lambda fields: [*fields, fields[0]]))
    refused(changed("types", "Permit", to=lambda fields: [*fields, {"name": "again", "type": "Permit"}]))
    refused(json.dumps(PERMIT).replace('"nonce": 0', '"nonce": 0, "nonce": 1'))
    refused(PERMIT | {"memo": "rent"})


@pytest.mark.parametrize(
    "value", [5.0, "5.0", " 5", "05", "5e0", "+5", True, None, [], "0x", "0x5g", -1, 2**256, "五", 2**53 + 1, "1_0"]
)
def test_e3_a_number_of_several_readings_is_refused(value: Any) -> None:
    refused(changed("message", "value", to=value))


def test_e3_the_forms_that_all_readers_share_have_one_digest() -> None:
    digest = read(PERMIT).digest()
    for value in ("5", "0x5", "0x05"):
        assert read(changed("message", "value", to=value)).digest() == digest
    signable = encode_typed_data(full_message=PERMIT)
    assert keccak(b"\x19" + signable.version + signable.header + signable.body) == digest
    assert read(changed("message", "owner", to=OWNER.lower())).digest() == digest
    refused(changed("message", "owner", to="0x" + "aA" * 20))


def test_e4_the_primary_type_is_a_struct_that_uses_all_others() -> None:
    refused(PERMIT | {"primaryType": "EIP712Domain", "message": PERMIT["domain"]})
    refused(PERMIT | {"primaryType": "permit"})
    refused(changed("types", to=lambda types: types | {"Order": [{"name": "to", "type": "address"}]}))
    for name in ("uint256", "bytes", "address", "string", "tuple", "function"):
        refused(
            {"types": PERMIT["types"] | {name: PERMIT["types"]["Permit"]}, "primaryType": name}
            | {"domain": PERMIT["domain"], "message": PERMIT["message"]}
        )


def test_e5_a_permit_is_an_allowance_with_its_spender_amount_and_deadline() -> None:
    (allowance,) = typed_data_effects(read(PERMIT)).allowances
    assert (str(allowance.spender).lower(), allowance.amount, allowance.deadline) == (SPENDER, 5, 2**40)
    whole = typed_data_effects(read(changed("message", "value", to=str(2**256 - 1))))
    assert whole.allowances[0].unlimited
    assert "unlimited-allowance" in {one.code for one in whole.cautions}
    order = json.loads(json.dumps(PERMIT).replace("Permit", "SellOrder"))
    assert typed_data_effects(read(order)).suspect
