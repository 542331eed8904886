"""The door to authorizations (EIP-7702), and transactions of types 3 and 4 through the door of transactions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.errors import InvalidInputError, SignerMisbehavedError, UnsupportedError
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.transaction import BLOB, SET_CODE, SignedTransaction, UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.authorizations import request_authorization
from bursar.signing.checks import request_transaction

PATH = DerivationPath.from_text("m/44h/60h/0h/0/0")
ME = Address.from_text("0x9858EfFD232B4033E47d90003D41EC34EcaEda94")
CODE = Address(b"\x77" * 20)


@pytest.fixture
def signer() -> SoftwareSigner:
    from bursar.keys.mnemonic import Mnemonic

    return SoftwareSigner.from_mnemonic(Mnemonic.from_text("abandon " * 11 + "about"))


def ask(signer: Any, one: Authorization, **changes: Any) -> SignedAuthorization:
    options: dict[str, Any] = {"authority": ME, "chain_id": 1, "delegates": (CODE,), **changes}
    return request_authorization(signer, PATH, one, **options)


def test_an_authorization_and_the_transaction_that_carries_it(signer: SoftwareSigner) -> None:
    given = ask(signer, Authorization(1, CODE, 6))
    assert given.authority == ME
    tx = UnsignedTransaction(
        type=SET_CODE, chain_id=1, nonce=5, to=ME, value=Wei(0), gas_limit=80_000, max_fee_per_gas=Wei(9),
        max_priority_fee_per_gas=Wei(1), authorization_list=(given,),
    )  # fmt: skip
    signed = request_transaction(signer, PATH, tx, sender=ME)
    assert SignedTransaction.parse(signed.serialize()).sender == ME
    early = ask(signer, Authorization(1, CODE, 5))
    with pytest.raises(InvalidInputError, match="own nonce first"):
        request_transaction(signer, PATH, _replaced(tx, authorization_list=(early,)), sender=ME)
    wild = ask(signer, Authorization(0, CODE, 6, any_chain=True), any_chain=True)
    with pytest.raises(InvalidInputError, match="every chain"):
        request_transaction(signer, PATH, _replaced(tx, authorization_list=(wild,)), sender=ME)
    everywhere = _replaced(tx, authorization_list=(wild,))
    assert request_transaction(signer, PATH, everywhere, sender=ME, any_chain=True).sender == ME


def test_a_transaction_with_blobs(signer: SoftwareSigner) -> None:
    tx = UnsignedTransaction(
        type=BLOB, chain_id=1, nonce=5, to=ME, value=Wei(0), gas_limit=21_000, max_fee_per_gas=Wei(9),
        max_priority_fee_per_gas=Wei(1), max_fee_per_blob_gas=Wei(1), blob_versioned_hashes=(b"\x01" * 32,),
    )  # fmt: skip
    assert request_transaction(signer, PATH, tx, sender=ME).sender == ME


def test_C4_what_is_not_allowed_is_not_asked_for(signer: SoftwareSigner) -> None:
    for one, options, words in (
        (Authorization(0, CODE, 1, any_chain=True), {}, "every chain"),
        (Authorization(5, CODE, 1), {}, "for chain 5"),
        (Authorization(1, Address(b"\x78" * 20), 1), {}, "no delegate allowed"),
        (Authorization(1, CODE, 1), {"delegates": ()}, "no delegate allowed"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            ask(None, one, **options)
    assert ask(signer, Authorization(1, ZERO_ADDRESS, 1), delegates=()).authority == ME


def test_G2_what_no_block_takes_is_not_asked_for() -> None:
    def tx(**changes: Any) -> UnsignedTransaction:
        fields: dict[str, Any] = {"to": ME, "gas_limit": 21_000, "value": Wei(1), **changes}
        return UnsignedTransaction(
            chain_id=1, nonce=1, max_fee_per_gas=Wei(9), max_priority_fee_per_gas=Wei(1), **fields
        )  # fmt: skip

    nobody: Any = None
    for changes in (
        {"gas_limit": 20_999}, {"gas_limit": (1 << 24) + 1}, {"data": b"x"}, {"value": Wei(2**256 - 1)},
        {"to": None, "data": bytes(49_153), "gas_limit": 10**7}, {"to": None, "data": b"x", "gas_limit": 50_000},
    ):  # fmt: skip
        with pytest.raises(InvalidInputError):
            request_transaction(nobody, PATH, tx(**changes), sender=ME)


def test_s2_another_answer_is_misbehaviour(signer: SoftwareSigner) -> None:
    def misbehaving(answer: Any) -> Any:
        members = {name: getattr(signer, name) for name in ("info", "xpub", "close")}
        return SimpleNamespace(**members, sign_authorization=lambda path, one: answer(path, one))

    one = Authorization(1, CODE, 1)
    for answer in (
        lambda path, one: signer.sign_authorization(path, Authorization(2, CODE, 1)),
        lambda path, one: signer.sign_authorization(PATH.parent / 1, one),
        lambda path, one: None,
    ):
        with pytest.raises(SignerMisbehavedError):
            ask(misbehaving(answer), one)
    with pytest.raises(UnsupportedError, match="no authorizations"):
        ask(SimpleNamespace(info=signer.info), one)
    with pytest.raises(InvalidInputError, match="bitcoin"):
        signer.sign_authorization(DerivationPath.from_text("m/84h/0h/0h/0/0"), one)


def _replaced(tx: UnsignedTransaction, **changes: Any) -> UnsignedTransaction:
    from dataclasses import replace

    return replace(tx, **changes)
