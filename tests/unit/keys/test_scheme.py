from __future__ import annotations

import pytest
from bip_utils import Bip44, Bip44Changes, Bip44Coins

from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.scheme import CoinType, Scheme, account_path


@pytest.mark.parametrize(
    ("scheme", "coin_type", "account", "text"),
    [
        (Scheme.BIP44, CoinType.BITCOIN, 0, "m/44h/0h/0h"),
        (Scheme.BIP49, CoinType.TESTNET, 1, "m/49h/1h/1h"),
        (Scheme.BIP84, 0, 2147483647, "m/84h/0h/2147483647h"),
        (Scheme.BIP86, 0, 0, "m/86h/0h/0h"),
        (Scheme.BIP44, CoinType.ETHEREUM, 5, "m/44h/60h/5h"),
    ],
)
def test_account_paths(scheme: Scheme, coin_type: int, account: int, text: str) -> None:
    assert str(account_path(scheme, coin_type, account)) == text


@pytest.mark.parametrize("bad", [-1, 2**31, 2**32, True, 0.0, "0", None])
def test_numbers_out_of_range_are_refused(bad: object) -> None:
    with pytest.raises(InvalidInputError):
        account_path(Scheme.BIP84, 0, bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        account_path(Scheme.BIP84, bad, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("coin_type", "coin"), [(0, Bip44Coins.BITCOIN), (60, Bip44Coins.ETHEREUM)])
def test_bip44_keys_agree_with_another_implementation(coin_type: int, coin: Bip44Coins) -> None:
    seed = bytes(range(64))
    account = ExtendedPrivateKey.from_seed(seed).derive(account_path(Scheme.BIP44, coin_type, 2))
    other = Bip44.FromSeed(seed, coin).Purpose().Coin().Account(2)
    assert str(account.public()) == other.PublicKey().ToExtended()
    branch = other.Change(Bip44Changes.CHAIN_INT)
    expected = [branch.AddressIndex(index).PublicKey().RawCompressed().ToBytes() for index in range(5)]
    assert account.child(1).children_public(0, 5) == expected
