"""Accounts: the addresses of BIP-44 under an extended public key, bip-utils as a second implementation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bip_utils import Bip44, Bip44Changes, Bip44Coins
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath


def account(seed: bytes, *, number: int = 0, chain_id: int = 1) -> EthereumAccount:
    path = DerivationPath.from_text(f"m/44h/60h/{number}h")
    master = ExtendedPrivateKey.from_seed(seed)
    return EthereumAccount(chain_id, KeyOrigin(master.fingerprint, path), master.derive(path.indexes).public())


def test_the_first_address_of_the_well_known_mnemonic() -> None:
    # "test test test test test test test test test test test junk", the accounts of hardhat and anvil
    seed = bytes.fromhex(
        "9dfc3c64c2f8bede1533b6a79f8570e5943e0b8fd1cf77107adf7b72cef42185"
        "d564a3aee24cab43f80e3c4538087d70fc824eabbad596a23c97b6ee8322ccc0"
    )
    assert account(seed).addresses(0, 3) == [
        "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    ]


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=16, max_size=64), st.integers(0, 3), st.integers(0, 2**31 - 4))
def test_bip_utils_derives_the_same_addresses(seed: bytes, number: int, start: int) -> None:
    ours = account(seed, number=number)
    branch = Bip44.FromSeed(seed.ljust(64, b"\x01"), Bip44Coins.ETHEREUM)
    ours = account(seed.ljust(64, b"\x01"), number=number)
    theirs = branch.Purpose().Coin().Account(number).Change(Bip44Changes.CHAIN_EXT)
    expected = [theirs.AddressIndex(index).PublicKey().ToAddress() for index in range(start, start + 3)]
    assert ours.addresses(start, 3) == expected
    assert [str(ours.address(index)) for index in range(start, start + 3)] == expected
    assert str(ours.path(start)) == f"m/44h/60h/{number}h/0/{start}"


def test_round_trip_through_json() -> None:
    ours = account(bytes(range(32)), chain_id=11155111)
    again = EthereumAccount.from_json(json.loads(json.dumps(ours.to_json())))
    assert again == ours
    assert again.addresses(0, 5) == ours.addresses(0, 5)
    assert ours.to_json()["kind"] == "ethereum"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"version": True}, {"kind": "bitcoin"}, {"chain_id": 0}, {"chain_id": None}, {"chain_id": "1"},
        {"origin": "zzz"}, {"origin": None}, {"origin": "d34db33f/44h/60h"}, {"origin": "d34db33f/44h/60h/1h"},
        {"xpub": "xpub"}, {"xpub": None}, {"extra": 1},
    ],
)  # fmt: skip
def test_other_json_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        EthereumAccount.from_json({**account(bytes(32)).to_json(), **change})


@pytest.mark.parametrize("data", [None, [], "x", {}, 1])
def test_other_data_is_refused(data: Any) -> None:
    with pytest.raises(InvalidInputError):
        EthereumAccount.from_json(data)


def test_indexes_out_of_range_are_refused() -> None:
    ours = account(bytes(32))
    for index in (-1, 2**31):
        with pytest.raises(InvalidInputError):
            ours.address(index)
    with pytest.raises(InvalidInputError):
        ours.addresses(2**31 - 1, 2)
    assert ours.addresses(5, 0) == []


def test_the_accounts_of_several_chains_share_addresses_but_are_not_equal() -> None:
    one, two = account(bytes(32), chain_id=1), account(bytes(32), chain_id=2)
    assert one != two
    assert one.addresses(0, 2) == two.addresses(0, 2)
