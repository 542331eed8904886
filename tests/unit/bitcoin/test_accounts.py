"""What all accounts share: single key, multisig and descriptor accounts give the same answers for the same scripts."""

from __future__ import annotations

import pytest

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.accounts import (
    DescriptorAccount,
    ScriptAccount,
    account_from_json,
    account_of_descriptor,
    change_branch,
    descriptor_of,
    plainest,
)
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme, account_path


def key(number: int, path: DerivationPath) -> tuple[KeyOrigin, object]:
    with ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) as master, master.derive(path) as below:
        return KeyOrigin(master.fingerprint, path), below.public()


def accounts() -> list[ScriptAccount]:
    home = DerivationPath.from_text("m/48h/1h/0h/2h")
    several = tuple(key(number, home) for number in (1, 2, 3))
    single = [BitcoinAccount(Network.REGTEST, scheme, *key(1, account_path(scheme, 1, 0))) for scheme in Scheme]
    multisig = [
        MultisigAccount(Network.REGTEST, kind, 2, several, sort) for kind in MultisigKind for sort in (True, False)
    ]
    return [*single, *multisig]


@pytest.mark.parametrize("account", accounts(), ids=lambda one: one.descriptor()[:24])
def test_the_descriptor_account_says_the_same(account: ScriptAccount) -> None:
    twin = DescriptorAccount.from_text(account.descriptor(), Network.REGTEST)
    assert plainest(twin) == account == account_of_descriptor(account.descriptor(), Network.REGTEST)
    assert account_from_json(account.to_json()) == account
    assert account_from_json(twin.to_json()) == twin
    assert descriptor_of(account) == descriptor_of(twin)
    assert (twin.branches, twin.ranged, change_branch(twin)) == (account.branches, True, 1)
    assert set(twin.fingerprints) == set(account.fingerprints)
    for branch in (0, 1):
        assert twin.scripts(branch, 3, 70) == account.scripts(branch, 3, 70)
        assert twin.addresses(branch, 0, 3) == account.addresses(branch, 0, 3)
        assert twin.spending(branch, 5) == account.spending(branch, 5)
        assert twin.address(branch, 7) == account.address(branch, 7)
        assert twin.descriptor(branch) == account.descriptor(branch)
        spending = account.spending(branch, 6)
        origins = [*spending.origins.values(), *(origin for _, origin in spending.tap_origins.values())]
        assert origins
        for origin in origins:
            assert account.locate(origin) == twin.locate(origin) == (branch, 6)
            for other in (
                KeyOrigin(Fingerprint(b"\x00\x01\x02\x03"), origin.path),
                KeyOrigin(origin.fingerprint, origin.path / 0),
                KeyOrigin(origin.fingerprint, origin.path.parent),
                KeyOrigin(origin.fingerprint, origin.path.parent.parent / 2 / 6),
            ):
                assert account.locate(other) is twin.locate(other) is None


def test_single_branches_and_single_scripts() -> None:
    account = accounts()[2]
    half = DescriptorAccount.from_text(account.descriptor(1), Network.REGTEST)
    assert (half.branches, change_branch(half), half.script(0, 4)) == ((0,), 0, account.script(1, 4))
    assert plainest(half) is half
    with pytest.raises(InvalidInputError):
        half.script(1, 0)
    origin = account.spending(0, 0).origins
    text = f"wpkh({next(iter(origin)).hex()})"
    alone = DescriptorAccount.from_text(text, Network.REGTEST)
    assert not alone.ranged
    assert alone.scripts(0, 0, 1) == account.scripts(0, 0, 1)


def test_what_is_no_account() -> None:
    xpub = accounts()[2].descriptor().removeprefix("wpkh(").partition(")")[0]
    for text in (
        f"combo({xpub})",
        "raw(6a)",
        f"wpkh({xpub.replace('/*', '/*h')})",
        f"wpkh({xpub.replace('<0;1>', '<0;1;2>')})",
        "wpkh(cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW)",
    ):
        with pytest.raises(InvalidInputError):
            account_of_descriptor(text, Network.REGTEST)
    with pytest.raises(InvalidInputError):
        account_of_descriptor(f"wpkh({xpub})", Network.MAIN)
    for data in ({}, {"descriptor": 5}, {"version": 2, "descriptor": "x"}, [], {"multisig": "wsh"}):
        with pytest.raises(InvalidInputError):
            account_from_json(data)
