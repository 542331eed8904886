"""Accounts: the specifications' addresses, bulk like one by one, agreement with bip_utils."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bip_utils import Bip44, Bip44Changes, Bip44Coins, Bip49, Bip49Coins, Bip84, Bip84Coins, Bip86, Bip86Coins

from bursar.bitcoin.account import BitcoinAccount, single_key_script
from bursar.bitcoin.address import Address
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError
from bursar.keys.scheme import Scheme

SCHEMES = list(Scheme)


def test_examples_of_the_specifications(vectors: Callable[[str], Any], spec_wallet: Callable[[Network], Any]) -> None:
    for network, scheme, branch, index, text in vectors("bitcoin_accounts.json")["addresses"]:
        account = spec_wallet(Network.from_text(network)).account(Scheme[scheme])
        assert account.address(branch, index).text == text
        assert account.addresses(branch, index, 1) == [text]


@pytest.mark.parametrize(
    ("scheme", "tool", "coin"),
    [
        (Scheme.BIP44, Bip44, Bip44Coins.BITCOIN),
        (Scheme.BIP49, Bip49, Bip49Coins.BITCOIN),
        (Scheme.BIP84, Bip84, Bip84Coins.BITCOIN),
        (Scheme.BIP86, Bip86, Bip86Coins.BITCOIN),
    ],
)
def test_bulk_addresses_agree_with_bip_utils(
    scheme: Scheme, tool: Any, coin: Any, vectors: Callable[[str], Any], spec_wallet: Callable[[Network], Any]
) -> None:
    seed = bytes.fromhex(vectors("bitcoin_accounts.json")["seed"])
    account = spec_wallet(Network.MAIN).account(scheme)
    theirs = tool.FromSeed(seed, coin).Purpose().Coin().Account(0).Change(Bip44Changes.CHAIN_INT)
    ours = account.addresses(1, 5, 70)
    for place in (0, 1, 31, 68, 69):
        assert ours[place] == theirs.AddressIndex(5 + place).PublicKey().ToAddress()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bulk_is_the_same_as_one_by_one(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme)
    scripts = account.scripts(0, 3, 80)
    assert scripts[:5] == [account.script(0, index) for index in range(3, 8)]
    assert scripts[79] == account.script(0, 82)
    texts = [Address.from_script(script, Network.REGTEST).text for script in scripts]
    assert account.addresses(0, 3, 80) == texts
    assert account.addresses(0, 3, 5) == texts[:5]
    assert account.addresses(0, 3, 0) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_keys_and_paths_belong_together(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme, 2)
    assert str(account.path(1, 9)) == f"m/{scheme.value}h/1h/2h/1/9"
    assert wallet.root.derive(account.path(1, 9)).public().key == account.key(1, 9)
    assert account.key_origin(1, 9).fingerprint == wallet.root.fingerprint
    assert single_key_script(account.script_type, account.key(1, 9)) == account.script(1, 9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_json_round_trip(scheme: Scheme, wallet: Any) -> None:
    account = wallet.account(scheme)
    data = json.loads(json.dumps(account.to_json()))
    assert BitcoinAccount.from_json(data) == account


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"chain": "ethereum"},
        {"network": "main"},
        {"network": "moon"},
        {"scheme": "bip99"},
        {"scheme": None},
        {"origin": "xyz"},
        {"xpub": "xpub123"},
        {"xpub": 5},
    ],
)
def test_bad_records_are_refused(change: dict[str, Any], wallet: Any) -> None:
    data = {**wallet.account(Scheme.BIP84).to_json(), **change}
    with pytest.raises(InvalidInputError):
        BitcoinAccount.from_json(data)
    with pytest.raises(InvalidInputError):
        BitcoinAccount.from_json({key: value for key, value in data.items() if key != "xpub"})


def test_a_key_of_another_network_is_refused(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    with pytest.raises(InvalidInputError) as caught:
        BitcoinAccount(Network.MAIN, Scheme.BIP84, account.origin, account.xpub)
    assert caught.value.code == "input.network"
    with pytest.raises(InvalidInputError):
        single_key_script(ScriptType.P2WSH, account.key(0, 0))


def test_a_key_from_another_depth_or_place_is_refused(wallet: Any) -> None:
    account = wallet.account(Scheme.BIP84)
    for xpub in (account.xpub.child(0), wallet.account(Scheme.BIP84, 1).xpub, wallet.root.public()):
        with pytest.raises(InvalidInputError) as caught:
            BitcoinAccount(wallet.network, Scheme.BIP84, account.origin, xpub)
        assert caught.value.code == "input.account"
