"""Packed blobs, access lists and authorizations as other programs write them; bytes told apart by their shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.errors import BursarError, InvalidInputError
from bursar.ethereum.access_list import AccessListEntry
from bursar.ethereum.access_list_json import (
    MOST_ENTRIES,
    access_list_from_json,
    access_list_to_json,
    checked,
    read_access_list,
)
from bursar.ethereum.address import Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.authorization_json import authorization_from_rpc, authorization_to_rpc, read_authorizations
from bursar.ethereum.blobs.packing import MOST_PACKED, pack, unpack
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction
from bursar.ethereum.transaction.reading import read_transaction
from bursar.wallet.actions import ContractCall, SendBlobs, action_from_json, action_to_json

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
TO = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
OTHER = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"


def signed(chain_id: int = 1, nonce: int = 7) -> SignedAuthorization:
    wanted = Authorization(chain_id, Address.from_text(TO), nonce, any_chain=chain_id == 0)
    return wanted.sign_with(ecdsa_sign_recoverable(KEY, wanted.digest()))


def test_bytes_are_packed_as_alloy_packs_them() -> None:
    (blob,) = pack([b"hello", bytes(range(1, 33))])
    assert len(blob) == 131_072
    assert blob[:32] == b"\x00" + (5).to_bytes(8, "big") + bytes(23)
    assert blob[32:64] == b"\x00hello" + bytes(26)
    assert blob[64:96] == b"\x00" + (32).to_bytes(8, "big") + bytes(23)
    assert blob[96:128] == b"\x00" + bytes(range(1, 32))
    assert blob[128:160] == b"\x00\x20" + bytes(30)
    assert not any(blob[160:])


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))
@settings(max_examples=10, deadline=None)
def test_what_is_packed_is_unpacked(pieces: list[bytes]) -> None:
    assert unpack(pack(pieces)) == tuple(pieces)


def test_blobs_have_room_for_so_much() -> None:
    assert len(pack([bytes(126_945)])) == 1
    assert len(pack([bytes(126_946)])) == 2
    full = pack([b"\x07" * MOST_PACKED])
    assert len(full) == 6
    assert unpack(full) == (b"\x07" * MOST_PACKED,)
    for wrong in ([], [b""], [bytes(MOST_PACKED + 1)], [bytes(MOST_PACKED), b"x"]):
        with pytest.raises(InvalidInputError):
            pack(wrong)


def test_blobs_that_were_not_packed_are_refused() -> None:
    (blob,) = pack([b"hello"])
    for place in (0, 9, 32, 40, 64, 131_071):
        with pytest.raises(InvalidInputError):
            unpack([blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]])
    for wrong in ([], [blob[:-1]], [blob] * 7, [b"\x00" + b"\xff" * 8 + blob[9:]], [blob, bytes(131_072)]):
        with pytest.raises(InvalidInputError):
            unpack(wrong)


def test_access_lists_are_read_as_nodes_and_cast_write_them() -> None:
    entries = (
        AccessListEntry(Address.from_text(TO), (bytes(32), b"\x01" * 32)),
        AccessListEntry(Address.from_text(OTHER)),
    )
    form = access_list_to_json(entries)
    assert access_list_from_json(form) == entries
    assert read_access_list(json.dumps({"accessList": form, "gasUsed": "0x5208"}).encode()) == entries
    lower = [{**one, "address": one["address"].lower()} for one in form]
    assert access_list_from_json(lower) == entries
    bad: list[Any] = [
        None,
        {},
        [1],
        [{"address": TO}],
        [{"address": TO, "storageKeys": ["0x00"]}],
        [{"address": TO, "storageKeys": [], "more": 1}],
        [{"address": 5, "storageKeys": []}],
        [form[0], form[0]],
        [{"address": TO, "storageKeys": ["0x" + "00" * 32] * 2}],
        [{"address": "0x" + f"{n:040x}", "storageKeys": []} for n in range(MOST_ENTRIES + 1)],
    ]
    for wrong in bad:
        with pytest.raises(InvalidInputError):
            access_list_from_json(wrong)
    for text in (b"", b"[" * 10_000, b"\xff", b"nonsense", b"1" * (1 << 21)):
        with pytest.raises(InvalidInputError):
            read_access_list(text)
    with pytest.raises(InvalidInputError):
        checked([entries[0]])  # type: ignore[arg-type]


def test_actions_with_lists_and_blobs_are_kept_without_the_blobs() -> None:
    entries = (AccessListEntry(Address.from_text(TO), (bytes(32),)),)
    for call in (ContractCall(TO, access_list="auto"), ContractCall(TO, access_list=entries), ContractCall(TO)):
        assert action_from_json(action_to_json(call)) == call
    assert "access_list" not in action_to_json(ContractCall(TO))
    with pytest.raises(InvalidInputError):
        ContractCall(TO, access_list="all")  # type: ignore[arg-type]
    blobs = SendBlobs(TO, pack([b"hello"]), b"\x01", 5)
    record = action_to_json(blobs)
    assert len(json.dumps(record)) < 400
    kept = action_from_json(record)
    assert isinstance(kept, SendBlobs)
    assert kept == blobs
    assert kept.blobs == ()
    assert action_to_json(kept) == record
    for wrong in ((), (b"short",), (b"\xff" * 131_072,), pack([b"x"]) * 7):
        with pytest.raises(InvalidInputError):
            SendBlobs(TO, wrong)
    with pytest.raises(InvalidInputError):
        SendBlobs(TO, pack([b"x"]), digests=(bytes(32),))


def test_authorizations_are_those_of_other_programs() -> None:
    theirs = Account.from_key(KEY).sign_authorization({"chainId": 5, "address": TO, "nonce": 9})
    form = {
        "chainId": theirs.chain_id,
        "address": TO.lower(),
        "nonce": hex(theirs.nonce),
        "yParity": theirs.y_parity,
        "r": hex(theirs.r),
        "s": hex(theirs.s),
    }
    read = authorization_from_rpc(form)
    assert read == signed(5, 9)
    assert str(read.authority) == Account.from_key(KEY).address
    one, wild = signed(), signed(0)
    assert read_authorizations(json.dumps(authorization_to_rpc(one)).encode()) == (one,)
    assert read_authorizations(json.dumps([authorization_to_rpc(one), wild.to_json()]).encode()) == (one, wild)
    assert read_authorizations(one.encode().hex().encode() + b"\n") == (one,)
    assert read_authorizations(b"0x" + one.encode().hex().encode()) == (one,)
    rpc = authorization_to_rpc(one)
    assert authorization_from_rpc({**rpc, "v": "0x1b" if rpc["yParity"] == "0x0" else "0x1c"}) == one
    for wrong in (
        {**rpc, "yParity": "0x2"},
        {**rpc, "v": "0x5"},
        {**rpc, "s": hex((1 << 256) - 1)},
        {**rpc, "nonce": "7"},
        {**rpc, "address": TO[:-1] + "9"},
        {**rpc, "chainId": -1},
        {**rpc, "more": 1},
        {},
        [],
        [rpc] * 17,
    ):
        with pytest.raises(BursarError):
            read_authorizations(json.dumps(wrong).encode())
    for text in (b"", b"0x", b"0xc0", b"[" * 10_000, b"\xff", b"nonsense"):
        with pytest.raises(BursarError):
            read_authorizations(text)


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_bytes_are_told_apart(kind: int) -> None:
    fields: dict[str, Any] = {"chainId": 1, "nonce": 3, "to": TO, "value": 5, "gas": 60_000}
    fees = {"maxFeePerGas": 9, "maxPriorityFeePerGas": 2}
    more: dict[int, dict[str, Any]] = {
        0: {"gasPrice": 9},
        1: {"type": 1, "gasPrice": 9, "accessList": [{"address": TO, "storageKeys": ["0x" + "00" * 32]}]},
        2: {"type": 2, **fees},
        3: {"type": 3, **fees, "maxFeePerBlobGas": 7, "blobVersionedHashes": ["0x01" + "11" * 31]},
        4: {
            "type": 4,
            **fees,
            "authorizationList": [Account.from_key(KEY).sign_authorization({"chainId": 1, "address": TO, "nonce": 4})],
        },
    }
    raw = bytes(Account.from_key(KEY).sign_transaction({**fields, **more[kind]}).raw_transaction)
    tx = read_transaction(raw)
    assert isinstance(tx, SignedTransaction)
    assert (tx.unsigned.type, str(tx.sender)) == (kind, Account.from_key(KEY).address)
    bare = read_transaction(tx.unsigned.signing_bytes())
    assert isinstance(bare, UnsignedTransaction)
    assert bare == tx.unsigned
    for wrong in (raw + b"\x00", raw[:-1], b"", b"\x05" + raw[1:]):
        with pytest.raises(InvalidInputError):
            read_transaction(wrong)


@given(st.binary(max_size=100))
@settings(max_examples=20, deadline=None)
def test_garbage_is_refused(data: bytes) -> None:
    for read in (read_transaction, read_authorizations, read_access_list):
        with pytest.raises(BursarError):
            read(data)
