"""``bursar backup``: written, rehearsed and restored, Ledger registrations and rules included."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.ledger.policies import FilePolicyStore, Registration
from bursar.bitcoin.accounts import descriptor_of
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.cli.ledger_registrations import identity
from bursar.crypto.kdf import Scrypt
from bursar.errors import CorruptStoreError, InvalidInputError, WrongPasswordError
from bursar.keys.origin import Fingerprint
from bursar.wallet.wallet import Wallet

SECRET = "six words of the backup alone"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.crypto.sealed.Scrypt", partial(Scrypt, log_n=14))


def registered(line: Any, *devices: str) -> WalletPolicy:
    with Wallet.open(line.home / "wallet.db") as store:
        account: Any = store.account("board").account
    policy = WalletPolicy.from_descriptor("Board", descriptor_of(account))
    for device in devices:
        registration = Registration(policy, Fingerprint.from_text(device), identity(policy), bytes(32), False)
        FilePolicyStore(line.home / "ledger" / "policies.json").add(registration)
    return policy


def test_the_whole_round(signers: Any, cli: Any, tmp_path: Path) -> None:
    registered(signers, "73c5da0a", "b8688df1")
    address = signers.json("address", "new", "savings")["address"]["address"]
    signers.text("labels", "set", "savings", address, "Alice")
    token = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
    signers.text("account", "token", "gas", token, "USDC", "6")
    file = tmp_path / "wallet.backup"
    written = signers.json("backup", "write", str(file), answers=[SECRET, SECRET])["backup"]
    assert written["accounts"] == ["board", "gas", "savings", "vault"]
    assert (written["labels"], written["tokens"], written["policies"], written["rules"]) == (1, 1, 2, True)
    assert file.stat().st_mode & 0o077 == 0
    assert b"Alice" not in file.read_bytes()
    with pytest.raises(InvalidInputError, match="exists and is not overwritten"):
        signers.text("backup", "write", str(file))

    same = signers.text("backup", "check", str(file), answers=[SECRET])
    assert "35 addresses derived anew" in same
    assert "holds everything this wallet has" in same
    signers.text("labels", "set", "savings", address, "Bob")
    signers.text("account", "token", "gas", "0x5FbDB2315678afecb367f032d93F642f64180aa3", "SUSD", "6")
    with (signers.home / "policy.toml").open("a") as rules:
        rules.write("# changed\n")
    later = signers.json("backup", "check", str(file), answers=[SECRET])["check"]
    assert later["missing"] == [
        "token SUSD is not in the backup",
        "2 labels differ",
        "policy.toml is not the one in the backup",
    ]

    signers.text("labels", "set", "savings", address, "")
    again = signers.json("backup", "restore", str(file), answers=[SECRET])["restored"]
    assert (again["new"], again["accounts"], again["labels"], again["policies"]) == (False, [], 1, 0)
    assert again["rules"] == str(signers.home / "policy.restored.toml")

    cli.home = tmp_path / "elsewhere"
    fresh = cli.text("backup", "restore", str(file), answers=[SECRET])
    assert "4 accounts added (board, gas, savings, vault)" in fresh
    assert "bursar restore" in fresh
    assert (cli.home / "policy.toml").read_text() == (signers.home / "policy.restored.toml").read_text()
    assert 'network = "regtest"' in (cli.home / "config.toml").read_text()
    assert cli.json("labels", "list", "savings")["labels"][0]["label"] == "Alice"
    kept = FilePolicyStore(cli.home / "ledger" / "policies.json").everything()
    assert [str(one.fingerprint) for one in kept] == ["73c5da0a", "b8688df1"]
    assert (
        cli.json("account", "show", "board")["account"]["descriptors"]
        == (signers.json("account", "show", "board")["account"]["descriptors"])
    )


def test_without_a_wallet_the_drill_still_runs(wallet: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "wallet.backup"
    wallet.text("backup", "write", str(file), answers=[SECRET, SECRET])
    cli.home = tmp_path / "nothing"
    assert "No wallet in" in cli.text("backup", "check", str(file), answers=["mistyped", SECRET])
    assert not cli.home.exists()
    with pytest.raises(WrongPasswordError):
        cli.text("backup", "restore", str(file), answers=["a", "b", "c"])
    damaged = file.read_bytes().replace(b'"kdf"', b'"kdg"')
    file.write_bytes(damaged)
    with pytest.raises(CorruptStoreError):
        cli.text("backup", "restore", str(file), answers=[SECRET])
    assert not cli.home.exists()
    with pytest.raises(FileNotFoundError):
        cli.text("backup", "check", str(tmp_path / "none"))  # nobody is asked for a password


def test_a_policy_is_named_as_ledgers_own_library_names_it(signers: Any) -> None:
    library = pytest.importorskip("ledger_bitcoin", reason="ledger_bitcoin is not installed")
    policy = registered(signers)
    theirs = library.WalletPolicy(policy.name, policy.template, list(policy.key_texts))
    assert identity(policy) == theirs.id
