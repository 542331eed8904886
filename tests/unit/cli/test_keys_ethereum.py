"""``bursar keys import-key|import-keystore|export-keystore``, accounts of one key, and discovery in three schemes."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from bursar.backends.software import keystore_v3
from bursar.chain.ethereum_discovery import discover
from bursar.crypto.secret_storage import StorageScrypt
from bursar.errors import (
    ChainError,
    CorruptKeystoreError,
    InvalidInputError,
    PolicyDeniedError,
    WrongPasswordError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.units import Wei
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic

if TYPE_CHECKING:
    from tests.unit.cli.conftest import CommandLine

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"
KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"  # of web3.js' documentation
OWNER = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
Account.enable_unaudited_hdwallet_features()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore_v3, "encrypted", partial(keystore_v3.encrypted, kdf=StorageScrypt(n=1 << 13)))


def derived(path: str) -> Any:
    return Account.from_mnemonic(WORDS, account_path=path)


def pipe(*lines: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    return reading


def test_a_key_is_imported_and_signs(wallet: CommandLine) -> None:
    made = wallet.json("keys", "import-key", "--name", "hot", answers=[KEY, "tall pale tree", "tall pale tree"])
    assert (made["signer"], made["address"]) == ("software:hot", OWNER)
    path = wallet.home / "keystores" / "hot.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Account.decrypt(path.read_text(), "tall pale tree").hex().removeprefix("0x") == KEY
    added = wallet.json(
        "account", "add", "hot", "--chain", "ethereum", "--signer", "software:hot", answers=["tall pale tree"]
    )
    assert added["account"]["account"]["address"] == OWNER
    assert added["account"]["signer"] == "software:hot"
    signed = wallet.json("eth", "sign-message", "hi", "--account", "hot", answers=["y", "tall pale tree"])
    assert wallet.json("eth", "verify", OWNER, signed["signature"], "hi")["verified"]
    with pytest.raises(InvalidInputError, match="at index 0"):
        wallet.text("eth", "sign-message", "hi", "--account", "hot", "--index", "1")
    words = ("account", "add", "x", "--chain", "ethereum", "--number", "1", "--signer", "software:hot")
    with pytest.raises(InvalidInputError, match="has one key: no --scheme"):
        wallet.text(*words, answers=["tall pale tree"])
    with pytest.raises(InvalidInputError, match="already: use that one"):
        wallet.text("account", "add", "x", "--chain", "ethereum", "--address", OWNER)


def test_a_key_of_a_descriptor(wallet: CommandLine) -> None:
    words = ("keys", "import-key", "--name", "hot", "--key-fd", str(pipe("0x" + KEY.upper())))
    assert wallet.json(*words, "--password-fd", str(pipe("tall pale tree")))["address"] == OWNER
    with pytest.raises(InvalidInputError, match="exists"):
        wallet.text("keys", "import-key", "--name", "hot")


@pytest.mark.parametrize("text", ["", "0x", "11" * 31, "11" * 33, "zz" * 32, "00" * 32, "ff" * 32])
def test_what_is_no_key(wallet: CommandLine, text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        wallet.text("keys", "import-key", "--name", "hot", answers=[text])
    assert text[:8] not in caught.value.message or not text
    assert not (wallet.home / "keystores" / "hot.json").exists()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("kdf", "rounds"), [("scrypt", 1 << 13), ("pbkdf2", 20_000), ("pbkdf2", 10)])
def test_files_of_another_library(wallet: CommandLine, tmp_path: Path, kdf: Any, rounds: int, keep: bool) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(Account.encrypt(bytes.fromhex(KEY), "old", kdf=kdf, iterations=rounds)))
    before = path.read_bytes()
    words = ("keys", "import-keystore", str(path), "--name", "hot")
    options, lines = (("--keep-password",), ("old",)) if keep else ((), ("old", "new and long"))
    result = wallet.run_or_raise(*words, *options, "--password-fd", str(pipe(*lines)), "--json")
    assert json.loads(result.stdout)["address"] == OWNER
    assert ("cheap to guess" in result.stderr) == (rounds == 10)
    stored = (wallet.home / "keystores" / "hot.json").read_text()
    assert Account.decrypt(stored, lines[-1]).hex().removeprefix("0x") == KEY
    assert path.read_bytes() == before


def test_a_wrong_password_may_be_typed_again(wallet: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(Account.encrypt(bytes.fromhex(KEY), "old", kdf="pbkdf2", iterations=20_000)))
    words = ("keys", "import-keystore", str(path), "--name", "hot")
    assert wallet.json(*words, answers=["odl", "old", "new", "new"])["address"] == OWNER
    with pytest.raises(WrongPasswordError):
        wallet.text(*words[:-1], "hot2", "--password-fd", str(pipe("odl", "x")))
    with pytest.raises(CorruptKeystoreError):
        wallet.text("keys", "import-keystore", str(wallet.home / "keystores" / "main.json"), "--name", "hot3")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ((), "m/44'/60'/0'/0/0"),
        (("--number", "2"), "m/44'/60'/0'/0/2"),
        (("--scheme", "ledger-live", "--number", "3"), "m/44'/60'/3'/0/0"),
        (("--scheme", "legacy", "--number", "4"), "m/44'/60'/0'/4"),
    ],
)
def test_one_key_of_a_seed_is_exported(wallet: CommandLine, tmp_path: Path, words: tuple[str, ...], path: str) -> None:
    file = tmp_path / "out.json"
    command = ("keys", "export-keystore", *words, "-o", str(file))
    made = wallet.json(*command, answers=[PASSWORD, "for the other", "for the other"])
    theirs = derived(path)
    assert made["address"] == theirs.address
    assert Account.decrypt(file.read_text(), "for the other") == theirs.key
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidInputError, match="not overwritten"):
        wallet.text(*command)


def test_a_single_key_is_exported(wallet: CommandLine, tmp_path: Path) -> None:
    wallet.text("keys", "import-key", "--name", "hot", answers=[KEY, "one", "one"])
    file = tmp_path / "out.json"
    words = ("keys", "export-keystore", "--name", "hot", "-o", str(file))
    with pytest.raises(InvalidInputError, match="holds one key"):
        wallet.text(*words, "--number", "1")
    wallet.text(*words, "--no-address", "--password-fd", str(pipe("one", "two")))
    assert "address" not in json.loads(file.read_text())
    assert Account.decrypt(file.read_text(), "two").hex().removeprefix("0x") == KEY


def test_custody_hands_no_key_out(wallet: CommandLine, tmp_path: Path) -> None:
    with (wallet.home / "config.toml").open("a") as file:
        file.write("[custody]\n")
    with pytest.raises(PolicyDeniedError):
        wallet.text("keys", "export-keystore", "-o", str(tmp_path / "out.json"))


def test_the_schemes_of_accounts(wallet: CommandLine) -> None:
    for name, path, *words in (
        ("live", "m/44'/60'/3'/0/0", "--scheme", "ledger-live", "--number", "3"),
        ("old", "m/44'/60'/0'/0", "--scheme", "legacy"),
        ("second", "m/44'/60'/1'/0/0", "--number", "1"),
    ):
        wallet.text("account", "add", name, "--chain", "ethereum", *words, answers=[PASSWORD])
        shown = wallet.json("address", "show", name, "0")["address"]
        assert shown["address"] == derived(path).address
        signed = wallet.json("eth", "sign-message", "hi", "--account", name, answers=["y", PASSWORD])
        assert signed["address"] == derived(path).address
    listed = wallet.text("account", "list")
    assert "Ledger Live" in listed
    assert "legacy" in listed
    with pytest.raises(InvalidInputError, match="account 'gas' already"):
        wallet.text("account", "add", "again", "--chain", "ethereum", "--scheme", "ledger-live", answers=[PASSWORD])


def test_watching_an_address(wallet: CommandLine) -> None:
    added = wallet.json("account", "add", "theirs", "--chain", "ethereum", "--chain-id", "base", "--address", OWNER)
    assert added["account"]["account"] == {
        "version": 1,
        "kind": "ethereum-address",
        "chain_id": 8453,
        "address": OWNER,
    }
    assert added["account"]["signers"] == []
    with pytest.raises(InvalidInputError, match="only watched"):
        wallet.text("eth", "sign-message", "hi", "--account", "theirs")
    assert OWNER in wallet.text("account", "show", "theirs")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--address", OWNER), "go with --chain ethereum"),
        (("--chain", "ethereum", "--address", OWNER.lower()), "checksum"),
        (("--chain", "ethereum", "--address", OWNER, "--scheme", "legacy"), "says all"),
        (("--chain", "ethereum", "--address", OWNER, "--signer", "software:main"), "keys for many addresses"),
        (("--chain", "ethereum", "--address", OWNER, "--signer", "software:main", "--watch-only"), "leave --signer"),
        (("--chain", "ethereum", "--watch-only"), "goes with --address"),
        (("--chain", "ethereum", "--scheme", "bip84"), "for bitcoin accounts"),
        (("--scheme", "legacy"), "go with --chain ethereum"),
        (("--chain", "ethereum", "--chain-id", "bse"), "no chain is called"),
        (("--chain", "ethereum", "--chain-id", "0"), "chain id"),
    ],
)
def test_accounts_that_cannot_be(wallet: CommandLine, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        wallet.text("account", "add", "x", *words, answers=[PASSWORD])


class Chain:
    """A chain on which some addresses of the test words were used."""

    chain_id = 31337

    def __init__(self, sent: dict[str, int], ether: dict[str, int], tokens: dict[str, int]) -> None:
        self.sent, self.ether, self.tokens = sent, ether, tokens

    def check_chain(self) -> None: ...

    def nonce(self, address: Address, *, pending: bool = False) -> int:
        return self.sent.get(str(address), 0)

    def balance(self, address: Address, *, pending: bool = False) -> Wei:
        return Wei(self.ether.get(str(address), 0))

    def call(self, to: Address, data: bytes, *, sender: Any = None) -> bytes:
        if to == Address(b"\x77" * 20):
            raise ChainError("reverted", code="chain.reverted")
        return self.tokens.get(str(Address(data[-20:])), 0).to_bytes(32, "big")


@pytest.fixture(scope="module")
def chain() -> Chain:
    def at(path: str) -> str:
        return str(derived(path).address)

    return Chain(
        {at("m/44'/60'/0'/0/0"): 7, at("m/44'/60'/2'/0/0"): 1},
        {at("m/44'/60'/0'/0/3"): 10**18, at("m/44'/60'/0'/0/14"): 1},
        {at("m/44'/60'/0'/5"): 12_500_000},
    )


def test_discovery_in_every_scheme(chain: Any) -> None:
    with Mnemonic.from_text(WORDS).to_seed(None) as seed:
        root = ExtendedPrivateKey.from_seed(seed)
    asked: list[str] = []

    def xpub(path: Any) -> Any:
        asked.append(str(path))
        return root.derive(path).public()

    contracts = (Address(b"\x77" * 20), Address(b"\x88" * 20))
    looked = list(discover(chain, xpub, gap=6, tokens=contracts))
    used = {str(one.place.path): one.place.scheme.value for one in looked if one.used}
    assert used == {
        "m/44h/60h/0h/0/0": "bip44",
        "m/44h/60h/0h/0/3": "bip44",
        "m/44h/60h/2h/0/0": "ledger-live",
        "m/44h/60h/0h/5": "legacy",
    }
    assert len({one.place.path for one in looked}) == len(looked) == 10 + 8 + 12
    assert len(asked) == len(set(asked)) == 9
    for one in looked:
        assert str(one.address) == derived(str(one.place.path).replace("h", "'")).address
    with pytest.raises(InvalidInputError):
        next(discover(chain, xpub, gap=0))


def test_discovery_says_how_to_go_on(wallet: CommandLine, chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.cli.compose.ethereum_node", lambda session, chain_id: chain)
    wallet.text("account", "token", "gas", str(Address(b"\x88" * 20)), "USDC", "6")
    words = ("account", "discover", "--gap", "6")
    found = wallet.json(*words, answers=[PASSWORD])
    assert [(one["path"], one["account"]) for one in found["used"]] == [
        ("m/44h/60h/0h/0/0", "gas"),
        ("m/44h/60h/0h/0/3", "gas"),
        ("m/44h/60h/2h/0/0", None),
        ("m/44h/60h/0h/5", None),
    ]
    assert found["used"][3]["tokens"] == {"USDC": "12500000"}
    text = wallet.text(*words, answers=[PASSWORD])
    assert "4 used of 30 addresses" in text
    assert "account add NAME --chain ethereum --scheme ledger-live --number 2" in text
    assert "--scheme legacy --signer" in text
    assert "--scheme bip44" not in text
    assert "12.5 USDC" in text
