"""Proposals of a Safe's transactions as files: round trips, merging, and what is refused of files from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.message import personal_digest
from bursar.ethereum.safe import (
    Confirmations,
    Operation,
    OwnerConfirmation,
    OwnerSignature,
    Proposal,
    Safe,
    SafeTransaction,
    SafeVersion,
    encode_signatures,
    read_foreign,
    read_proposal,
)
from bursar.ethereum.units import Wei

KEYS = [bytes([number]) * 32 for number in range(1, 4)]
OWNERS = frozenset(Address.from_public_key(public_key(key)) for key in KEYS)
SAFE = Safe(8453, Address(b"\x5a" * 20), SafeVersion(1, 4, 1))
TX = SafeTransaction(safe=SAFE, to=Address(b"\x35" * 20), value=Wei(10**18), data=b"\x01\x02", nonce=9)
EMPTY = Proposal(Confirmations(TX, OWNERS, 2), "Invoice 12")


def signed(key: bytes, tx: SafeTransaction = TX) -> OwnerSignature:
    return OwnerSignature.typed(tx.digest(), ecdsa_sign_recoverable(key, tx.digest()))


def changed(change: Any, text: str | None = None) -> bytes:
    data = json.loads(text or EMPTY.add(signed(KEYS[0])).to_text())
    change(data)
    return json.dumps(data).encode()


def test_files_round_trip_and_merge_in_any_order() -> None:
    first, second = EMPTY.add(signed(KEYS[0])), EMPTY.add(signed(KEYS[2]))
    answer = OwnerConfirmation(TX.digest(), signed(KEYS[1]))
    for one in (EMPTY, first, second):
        assert read_proposal(one.to_text().encode()) == one
    assert read_proposal(answer.to_text().encode()) == answer
    both = first.merged(second)
    assert both == second.merged(first)
    assert both.confirmations.missing == 0
    assert len(both.merged(answer).merged(answer).confirmations.signatures) == 3
    assert both.note == "Invoice 12"


def test_a_signature_is_not_replaced_by_a_claim() -> None:
    first = EMPTY.add(signed(KEYS[0]))
    owner = signed(KEYS[0]).owner
    claim = OwnerConfirmation(TX.digest(), OwnerSignature.approved(owner))
    assert first.merged(claim) == first
    assert EMPTY.merged(claim).merged(first) == first


def test_signatures_of_other_transactions_are_not_merged() -> None:
    other = SafeTransaction(safe=SAFE, to=TX.to, value=Wei(2), nonce=9)
    for one in (
        OwnerConfirmation(other.digest(), signed(KEYS[0], other)),
        Proposal(Confirmations(other, OWNERS, 2)),
    ):
        with pytest.raises(InvalidInputError, match="this proposal is") as caught:
            EMPTY.merged(one)
        assert caught.value.code == "input.safe.hash"
    with pytest.raises(InvalidInputError, match="no owner"):
        EMPTY.merged(OwnerConfirmation(TX.digest(), signed(b"\x09" * 32)))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data["hashes"].update(safe_tx="0x" + "00" * 32), "input.safe.hash"),
        (lambda data: data["transaction"].update(value="1000000000000000001"), "input.signature"),
        (lambda data: data["transaction"].update(operation=1, value="0"), "input.signature"),
        (lambda data: data["hashes"].update(more="0x"), "input.safe"),
        (lambda data: data.update(hashes=[]), "input.safe"),
        (lambda data: data.update(version=2), "input.safe"),
        (lambda data: data.update(version=True), "input.safe"),
        (lambda data: data.update(format="other"), "input.safe"),
        (lambda data: data.update(note="x" * 501), "input.safe"),
        (lambda data: data.update(note=1), "input.safe"),
        (lambda data: data.update(owners=[]), "input.safe"),
        (lambda data: data.update(threshold=4), "input.safe"),
        (lambda data: data.update(more=1), "input.safe"),
        (lambda data: data.pop("note"), "input.safe"),
        (lambda data: data["signatures"].append(data["signatures"][0]), "input.safe"),
    ],
)
def test_changed_files_are_refused(change: Any, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_proposal(changed(change))
    assert caught.value.code == code


def test_a_changed_hash_without_signatures_is_seen() -> None:
    with pytest.raises(InvalidInputError, match="sign nothing"):
        read_proposal(changed(lambda data: data["transaction"].update(nonce="10"), EMPTY.to_text()))
    upper = changed(lambda data: data["hashes"].update(safe_tx="0x" + TX.digest().hex().upper()), EMPTY.to_text())
    assert read_proposal(upper) == EMPTY


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"\xff", b"[" * 5000, b'{"a": 1, "a": 2}', b'{"a": 1e9}', b" " * 1_000_001, b'{"a": NaN}',
     b'{"a": ' + b"9" * 100 + b"}"],
)  # fmt: skip
def test_what_is_no_proposal_is_refused(raw: bytes) -> None:
    for read in (read_proposal, lambda found: read_foreign(found, SAFE)):
        with pytest.raises(InvalidInputError) as caught:
            read(raw)
        assert caught.value.code == "input.safe"


TEXT = EMPTY.add(signed(KEYS[0])).to_text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)


@settings(max_examples=25)
@given(st.sampled_from(["hashes", "note", "transaction", "owners", "threshold", "signatures", "version"]), JSON)
def test_any_other_member_is_an_error_of_ours(member: str, value: Any) -> None:
    try:
        read_proposal(changed(lambda data: data.update({member: value}), TEXT))
    except InvalidInputError:
        return
    assert member in ("note", "signatures", "threshold", "version")


SERVICE = {
    "safe": str(SAFE.address), "to": str(TX.to), "value": "1000000000000000000", "data": "0x0102", "operation": 0,
    "gasToken": "0x" + "00" * 20, "safeTxGas": 0, "baseGas": "0", "gasPrice": "0", "refundReceiver": None,
    "nonce": 9, "safeTxHash": "0x" + TX.digest().hex(), "isExecuted": False, "trusted": True,
}  # fmt: skip


def test_the_services_json_and_typed_data_are_the_same_transaction() -> None:
    personal = ecdsa_sign_recoverable(KEYS[1], personal_digest(TX.digest()))
    given_by = [signed(KEYS[0]), OwnerSignature.personal(TX.digest(), personal)]
    confirmations = [{"owner": str(one.owner), "signature": "0x" + one.body.hex()} for one in given_by]
    approval = "0x" + encode_signatures([OwnerSignature.approved(signed(KEYS[2]).owner)]).hex()
    confirmations.append({"owner": str(signed(KEYS[2]).owner), "signature": approval})
    found = read_foreign(json.dumps({**SERVICE, "confirmations": confirmations}).encode(), SAFE)
    assert (found.transaction, found.claimed, set(found.signatures)) == (TX, SERVICE["safeTxHash"], set(given_by))
    typed = read_foreign(TX.typed_data().to_json().encode(), SAFE)
    assert (typed.transaction, typed.claimed, typed.signatures) == (TX, None, ())


@pytest.mark.parametrize(
    "bent",
    [
        {"safe": str(TX.to)}, {"nonce": None}, {"nonce": -1}, {"value": "0x1"}, {"operation": 2}, {"data": "12"},
        {"data": "0xz"}, {"to": 5}, {"to": "0x12"}, {"confirmations": 7}, {"confirmations": [7]},
        {"confirmations": [{}] * 101}, {"confirmations": [{"owner": str(TX.to), "signature": 1}]},
        {"operation": 1}, {"gasToken": 4},
    ],
)  # fmt: skip
def test_bent_json_of_the_service_is_refused(bent: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        read_foreign(json.dumps({**SERVICE, **bent}).encode(), SAFE)


def test_typed_data_of_another_safe_is_refused() -> None:
    for other in (Safe(1, SAFE.address, SAFE.version), Safe(8453, TX.to, SAFE.version)):
        typed = SafeTransaction(safe=other, to=TX.to, operation=Operation.CALL, nonce=9).typed_data()
        with pytest.raises(InvalidInputError, match="is for the Safe"):
            read_foreign(typed.to_json().encode(), SAFE)


def test_other_hashes_than_32_bytes_and_other_signers_than_named_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="32 bytes"):
        OwnerConfirmation(b"\x01" * 31, signed(KEYS[0]))
    answer = json.loads(OwnerConfirmation(TX.digest(), signed(KEYS[0])).to_text())
    for text in ("0x" + "g" * 64, "0x" + "0" * 62, 5, "00" * 33):
        with pytest.raises(InvalidInputError, match="64 hexadecimal digits"):
            read_proposal(json.dumps({**answer, "safe_tx_hash": text}).encode())
    with pytest.raises(InvalidInputError, match="owner is an address"):
        read_foreign(json.dumps({**SERVICE, "confirmations": [{"owner": None}]}).encode(), SAFE)
    one = signed(KEYS[0])
    wrong = {"owner": str(signed(KEYS[1]).owner), "signature": "0x" + one.body.hex()}
    with pytest.raises(InvalidInputError, match="not one of this transaction") as caught:
        read_foreign(json.dumps({**SERVICE, "confirmations": [wrong]}).encode(), SAFE)
    assert caught.value.code == "input.safe.hash"
    empty = {**SERVICE, "data": None, "value": 10**18, "safe": None}
    assert read_foreign(json.dumps(empty).encode(), SAFE).transaction.data == b""
    with pytest.raises(InvalidInputError, match="types is missing"):
        read_foreign(json.dumps({"primaryType": 5}).encode(), SAFE)
