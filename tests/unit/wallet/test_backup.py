"""Backups: written once, opened by their password only, drilled, restored into a new wallet, hostile files refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.accounts import account_of_descriptor
from bursar.bitcoin.labels import LabelRecord, LabelType
from bursar.bitcoin.network import Network
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.crypto.sealed import Scrypt
from bursar.crypto.secret import Secret
from bursar.errors import CorruptStoreError, InvalidInputError, StoreError, WrongPasswordError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import Fingerprint
from bursar.keys.path import DerivationPath
from bursar.policy.policy import DEFAULT_POLICY_TOML
from bursar.wallet.backup import (
    Bundle,
    RegisteredPolicy,
    gather,
    open_backup,
    read_backup,
    restore,
    restore_drill,
    seal_backup,
    write_backup,
)
from bursar.wallet.labels import export_labels, import_labels
from bursar.wallet.wallet import Wallet

QUICK = Scrypt(log_n=14)
PATH = DerivationPath.from_text("m/48h/1h/0h/2h")
ROOTS = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=True) for number in (1, 2)]
KEYS = [f"[{root.fingerprint}{PATH.suffix()}]{root.derive(PATH).public()}" for root in ROOTS]
POLICY = WalletPolicy.from_text("vault", "wsh(sortedmulti(2,@0/**,@1/**))", KEYS)


def password() -> Secret:
    return Secret.from_text("correct horse")


@pytest.fixture
def full(funded: SimpleNamespace, fakes: SimpleNamespace) -> Wallet:
    """Every kind of account, labels and a token."""
    wallet: Wallet = funded.wallet
    wallet.add_account("eth", fakes.ethereum_account(), signer="test")
    wallet.add_account("vault", account_of_descriptor(POLICY.descriptor_text(), Network.REGTEST), signer=("a", "b"))
    watched = account_of_descriptor(
        f"wsh(or_d(pk({KEYS[0]}/0/*),and_v(v:pk({KEYS[1]}/0/*),older(10))))", Network.REGTEST
    )
    wallet.add_account("watched", watched, gap_limit=30)
    wallet.add_token(1, "0x5FbDB2315678afecb367f032d93F642f64180aa3", "USDX", 6)
    import_labels(wallet, [LabelRecord(LabelType.TX, "ab" * 32, "rent")], account="btc")
    return wallet


@pytest.fixture
def bundle(full: Wallet) -> Bundle:
    registered = RegisteredPolicy(POLICY, Fingerprint(b"\1\2\3\4"), bytes(range(32)), retired=True)
    return gather(full, policies=[registered], rules=DEFAULT_POLICY_TOML)


def test_what_is_gathered(bundle: Bundle, full: Wallet) -> None:
    assert [one.name for one in bundle.accounts] == ["btc", "eth", "vault", "watched"]
    assert [one.signers for one in bundle.accounts] == [("test",), ("test",), ("a", "b"), ()]
    assert bundle.accounts[0].next_index == (3, 0)
    assert bundle.journal == full.journal.head()
    assert bundle.labels == ((Network.REGTEST, LabelRecord(LabelType.TX, "ab" * 32, "rent")),)
    assert Bundle.from_json(json.loads(json.dumps(bundle.to_json()))) == bundle


def test_written_read_drilled_and_restored(bundle: Bundle, full: Wallet, tmp_path: Path) -> None:
    path = tmp_path / "wallet.backup"
    write_backup(path, bundle, password(), kdf=QUICK)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"vault" not in path.read_bytes()
    found = read_backup(path, password())
    assert found == bundle
    report = restore_drill(found, wallet=full)
    assert (report.accounts, report.labels, report.tokens, report.policies) == (
        ("btc", "eth", "vault", "watched"),
        1,
        1,
        1,
    )
    assert report.addresses == 10 + 5 + 10 + 5
    assert report.missing == ()
    with Wallet.open(tmp_path / "new.db", create=True) as fresh:
        restored = restore(found, fresh)
        assert (restored.accounts, restored.labels, restored.tokens) == (report.accounts, 1, 1)
        before = {one.name: (one.account, one.signers, one.gap_limit) for one in full.accounts()}
        assert {one.name: (one.account, one.signers, one.gap_limit) for one in fresh.accounts()} == before
        assert export_labels(fresh, network=Network.REGTEST) == export_labels(full, network=Network.REGTEST)
        assert fresh.tokens() == full.tokens()
        again = restore(found, fresh)
        assert (again.accounts, again.labels, again.tokens) == ((), 0, 0)
    with pytest.raises(InvalidInputError) as caught:
        write_backup(path, bundle, password(), kdf=QUICK)
    assert caught.value.code == "input.file"


def test_a_wrong_password_and_damage_are_told_apart(bundle: Bundle) -> None:
    data = seal_backup(bundle, password(), kdf=QUICK)
    with pytest.raises(WrongPasswordError):
        open_backup(data, Secret.from_text("wrong horse"))
    place = data.index(b'"ciphertext":"') + 40
    flipped = data[:place] + (b"0" if data[place : place + 1] != b"0" else b"1") + data[place + 1 :]
    for damaged in (flipped, data[:-10], data + b"x", b"", b"{}", b"[]", data.replace(b"scrypt", b"md5sum")):
        with pytest.raises(CorruptStoreError) as caught:
            open_backup(damaged, password())
        assert caught.value.code == "store.backup"


def test_hostile_parameters_are_refused_before_any_work(bundle: Bundle) -> None:
    document = json.loads(seal_backup(bundle, password(), kdf=QUICK))
    document["sealed"]["kdf"]["log_n"] = 40
    with pytest.raises(CorruptStoreError):
        open_backup(json.dumps(document).encode(), password())
    document["version"] = 2
    with pytest.raises(StoreError) as caught:
        open_backup(json.dumps(document).encode(), password())
    assert caught.value.code == "store.newer"


def test_a_drill_finds_what_no_longer_derives_the_same(bundle: Bundle) -> None:
    for place, one in enumerate(bundle.accounts):
        wrong = ((*one.first[0][:-1], one.first[0][0]), *one.first[1:])
        accounts = (*bundle.accounts[:place], replace(one, first=wrong), *bundle.accounts[place + 1 :])
        with pytest.raises(CorruptStoreError, match=one.name):
            restore_drill(replace(bundle, accounts=accounts))
    with pytest.raises(InvalidInputError):
        restore_drill(replace(bundle, rules="no toml ["))


def test_a_drill_names_what_the_backup_lacks(bundle: Bundle, full: Wallet, fakes: SimpleNamespace) -> None:
    full.add_account("late", account_of_descriptor(f"wpkh({KEYS[0]}/<0;1>/*)", Network.REGTEST))
    full.add_token(1, "0xd9145CCE52D386f254917e481eB44e9943F39138", "NEW", 18)
    assert restore_drill(bundle, wallet=full).missing == (
        "account late is not in the backup",
        "token NEW is not in the backup",
    )
    with pytest.raises(CorruptStoreError, match="anchored"):
        restore_drill(replace(bundle, journal=replace(bundle.journal, hash="0" * 64)), wallet=full)


def test_another_wallets_journal_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    with Wallet.open(tmp_path / "other.db", create=True) as other, pytest.raises(CorruptStoreError):
        restore_drill(bundle, wallet=other)


MALFORMED: list[dict[str, Any]] = [
    {"accounts": [{}]},
    {"accounts": [1]},
    {"accounts": {}},
    {"labels": [["regtest"]]},
    {"labels": [["regtest", {"type": "tx"}]]},
    {"labels": [["moon", {"type": "tx", "ref": "ab" * 32}]]},
    {"tokens": [[1]]},
    {"tokens": [["1", "0x", "x", 1]]},
    {"policies": [{"policy": {}, "fingerprint": "", "hmac": "", "retired": False}]},
    {"rules": 1},
    {"journal": None},
    {"created": "now"},
    {"program": None},
]


def test_malformed_contents(bundle: Bundle) -> None:
    for changed in MALFORMED:
        with pytest.raises(CorruptStoreError) as caught:
            Bundle.from_json(bundle.to_json() | changed)
        assert caught.value.code == "store.backup"
    twice = replace(bundle, accounts=bundle.accounts[:1] * 2)
    with pytest.raises(CorruptStoreError):
        Bundle.from_json(twice.to_json())


def test_files_that_cannot_be_read_or_written(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        read_backup(tmp_path / "none", password())
    with pytest.raises(StoreError):
        write_backup(tmp_path / "no folder" / "x", bundle, password(), kdf=QUICK)
    with pytest.raises(InvalidInputError, match="empty password"):
        write_backup(tmp_path / "x", bundle, Secret(b""), kdf=QUICK)
    assert not (tmp_path / "x").exists()


@settings(max_examples=40)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(("kind", "version", "sealed")), st.integers()).map(json.dumps)
)
def test_garbage(data: bytes | str) -> None:
    with pytest.raises((CorruptStoreError, StoreError)):
        open_backup(data.encode() if isinstance(data, str) else data, password())
