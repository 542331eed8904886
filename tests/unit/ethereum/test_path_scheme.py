"""Schemes of Ethereum paths (BIP-44, Ledger Live, legacy), discovery, and accounts of one address."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account

from bursar.errors import InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.address_account import AddressAccount
from bursar.ethereum.path_scheme import EthereumScheme, discovery
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
BOOK = Address(b"\x35" * 20)


def account(scheme: EthereumScheme, number: int) -> EthereumAccount:
    place = scheme.place(number)
    with Mnemonic.from_text(WORDS).to_seed(None) as seed, ExtendedPrivateKey.from_seed(seed) as root:
        path = scheme.account_path(place.account)
        with root.derive(path) as key:
            return EthereumAccount(1, KeyOrigin(root.fingerprint, path), key.public(), scheme)


def test_eth_account_finds_the_same_addresses() -> None:
    Account.enable_unaudited_hdwallet_features()
    for scheme, first in (
        (EthereumScheme.BIP44, "m/44'/60'/0'/0/3"),
        (EthereumScheme.LEDGER_LIVE, "m/44'/60'/3'/0/0"),
        (EthereumScheme.LEGACY, "m/44'/60'/0'/3"),
    ):
        place = scheme.place(3)
        assert str(place.path).replace("h", "'") == first
        found = account(scheme, 3)
        assert found.path(place.index) == place.path
        assert str(found.address(place.index)) == Account.from_mnemonic(WORDS, account_path=first).address
        assert found.addresses(place.index, 1) == [str(found.address(place.index))]
        assert EthereumAccount.from_json(found.to_json()) == found


def test_an_account_of_ledger_live_has_one_address() -> None:
    live = account(EthereumScheme.LEDGER_LIVE, 2)
    assert (len(live.addresses(0, 5)), live.addresses(1, 5)) == (1, [])
    for ask in (live.address, live.path):
        with pytest.raises(InvalidInputError, match="one address"):
            ask(1)


def test_the_stored_form_names_the_scheme_where_it_is_not_the_usual_one() -> None:
    usual, legacy = account(EthereumScheme.BIP44, 0).to_json(), account(EthereumScheme.LEGACY, 0).to_json()
    assert "scheme" not in usual
    assert legacy["scheme"] == "legacy"
    for wrong in (usual | {"scheme": "bip44"}, usual | {"scheme": "x"}, usual | {"scheme": None}, usual | {"x": 1}):
        with pytest.raises(InvalidInputError):
            EthereumAccount.from_json(wrong)
    odd: Any = "legacy"
    held = account(EthereumScheme.BIP44, 0)
    with pytest.raises(InvalidInputError):
        EthereumAccount(1, held.origin, held.xpub, odd)


def test_discovery_looks_everywhere_once() -> None:
    places = list(discovery(3))
    assert [str(one.path) for one in places[:3]] == ["m/44h/60h/0h/0/0", "m/44h/60h/0h/0", "m/44h/60h/0h/0/1"]
    assert len({one.path for one in places}) == len(places) == 8


def test_an_account_of_one_address() -> None:
    watched = AddressAccount(1, BOOK)
    assert (watched.address(), watched.addresses(0, 9), watched.addresses(1, 9)) == (BOOK, [str(BOOK)], [])
    assert str(watched.path(0)) == "m"
    assert AddressAccount.from_json(watched.to_json()) == watched
    for call in (watched.address, watched.path):
        with pytest.raises(InvalidInputError):
            call(1)
    for change in ({"kind": "ethereum"}, {"version": 2}, {"address": 5}, {"chain_id": 0}, {"x": 1}, {"address": "0x"}):
        with pytest.raises(InvalidInputError):
            AddressAccount.from_json(watched.to_json() | change)
    with pytest.raises(InvalidInputError):
        AddressAccount(1, Address(bytes(20)))
