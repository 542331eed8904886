"""Transactions of types 0, 1 and 2: examples, eth-account as a second implementation, ranges, round trips."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.address import Address
from bursar.ethereum.transaction import (
    ACCESS_LIST,
    BLOB,
    FEE_MARKET,
    LEGACY,
    MAX_GAS_LIMIT,
    MAX_NONCE,
    SET_CODE,
    SignedTransaction,
    UnsignedTransaction,
)
from bursar.ethereum.transaction.rules import check_fields
from bursar.ethereum.units import MAX_UINT256, Wei

AnyTransaction = st.SearchStrategy[UnsignedTransaction]
Make = Callable[..., UnsignedTransaction]
EIPS = json.loads((Path(__file__).parents[2] / "vectors" / "ethereum_eips.json").read_text())
KEY = bytes.fromhex(EIPS["eip155"]["secret_key"])
SENDER = Address.from_public_key(public_key(KEY))


def test_the_worked_example_of_eip_155() -> None:
    example = EIPS["eip155"]
    tx = UnsignedTransaction(
        type=LEGACY,
        chain_id=example["chain_id"],
        nonce=example["nonce"],
        gas_price=Wei(example["gas_price"]),
        gas_limit=example["gas_limit"],
        to=Address.from_text(example["to"]),
        value=Wei(example["value"]),
    )
    assert tx.signing_bytes().hex() == example["signing_bytes"]
    assert tx.digest().hex() == example["digest"]
    signature = ecdsa_sign_recoverable(KEY, tx.digest())
    assert (signature.r, signature.s) == (int(example["r"]), int(example["s"]))
    signed = tx.sign_with(signature)
    assert signed.serialize().hex() == example["raw"]
    assert signed.sender == SENDER
    assert SignedTransaction.parse(bytes.fromhex(example["raw"])) == signed
    assert UnsignedTransaction.parse(bytes.fromhex(example["signing_bytes"])) == tx


def as_eth_account(tx: UnsignedTransaction) -> dict[str, Any]:
    body: dict[str, Any] = {
        "chainId": tx.chain_id, "nonce": tx.nonce, "value": tx.value, "data": tx.data, "gas": tx.gas_limit,
    }  # fmt: skip
    if tx.to is not None:
        body["to"] = str(tx.to)
    if tx.type >= FEE_MARKET:
        body |= {"maxFeePerGas": tx.max_fee_per_gas, "maxPriorityFeePerGas": tx.max_priority_fee_per_gas}
    else:
        body["gasPrice"] = tx.gas_price
    if tx.type != LEGACY:
        body["type"] = tx.type
        body["accessList"] = [
            {"address": str(entry.address), "storageKeys": ["0x" + key.hex() for key in entry.storage_keys]}
            for entry in tx.access_list
        ]
    if tx.type == BLOB:
        body["maxFeePerBlobGas"] = tx.max_fee_per_blob_gas
        body["blobVersionedHashes"] = list(tx.blob_versioned_hashes)
    if tx.type == SET_CODE:
        body["authorizationList"] = [
            {
                "chainId": one.authorization.chain_id, "address": bytes(one.authorization.delegate),
                "nonce": one.authorization.nonce, "yParity": one.signature.y_parity,
                "r": one.signature.r, "s": one.signature.s,
            }
            for one in tx.authorization_list
        ]  # fmt: skip
    return body


@settings(deadline=None)
@given(st.data(), st.integers(1, ORDER - 1))
def test_eth_account_makes_the_same_bytes_hash_and_sender(
    any_transaction: AnyTransaction, data: st.DataObject, secret: int
) -> None:
    tx = data.draw(any_transaction)
    seckey = secret.to_bytes(32, "big")
    signed = tx.sign_with(ecdsa_sign_recoverable(seckey, tx.digest()))
    other = Account.sign_transaction(as_eth_account(tx), seckey)
    assert signed.serialize() == bytes(other.raw_transaction)
    assert signed.hash == "0x" + bytes(other.hash).hex()
    assert str(signed.sender) == Account.from_key(seckey).address
    assert str(signed.sender) == Account.recover_transaction(signed.serialize())


@given(st.data())
def test_round_trips(any_transaction: AnyTransaction, data: st.DataObject) -> None:
    tx = data.draw(any_transaction)
    signed = tx.sign_with(ecdsa_sign_recoverable(KEY, tx.digest()))
    assert UnsignedTransaction.parse(tx.serialize()) == tx
    assert SignedTransaction.parse(signed.serialize()) == signed
    assert signed.unsigned.serialize() == tx.signing_bytes()
    assert UnsignedTransaction.from_json(json.loads(json.dumps(tx.to_json()))) == tx
    assert SignedTransaction.from_json(json.loads(json.dumps(signed.to_json()))) == signed


def test_fees_and_costs(make: Make) -> None:
    assert make().max_gas_price == 30 * 10**9
    assert make().max_fee == 21_000 * 30 * 10**9
    assert make(LEGACY).max_gas_price == 20 * 10**9
    assert type(make(value=5).value) is Wei
    assert type(make(LEGACY, gas_price=5).gas_price) is Wei


# C1: a missing chain id is refused everywhere, and nothing ever has a v of 27 or 28.


@pytest.mark.parametrize("kind", [LEGACY, ACCESS_LIST, FEE_MARKET])
@pytest.mark.parametrize("chain_id", [None, 0, -1, 2**63, True, "1", 1.0])
def test_c1_c3_a_chain_id_is_required_positive_and_bounded(make: Make, kind: int, chain_id: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make(kind, chain_id=chain_id)
    assert caught.value.code == "input.chain-id"


def test_c1_a_stored_transaction_without_chain_id_is_refused(make: Make) -> None:
    for change in ({"chain_id": None}, {"chain_id": 0}):
        with pytest.raises(InvalidInputError) as caught:
            UnsignedTransaction.from_json({**make(LEGACY).to_json(), **change})
        assert caught.value.code == "input.chain-id"
    body = make(LEGACY).to_json()
    del body["chain_id"]
    with pytest.raises(InvalidInputError) as caught:
        UnsignedTransaction.from_json(body)
    assert caught.value.code == "input.chain-id"


def test_c1_raw_bytes_with_v_27_or_28_are_refused() -> None:
    body = {"nonce": 9, "gasPrice": 1, "gas": 21000, "to": "0x" + "35" * 20, "value": 1, "data": b""}
    raw = bytes(Account.sign_transaction(body, KEY).raw_transaction)  # eth-account signs it, replayable everywhere
    with pytest.raises(InvalidInputError, match="v 27 and 28") as caught:
        SignedTransaction.parse(raw)
    assert caught.value.code == "input.chain-id"


@pytest.mark.parametrize("chain_id", [1, 2, 109, 110, 111, 112, 2**31 - 1, 2**31, 2**53, 2**63 - 37])
@pytest.mark.parametrize("secret", [1, 2, 3, 4])
def test_c3_v_has_any_width_and_the_sender_is_recovered(make: Make, chain_id: int, secret: int) -> None:
    seckey = secret.to_bytes(32, "big")
    tx = make(LEGACY, chain_id=chain_id)
    signed = tx.sign_with(ecdsa_sign_recoverable(seckey, tx.digest()))
    again = SignedTransaction.parse(signed.serialize())
    assert again.unsigned.chain_id == chain_id
    assert again.sender == Address.from_public_key(public_key(seckey))


def test_c3_chain_id_0_in_raw_bytes_is_refused(make: Make) -> None:
    signed = make(LEGACY).sign_with(EcdsaSignature(1, 1, 0)).serialize()
    assert signed[-3] == 37
    for v in (35, 36):
        with pytest.raises(InvalidInputError, match="chain id 0"):
            SignedTransaction.parse(signed[:-3] + bytes((v,)) + signed[-2:])
    for v in (0, 1, 26, 29, 34):
        with pytest.raises(InvalidInputError):
            SignedTransaction.parse(signed[:-3] + (bytes((v,)) if v else b"\x80") + signed[-2:])


# Ranges: what eth-account signs without a word is refused here.


@pytest.mark.parametrize(
    "changes",
    [
        {"value": MAX_UINT256 + 1}, {"value": -1}, {"value": 1.0}, {"value": True}, {"value": None}, {"value": "1"},
        {"nonce": MAX_NONCE + 1}, {"nonce": -1}, {"nonce": None}, {"nonce": 1.0}, {"nonce": False},
        {"gas_limit": MAX_GAS_LIMIT + 1}, {"gas_limit": -1}, {"gas_limit": "21000"},
        {"to": None}, {"to": b"\x35" * 20}, {"to": "0x3535353535353535353535353535353535353535"},
        {"data": bytearray(b"\x01")}, {"data": "0x"}, {"data": None},
        {"type": 3}, {"type": 4}, {"type": -1}, {"type": "2"}, {"type": True}, {"type": None},
        {"access_list": []}, {"access_list": ((PAYEE_BYTES := b"\x35" * 20, ()),)}, {"access_list": None},
    ],
)  # fmt: skip
def test_fields_out_of_range_are_refused(make: Make, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make(**changes)
    assert caught.value.code.startswith("input.")


def test_g1_fees_out_of_range_are_refused(make: Make) -> None:
    with pytest.raises(InvalidInputError, match="above max_fee_per_gas") as caught:
        make(max_priority_fee_per_gas=Wei(30 * 10**9 + 1))
    assert caught.value.code == "input.fee"
    assert make(max_priority_fee_per_gas=Wei(30 * 10**9)).max_priority_fee_per_gas == 30 * 10**9
    for kind, name in ((LEGACY, "gas_price"), (ACCESS_LIST, "gas_price"), (FEE_MARKET, "max_fee_per_gas")):
        assert make(kind, **{name: Wei(MAX_UINT256 // 21_000)}).max_fee <= MAX_UINT256
        with pytest.raises(InvalidInputError, match="more than 2"):
            make(kind, **{name: Wei(MAX_UINT256 // 21_000 + 1)})
        for price in (None, -1, MAX_UINT256 + 1, 1.0):
            with pytest.raises(InvalidInputError):
                make(kind, **{name: price})
    with pytest.raises(InvalidInputError):
        make(max_priority_fee_per_gas=None)


def test_fields_of_another_type_are_refused(make: Make) -> None:
    with pytest.raises(InvalidInputError, match="no gas_price"):
        make(FEE_MARKET, gas_price=Wei(1))
    for kind in (LEGACY, ACCESS_LIST):
        with pytest.raises(InvalidInputError):
            make(kind, max_fee_per_gas=Wei(1))
        with pytest.raises(InvalidInputError):
            make(kind, max_priority_fee_per_gas=Wei(1))
    with pytest.raises(InvalidInputError, match="no access list"):
        make(LEGACY, access_list=(AccessListEntry(Address(bytes(20))),))


def test_access_list_entries_are_checked() -> None:
    for keys in ((bytes(31),), (bytes(33),), (bytearray(32),), ("00" * 32,)):
        with pytest.raises(InvalidInputError):
            AccessListEntry(Address(bytes(20)), keys)
    with pytest.raises(InvalidInputError):
        AccessListEntry(bytes(20))  # type: ignore[arg-type]


def test_signatures_that_could_be_changed_or_name_nobody_are_refused(make: Make) -> None:
    tx = make()
    signature = ecdsa_sign_recoverable(KEY, tx.digest())
    high = EcdsaSignature(signature.r, ORDER - signature.s, 1 - (signature.y_parity or 0))
    with pytest.raises(InvalidSignatureError, match="upper half"):
        tx.sign_with(high)
    with pytest.raises(InvalidSignatureError, match="no parity"):
        tx.sign_with(EcdsaSignature(signature.r, signature.s))
    other = tx.sign_with(EcdsaSignature(signature.r, signature.s, 1 - (signature.y_parity or 0)))
    assert other.sender != SENDER


def test_values_are_frozen_equal_and_hashable(make: Make) -> None:
    tx = make()
    with pytest.raises(AttributeError):
        tx.nonce = 1  # type: ignore[misc]
    same = make()
    same.signing_bytes()
    assert tx == same
    assert hash(tx) == hash(same)
    assert "_body" not in repr(same)


@given(st.data())
def test_the_quick_look_lets_nothing_pass_that_the_full_check_refuses(
    any_transaction: AnyTransaction, data: st.DataObject
) -> None:
    tx = data.draw(any_transaction)
    check_fields(tx)
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert dataclasses.replace(tx, nonce=5).nonce == 5


VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "ethereum_transactions.json").read_text())


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_vectors_of_every_type(case: dict[str, Any]) -> None:
    raw = bytes.fromhex(case["raw"])
    signed = SignedTransaction.parse(raw)
    tx, fields = signed.unsigned, case["fields"]
    assert (str(signed.sender), signed.hash) == (VECTORS["sender"], case["hash"])
    assert (tx.type, tx.chain_id, tx.nonce) == (fields.get("type", LEGACY), fields["chainId"], fields["nonce"])
    assert (tx.to and str(tx.to), tx.value, tx.gas_limit) == (fields.get("to"), int(fields["value"]), fields["gas"])
    assert ("0x" + tx.data.hex(), tx.max_gas_price) == (
        fields["data"],
        int(fields["maxFeePerGas"] if tx.type == FEE_MARKET else fields["gasPrice"]),
    )
    entries = [
        {"address": str(entry.address), "storageKeys": ["0x" + key.hex() for key in entry.storage_keys]}
        for entry in tx.access_list
    ]
    assert entries == fields.get("accessList", [])
    again = tx.sign_with(ecdsa_sign_recoverable(bytes.fromhex(VECTORS["secret_key"]), tx.digest()))
    assert again.serialize() == raw
