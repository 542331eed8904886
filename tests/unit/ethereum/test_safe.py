"""Safes: hashes of every version against the Safe project's tests and eth-account, signatures, batches, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software import SoftwareSigner
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.message import decode_signature, personal_digest
from bursar.ethereum.safe import (
    KNOWN_DELEGATES,
    Confirmations,
    MultiSendCall,
    Operation,
    OwnerSignature,
    Safe,
    SafeMessage,
    SafeTransaction,
    SafeVersion,
    decode_execution,
    decode_multi_send,
    decode_signatures,
    encode_approve_hash,
    encode_multi_send,
    encode_signatures,
    read_state,
    safe_cautions,
    unfold,
)
from bursar.ethereum.safe.signatures import SignatureKind
from bursar.ethereum.safe.words import padded, selector, word
from bursar.ethereum.typed_data import TypedData
from bursar.ethereum.typed_data_effects import typed_data_effects
from bursar.ethereum.units import Wei
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_typed_data

KEYS = [bytes([number]) * 32 for number in (1, 2, 3)]
OWNERS = [Address.from_public_key(public_key(key)) for key in KEYS]
PAYEE = Address(b"\x35" * 20)
HOUSE = Address.from_text("0x692a70D2e424a56D2C6C27aA97D1a86395877b3A")
BATCH = Address.from_text("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526")
SAFE = Safe(1, HOUSE, SafeVersion(1, 4, 1))


def safe_of(version: str, chain_id: int = 1, address: Address = HOUSE) -> Safe:
    known = SafeVersion.from_text(version)
    return Safe(chain_id, address, known, any_chain=known < SafeVersion(1, 3, 0))


def transfer(**changes: Any) -> SafeTransaction:
    fields: dict[str, Any] = {"safe": SAFE, "to": PAYEE, "value": Wei(5), "nonce": 7}
    return SafeTransaction(**{**fields, **changes})


def signed(tx: SafeTransaction, key: bytes) -> OwnerSignature:
    return OwnerSignature.typed(tx.digest(), ecdsa_sign_recoverable(key, tx.digest()))


def refused(code: str, make: Any, match: str | None = None) -> None:
    with pytest.raises(InvalidInputError, match=match) as caught:
        make()
    assert caught.value.code == code


# facts from the tests of safe-eth-py (test_safe_tx.py) and of clef (extapi_changelog.md)
@pytest.mark.parametrize(
    ("version", "digest"),
    [
        ("0.1.0", "c9d69a2350aede7978fdee58e702647e4bbdc82168577aa4a43b66ad815c6d1a"),
        ("1.0.0", "7c60341f3e1b4483575f38e84e97d6b332a2dd55b9290f39e6e26eef29a04fe7"),
    ],
)
def test_hashes_of_old_versions(version: str, digest: str) -> None:
    to = Address(bytes.fromhex("5AC255889882aaB35A2aa939679E3F3d4Cea221E"))
    old = SafeTransaction(
        safe=safe_of(version), to=to, value=Wei(5_000_000), data=b"\x00",
        safe_tx_gas=50_000, base_gas=100, gas_price=10_000, nonce=67,
    )  # fmt: skip
    assert old.digest().hex() == digest


def test_the_hash_of_1_3_0() -> None:
    tx = SafeTransaction(
        safe=safe_of("1.3.0", 4, Address.from_text("0x2B0b9cBDA3D7b0F760187c52A8FFB18C48E5d96A")),
        to=Address.from_text("0x79613FD49472C3C7a32188e45ff00e7bdC8a897d"),
        value=Wei(2),
        data=b"\x12\x12",
        gas_token=Address.from_text("0xFA995c7a0d32A4e7497508a5C380369BE8dB49Db"),
        refund_receiver=Address.from_text("0x6b92f5E5360bfCa8F5d3FcE65D87382967847983"),
        nonce=17,
    )
    assert tx.digest().hex() == "01d42a801ac44d3ebd43592be980dea0756d7f7b27d718d3016a42ea7ce85587"


def test_a_hash_and_its_signature_as_clef_has_it() -> None:
    tx = SafeTransaction(
        safe=safe_of("1.1.1", 4, Address.from_text("0x25a6c4BBd32B2424A9c99aEB0584Ad12045382B3")),
        to=Address.from_text("0xB372a646f7F05Cc1785018dBDA7EBc734a2A20E2"),
        value=Wei(2 * 10**16),
        safe_tx_gas=27_845,
        nonce=2,
    )
    assert tx.digest().hex() == "2edfbd5bc113ff18c0631595db32eb17182872d88d9bf8ee4d8c2dd5db6d95e2"
    text = (
        "0x95a7250bb645f831c86defc847350e7faff815b2fb586282568e96cc859e3931"
        "5876db20a2eed5f7a0412906ec5ab57652a6f645ad4833f345bda059b9da2b821c"
    )
    owner = OwnerSignature.typed(tx.digest(), decode_signature(text)).owner
    assert str(owner) == "0xAd2e180019FCa9e55CADe76E4487F126Fd08DA34"


def second_digest(typed: TypedData) -> bytes:
    """The digest as eth-account computes it."""
    whole = json.loads(typed.to_json())
    made = encode_typed_data(full_message=whole)
    return keccak256(b"\x19\x01" + made.header + made.body)


@pytest.mark.parametrize("version", ["0.1.0", "1.0.0", "1.1.1", "1.2.0", "1.3.0", "1.3.0+L2", "1.4.1", "1.5.0"])
def test_hashes_as_eth_account_computes_them(version: str) -> None:
    tx = transfer(
        safe=safe_of(version, 137), data=b"\xab" * 37, safe_tx_gas=1, base_gas=2, gas_price=3, gas_token=OWNERS[0],
        refund_receiver=OWNERS[1], nonce=2**200,
    )  # fmt: skip
    typed = tx.typed_data()
    assert tx.digest() == second_digest(typed)
    assert typed.domain_separator == tx.safe.domain_separator
    assert typed.message_hash == tx.message_hash
    message = SafeMessage(tx.safe, b"\x01" * 32)
    assert message.digest() == second_digest(message.typed_data())


def test_a_signature_for_no_chain_has_to_be_asked_for() -> None:
    old = SafeVersion(1, 1, 1)
    refused("input.safe", lambda: Safe(1, HOUSE, old), "any_chain")
    refused("input.safe", lambda: Safe(1, HOUSE, SafeVersion(1, 3, 0), any_chain=True), "leave any_chain out")
    typed = transfer(safe=Safe(1, HOUSE, old, any_chain=True)).typed_data()
    assert typed.chain_id is None
    refused("input.typed-data.chain", lambda: typed.check_chain(1))
    assert [one.code for one in safe_cautions(transfer(safe=Safe(1, HOUSE, old, any_chain=True)))] == ["no-chain"]


@pytest.mark.parametrize(
    "text", ["", "1", "1.4", "01.4.1", "1.4.1.1", "1.6.0", "2.0.0", "0.0.1", "1.4.1+", "v1.4.1", 1]
)
def test_versions_that_are_not_known(text: Any) -> None:
    refused("input.safe", lambda: SafeVersion.from_text(text))


def test_messages_of_a_safe() -> None:
    # EIP-1271: the handler is asked about a digest, owners sign a SafeMessage of it
    assert SafeMessage.of_personal(SAFE, b"hello").message == personal_digest(b"hello")
    typed = transfer(safe=safe_of("1.4.1", 1, PAYEE)).typed_data()
    assert SafeMessage.of_typed_data(SAFE, typed).message == typed.digest()
    elsewhere = transfer(safe=safe_of("1.4.1", 5, PAYEE)).typed_data()
    refused("input.typed-data.chain", lambda: SafeMessage.of_typed_data(SAFE, elsewhere))
    # keccak256("SafeMessage(bytes message)") is a constant of the contracts
    assert typed.types.type_hash("SafeTx").hex() == "bb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8"
    made = SafeMessage(SAFE, b"").typed_data()
    assert made.types.type_hash("SafeMessage").hex() == (
        "60b3cbf8b4a223d68d641b3b6ddf9a298e7f33710cf3d3a9d1146b5a6150fbca"
    )


def batch(*calls: MultiSendCall, to: Address = BATCH) -> SafeTransaction:
    return transfer(to=to, value=Wei(0), data=encode_multi_send(calls), operation=Operation.DELEGATE_CALL)


UNKNOWN = Address(b"\x96" * 20)
PLAIN = MultiSendCall(PAYEE, Wei(1))
EVIL = MultiSendCall(UNKNOWN, operation=Operation.DELEGATE_CALL)


@pytest.mark.parametrize(
    "tx",
    [
        transfer(to=UNKNOWN, value=Wei(0), data=b"\xa9\x05\x9c\xbb" + bytes(64), operation=Operation.DELEGATE_CALL),
        batch(PLAIN, EVIL),
        batch(PLAIN, MultiSendCall(BATCH, data=encode_multi_send([EVIL]), operation=Operation.DELEGATE_CALL)),
        batch(
            MultiSendCall(
                Address(b"\x77" * 20),
                data=transfer(
                    safe=safe_of("1.4.1", 1, PAYEE), to=UNKNOWN, value=Wei(0), operation=Operation.DELEGATE_CALL
                ).execution(b"", delegates=frozenset((UNKNOWN,))),
            )
        ),
        transfer(to=BATCH, value=Wei(0), data=b"", operation=Operation.DELEGATE_CALL),
        transfer(to=BATCH, value=Wei(0), data=encode_multi_send([PLAIN])[:-1], operation=Operation.DELEGATE_CALL),
    ],
    ids=["plain", "in a batch", "in a batch in a batch", "in another Safe's", "an empty batch", "a cut batch"],
)
def test_b5_delegate_calls_to_unknown_code_are_refused(tx: SafeTransaction) -> None:
    refused("input.safe.delegate-call", tx.typed_data)
    refused("input.safe.delegate-call", lambda: tx.execution(b""))
    refused("input.safe.delegate-call", Confirmations(tx, frozenset(OWNERS), 1, (signed(tx, KEYS[0]),)).execution)
    assert len(tx.digest()) == 32  # it can still be compared with what somebody else shows


def test_b5_batches_nested_beyond_reading_are_refused() -> None:
    data = encode_multi_send([PLAIN])
    for _ in range(4):
        data = encode_multi_send([MultiSendCall(BATCH, data=data, operation=Operation.DELEGATE_CALL)])
    deep = transfer(to=BATCH, value=Wei(0), data=data, operation=Operation.DELEGATE_CALL)
    refused("input.safe.delegate-call", deep.typed_data, "deeper")


def test_b5_known_code_and_allowed_code_may_run() -> None:
    assert batch(PLAIN, PLAIN).typed_data().digest() == batch(PLAIN, PLAIN).digest()
    allowed = KNOWN_DELEGATES | {UNKNOWN}
    assert batch(EVIL).typed_data(delegates=allowed).digest() == batch(EVIL).digest()
    refused("input.safe.delegate-call", lambda: batch(PLAIN).typed_data(delegates=frozenset()))


def test_b5_a_human_is_warned_as_well() -> None:
    assert [one.code for one in safe_cautions(batch(PLAIN, EVIL))] == ["delegate-call"]
    evil = typed_data_effects(batch(PLAIN, EVIL).typed_data(delegates=KNOWN_DELEGATES | {UNKNOWN}))
    assert evil.delegate_call
    assert "delegate-call" in [one.code for one in evil.cautions]
    assert not typed_data_effects(batch(PLAIN).typed_data()).delegate_call
    assert unfold(batch(PLAIN, EVIL)) == (PLAIN, EVIL)
    owner = transfer(to=HOUSE, value=Wei(0), data=selector("swapOwner(address,address,address)") + bytes(96))
    assert [(one.code, one.text) for one in safe_cautions(owner)] == [("safe-change", "the Safe replaces an owner")]
    other = transfer(to=HOUSE, value=Wei(0), data=b"\x01\x02\x03\x04")
    assert "0x01020304" in safe_cautions(other)[0].text
    paid = transfer(gas_price=10, refund_receiver=PAYEE)
    assert [one.code for one in safe_cautions(paid)] == ["safe-refund"]
    assert str(PAYEE) in safe_cautions(paid)[0].text


def test_typed_data_of_others_is_read_back_as_a_transaction() -> None:
    tx = transfer(data=b"\x01", safe_tx_gas=3)
    found = SafeTransaction.from_typed_data(TypedData.from_json(tx.typed_data().to_json()))
    assert found.digest() == tx.digest()
    for version in ("0.1.0", "1.1.1"):
        old = transfer(safe=safe_of(version))
        typed = old.typed_data()
        assert SafeTransaction.from_typed_data(typed, chain_id=1, any_chain=True).digest() == old.digest()
        refused("input.safe", lambda typed=typed: SafeTransaction.from_typed_data(typed, chain_id=1))
        refused("input.safe", lambda typed=typed: SafeTransaction.from_typed_data(typed), "names no chain")
    refused("input.safe", lambda: SafeTransaction.from_typed_data(SafeMessage(SAFE, b"").typed_data()))
    hostile = TypedData.of(
        {"EIP712Domain": SAFE.domain_types, "SafeTx": [("to", "address")]}, "SafeTx", SAFE.domain, {"to": PAYEE}
    )
    refused("input.safe", lambda: SafeTransaction.from_typed_data(hostile))
    bad = batch(EVIL).typed_data(delegates=frozenset((BATCH, UNKNOWN)))
    refused("input.safe.delegate-call", SafeTransaction.from_typed_data(bad).typed_data)


def test_signatures_sorted_by_owner() -> None:
    tx = transfer()
    encoded = encode_signatures([signed(tx, key) for key in KEYS])
    assert len(encoded) == 3 * 65
    found = decode_signatures(encoded, tx.digest())
    assert [one.owner for one in found] == sorted(OWNERS, key=lambda one: one.value)
    assert {one.body[64] for one in found} <= {27, 28}
    refused("input.safe", lambda: encode_signatures([signed(tx, KEYS[0])] * 2), "same owner")
    swapped = encoded[65:130] + encoded[:65] + encoded[130:]
    refused("input.safe", lambda: decode_signatures(swapped, tx.digest()), "order")


def test_the_four_kinds_of_signatures() -> None:
    tx = transfer()
    digest = tx.digest()
    personal = OwnerSignature.personal(digest, ecdsa_sign_recoverable(KEYS[0], personal_digest(digest)))
    assert personal.owner == OWNERS[0]
    assert personal.body[64] in (31, 32)
    contract = OwnerSignature.contract(Address(b"\x01" * 20), b"\x05" * 70)
    late = OwnerSignature.contract(Address(b"\xfe" * 20), b"")
    approved = OwnerSignature.approved(Address(b"\xff" * 20))
    kinds = [approved, late, contract, signed(tx, KEYS[1]), personal]
    encoded = encode_signatures(kinds)
    assert encoded[:65] == word(contract.owner) + word(5 * 65) + b"\x00"
    assert encoded[5 * 65 :] == word(70) + contract.body + word(0)
    assert encoded[4 * 65 : 5 * 65] == word(approved.owner) + bytes(32) + b"\x01"
    found = decode_signatures(encoded, digest)
    assert set(found) == set(kinds)
    for one in kinds:
        assert OwnerSignature.from_json(one.to_json()) == one


def test_signatures_as_safe_eth_py_reads_them() -> None:
    digest = bytes.fromhex("4c9577d1b1b8dec52329a983ae26238b65f74b7dd9fb28d74ad9548e92aaf196")
    approver, holder = "05c85ab5b09eb8a55020d72daf6091e04e264af9", "0xADb7CB706e9A1bd9F96a397da340bF34a9984E1E"
    both = bytes.fromhex(
        "00" * 12 + approver + "00" * 32 + "01"
        "5dccf9f1375cee56331a67867a0b05a828894c2b76dee84546ec663997d75482"
        "57cb2d606087ee7590b966e958d97a65528ae941a0f7e5050949f618629509c81b"
    )
    first, second = decode_signatures(both, digest)
    assert (first.kind, first.owner.value.hex()) == (SignatureKind.APPROVED, approver)
    assert (second.kind, str(second.owner)) == (SignatureKind.TYPED, holder)
    assert encode_signatures([second, first]) == both


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(64), bytes(65), b"\x01" * 65, word(PAYEE) + bytes(32) + b"\x01\x00",
        word(PAYEE) + word(65) + b"\x00",  # a contract's signature without its length
        word(PAYEE) + word(65) + b"\x00" + word(5) + b"1234",
        word(PAYEE) + word(66) + b"\x00" + bytes(40),
        word(PAYEE) + word(2**255) + b"\x00" + word(0),
        word(PAYEE) + word(0) + b"\x00" + word(0),
        b"\x01" * 32 + bytes(32) + b"\x01",  # an owner longer than an address
        word(PAYEE) + word(65) + b"\x02" + bytes(128),  # a passkey
        bytes(64) + b"\x1b",
    ],
)  # fmt: skip
def test_hostile_signatures_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        decode_signatures(data, bytes(32))


@settings(max_examples=40)
@given(data=st.binary(max_size=400))
def test_garbage_is_refused_with_typed_errors(data: bytes) -> None:
    for read in (decode_multi_send, decode_execution, lambda raw: decode_signatures(raw, bytes(32))):
        for garbage in (data, selector("multiSend(bytes)") + data):
            try:
                read(garbage)
            except InvalidInputError:
                continue
            assert read is not decode_execution


CALLS = st.builds(
    MultiSendCall, st.binary(min_size=20, max_size=20).map(Address), st.integers(0, 2**256 - 1).map(Wei),
    st.binary(max_size=70), st.sampled_from(Operation),
)  # fmt: skip


@settings(max_examples=25)
@given(calls=st.lists(CALLS, min_size=1, max_size=4), gas=st.integers(0, 2**256 - 1), signatures=st.binary(max_size=99))
def test_batches_and_executions_there_and_back(calls: list[MultiSendCall], gas: int, signatures: bytes) -> None:
    data = encode_multi_send(calls)
    assert decode_multi_send(data) == tuple(calls)
    tx = transfer(data=data, safe_tx_gas=gas, gas_token=OWNERS[0])
    found = decode_execution(tx.execution(signatures))
    assert (found.to, found.value, found.data, found.signatures) == (tx.to, tx.value, data, signatures)
    assert (found.safe_tx_gas, found.gas_token, found.refund_receiver) == (gas, OWNERS[0], ZERO_ADDRESS)
    assert SafeTransaction.from_json(tx.to_json()) == tx


@pytest.mark.parametrize(
    "packed",
    [b"", b"\x02" + bytes(84), bytes(84), bytes(53) + word(1), b"\x00" * 85 + b"\x00", bytes(53) + word(2**255)],
)
def test_batches_that_are_none(packed: bytes) -> None:
    refused("input.safe", lambda: decode_multi_send(selector("multiSend(bytes)") + word(32) + padded(packed)))


def test_calldata_in_another_form_is_refused() -> None:
    data = encode_multi_send([MultiSendCall(PAYEE, data=b"\x01")])
    refused("input.safe", lambda: decode_multi_send(data + bytes(32)))
    refused("input.safe", lambda: decode_multi_send(data[:-1] + b"\x01"))
    refused("input.safe", lambda: decode_multi_send(data[:4] + word(64) + data[36:]))
    good = transfer().execution(bytes(65))
    refused("input.safe", lambda: decode_execution(good[:4] + b"\x01" + good[5:]))  # an address of 32 bytes
    refused("input.safe", lambda: decode_execution(good[:132] + good[100:]))


def test_confirmations_are_collected_until_there_are_enough() -> None:
    tx = transfer()
    open_ = Confirmations(tx, frozenset(OWNERS), 2)
    refused("input.safe", open_.execution, "2 more")
    one = open_.add(signed(tx, KEYS[2])).add(signed(tx, KEYS[2]))
    assert (one.missing, len(one.signatures)) == (1, 1)
    carried = Confirmations.from_json(one.to_json())
    assert carried == one
    done = carried.add(signed(tx, KEYS[0]))
    found = decode_execution(done.execution())
    assert {one.owner for one in decode_signatures(found.signatures, tx.digest())} == {OWNERS[0], OWNERS[2]}
    refused("input.safe", lambda: done.add(signed(tx, b"\x09" * 32)), "no owner")
    other = signed(transfer(nonce=8), KEYS[0])
    with pytest.raises(InvalidInputError):
        done.add(other)
    with pytest.raises(InvalidSignatureError):
        done.add(replace(signed(tx, KEYS[0]), owner=OWNERS[1]))
    refused("input.safe", lambda: Confirmations(tx, frozenset(OWNERS), 4))
    changed = one.to_json()
    changed["transaction"]["value"] = "6"
    with pytest.raises(InvalidInputError):
        Confirmations.from_json(changed)


def test_owners_sign_with_their_signers() -> None:
    mnemonic = Mnemonic.from_text("test " * 11 + "junk")
    signer = SoftwareSigner.from_mnemonic(mnemonic)
    path = DerivationPath.from_text("m/44h/60h/0h")
    assert signer.info.fingerprint is not None
    account = EthereumAccount(1, KeyOrigin(signer.info.fingerprint, path), signer.xpub(path))
    tx = transfer()
    first, second = account.address(0), account.address(1)
    typed = request_typed_data(signer, account.path(0), tx.typed_data(), sender=first, chain_id=1)
    blind = request_personal_message(signer, account.path(1), tx.digest(), sender=second)
    made = Confirmations(tx, frozenset((first, second)), 2)
    made = made.add(OwnerSignature.typed(tx.digest(), typed)).add(OwnerSignature.personal(tx.digest(), blind))
    assert {one.kind for one in made.signatures} == {SignatureKind.TYPED, SignatureKind.PERSONAL}
    assert decode_execution(made.execution()).to == PAYEE


def contract(**changes: bytes) -> Any:
    answers = {
        "VERSION()": word(32) + padded(b"1.4.1"),
        "getOwners()": word(32) + word(2) + word(OWNERS[0]) + word(OWNERS[1]),
        "getThreshold()": word(2),
        "nonce()": word(7),
        "domainSeparator()": SAFE.domain_separator,
        **changes,
    }
    return {selector(name): answer for name, answer in answers.items()}.__getitem__


def test_the_state_of_a_safe_is_read_and_compared() -> None:
    state = read_state(contract())
    assert (state.version, state.threshold, state.nonce) == (SafeVersion(1, 4, 1), 2, 7)
    assert state.owners == {OWNERS[0], OWNERS[1]}
    state.check(SAFE)
    refused("input.safe", lambda: state.check(safe_of("1.4.1", 5)), "domain")


@pytest.mark.parametrize(
    "changes",
    [
        {"VERSION()": b""}, {"VERSION()": word(32) + padded(b"9.9.9")}, {"VERSION()": word(32) + padded(b"\xff")},
        {"getOwners()": word(32) + word(2) + word(OWNERS[0])}, {"getOwners()": word(32) + word(2**200)},
        {"getOwners()": word(32) + word(2) + word(OWNERS[0]) * 2}, {"getThreshold()": word(0)},
        {"getThreshold()": word(3)}, {"getThreshold()": b""}, {"nonce()": word(2**64)}, {"domainSeparator()": b"\0"},
    ],
)  # fmt: skip
def test_a_state_that_cannot_be(changes: dict[str, bytes]) -> None:
    refused("input.safe", lambda: read_state(contract(**changes)))


def test_values_that_are_no_transaction() -> None:
    for wrong in ({"value": 5}, {"nonce": -1}, {"to": None}, {"operation": 1}, {"gas_price": 2**256}, {"data": "0x"}):
        refused("input.safe", lambda wrong=wrong: transfer(**wrong))
    refused("input.safe", lambda: transfer(operation=Operation.DELEGATE_CALL), "no value")
    stored = transfer().to_json()
    for name, value in (("version", 2), ("operation", 2), ("nonce", "x"), ("data", "0xz"), ("nonce", "9" * 100)):
        with pytest.raises(InvalidInputError):
            SafeTransaction.from_json({**stored, name: value})
    refused("input.safe", lambda: encode_approve_hash(b"\x01"))
    assert encode_approve_hash(bytes(32))[:4].hex() == "d4d9bdcd"
    assert transfer().execution(b"")[:4].hex() == "6a761202"
