"""Authorizations (EIP-7702): eth-account as a second implementation, refusals, and those of a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto import rlp
from bursar.crypto.secp256k1 import ORDER, EcdsaSignature, ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.transaction import SET_CODE, SignedTransaction, UnsignedTransaction
from bursar.ethereum.validity import check_transaction

Make = Callable[..., UnsignedTransaction]
KEY = b"\x46" * 32
ME = Address.from_public_key(public_key(KEY))
CODE = Address(b"\x77" * 20)


def signed(one: Authorization, key: bytes = KEY) -> SignedAuthorization:
    return one.sign_with(ecdsa_sign_recoverable(key, one.digest()))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**62), st.binary(min_size=20, max_size=20), st.integers(0, 2**64 - 2))
def test_eth_account_signs_the_same(chain_id: int, delegate: bytes, nonce: int) -> None:
    ours = signed(Authorization(chain_id, Address(delegate), nonce, any_chain=not chain_id))
    body = {"chainId": chain_id, "address": delegate, "nonce": nonce}
    theirs = Account.sign_authorization(body, KEY)
    assert (ours.signature.r, ours.signature.s, ours.signature.y_parity) == (theirs.r, theirs.s, theirs.y_parity)
    assert ours.authorization.digest() == bytes(theirs.authorization_hash)
    assert bytes(ours.authority) == theirs.authority
    assert SignedAuthorization.from_json(ours.to_json()) == ours
    item: Any = rlp.decode(ours.encode())
    assert SignedAuthorization.decode(item) == ours


def test_C4_an_authorization_for_every_chain_has_to_be_meant() -> None:
    with pytest.raises(InvalidInputError, match="every chain"):
        Authorization(0, CODE, 1)
    for wrong in (1, None, True, "0"):
        with pytest.raises(InvalidInputError, match="chain id 0"):
            Authorization(wrong, CODE, 1, any_chain=True)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="True or False"):
        Authorization(0, CODE, 1, any_chain=1)  # type: ignore[arg-type]
    assert Authorization(0, CODE, 1, any_chain=True).any_chain


@pytest.mark.parametrize(
    "fields",
    [(None, CODE, 1), (-1, CODE, 1), ("1", CODE, 1), (2**63, CODE, 1), (1, bytes(20), 1), (1, CODE, -1),
     (1, CODE, 2**64 - 1), (1, CODE, True), (1, CODE, None)],
)  # fmt: skip
def test_fields_out_of_range_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidInputError):
        Authorization(*fields)


def test_s1_malleable_and_unrecoverable_signatures_are_refused() -> None:
    good = signed(Authorization(1, CODE, 1))
    one = good.signature
    with pytest.raises(InvalidSignatureError, match="upper half"):
        good.authorization.sign_with(EcdsaSignature(one.r, ORDER - one.s, 1 - (one.y_parity or 0)))
    with pytest.raises(InvalidSignatureError, match="parity"):
        good.authorization.sign_with(EcdsaSignature(one.r, one.s))
    with pytest.raises(InvalidInputError):
        SignedAuthorization(good.authorization, b"")  # type: ignore[arg-type]


INTEGERS: tuple[Any, ...] = ([], b"\x00", b"\x00\x01", b"\x01" * 33)
N, BELOW_N = ORDER.to_bytes(32, "big"), (ORDER - 1).to_bytes(32, "big")
HOSTILE: dict[int, tuple[Any, ...]] = {
    0: (*INTEGERS, b"\xff" * 8),
    1: ([], b"", b"\x01" * 19, b"\x01" * 21),
    2: (*INTEGERS, b"\xff" * 8),
    3: (*INTEGERS, b"\x02", b"\x1b"),
    4: (*INTEGERS, b"", N),
    5: (*INTEGERS, b"", N, BELOW_N),
}


@pytest.mark.parametrize("place", range(6))
def test_malformed_tuples_are_refused(make: Make, place: int) -> None:
    tx = make(SET_CODE, authorization_list=(signed(Authorization(1, CODE, 10)),))
    raw = tx.sign_with(EcdsaSignature(5, 5, 0)).serialize()
    items: Any = rlp.decode(raw[1:])
    tuples = items[9][0]
    for item in HOSTILE[place]:
        items[9] = [[*tuples[:place], item, *tuples[place + 1 :]]]
        with pytest.raises(InvalidInputError):
            SignedTransaction.parse(b"\x04" + rlp.encode(items))
    for changed in ([tuples[:-1]], [[*tuples, b""]], [b""], b"", []):
        items[9] = changed
        with pytest.raises(InvalidInputError):
            SignedTransaction.parse(b"\x04" + rlp.encode(items))


@pytest.mark.parametrize(
    "change",
    [{"authorization_list": ()}, {"authorization_list": []}, {"authorization_list": (1,)}, {"to": None, "data": b"x"},
     {"type": 2}, {"max_fee_per_blob_gas": 1}, {"blob_versioned_hashes": (b"\x01" * 32,)}],
)  # fmt: skip
def test_authorizations_belong_to_type_4(make: Make, change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        make(SET_CODE, **change)


def test_C4_authorizations_of_a_transaction_are_for_its_chain(make: Make) -> None:
    wild = make(SET_CODE, authorization_list=(signed(Authorization(0, CODE, 10, any_chain=True)),))
    with pytest.raises(InvalidInputError, match="every chain") as caught:
        check_transaction(wild)
    assert caught.value.code == "input.chain-id"
    check_transaction(wild, any_chain=True)
    other = make(SET_CODE, authorization_list=(signed(Authorization(5, CODE, 10)),))
    with pytest.raises(InvalidInputError, match="for chain 5"):
        check_transaction(other, any_chain=True)


def test_C4_a_sender_authorizes_itself_with_the_nonce_after_the_transaction(make: Make) -> None:
    def tx(*nonces: int) -> UnsignedTransaction:
        held = tuple(signed(Authorization(1, CODE, nonce)) for nonce in nonces)
        return make(SET_CODE, nonce=9, gas_limit=100_000, authorization_list=held)

    check_transaction(tx(10), sender=ME)
    check_transaction(tx(10, 11), sender=ME)
    check_transaction(tx(9))
    check_transaction(tx(3), sender=CODE)
    for wrong in ((9,), (11,), (10, 10)):
        with pytest.raises(InvalidInputError, match="own nonce first"):
            check_transaction(tx(*wrong), sender=ME)


def test_the_zero_address_ends_a_delegation() -> None:
    assert Authorization(1, ZERO_ADDRESS, 1).revokes
    assert not Authorization(1, CODE, 1).revokes


@pytest.mark.parametrize(
    "change",
    [{"chain_id": "1"}, {"chain_id": True}, {"delegate": 5}, {"delegate": "0x77"}, {"nonce": "1"}, {"signature": "0x"},
     {"signature": "0x" + "1" * 128 + "02"}, {"signature": "0x" + "A" * 128 + "01"}, {"signature": None}, {"x": 1}],
)  # fmt: skip
def test_other_stored_forms_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        SignedAuthorization.from_json({**signed(Authorization(1, CODE, 1)).to_json(), **change})
