"""Wallets, accounts and addresses: made from words that are shown once, restored from words that are typed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from bursar.errors import InvalidInputError, SignerNotFoundError, UserCancelledError, WrongPasswordError
from bursar.keys.mnemonic import Mnemonic

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = "correct horse battery"
# BIP-84's and BIP-86's own accounts are of these words on mainnet; here the same words on regtest
FINGERPRINT = "73c5da0a"


def asked_word(answers: Any) -> str:
    """Answers ``Word 7`` from the page that was shown."""
    number = int(answers.heard[-1].removeprefix("Word "))
    page = next(text for text in reversed(answers.heard) if "shown only now" in text)
    shown = page.split()
    return str(shown[shown.index(f"{number}.") + 1])


def test_init_shows_the_words_once_and_asks_for_three(cli: Any) -> None:
    made = cli.json(
        "init", "--network", "regtest", "--words", "12", answers=["", *[asked_word] * 3, PASSWORD, PASSWORD]
    )
    assert made["signer"] == "software:main"
    assert (cli.home / "config.toml").read_text().count('network = "regtest"') == 1
    for name in ("config.toml", "policy.toml", "wallet.db", "keystores/main.json"):
        assert stat.S_IMODE((cli.home / name).stat().st_mode) == 0o600
    page = next(text for text in cli.answers.heard if "shown only now" in text)
    words = [word for word in page.partition("only now.")[2].split() if not word.endswith(".")]
    order = [int(word[:-1]) for word in page.partition("only now.")[2].split() if word.endswith(".")]
    sentence = " ".join(word for _, word in sorted(zip(order, words, strict=True)))
    assert len(Mnemonic.from_text(sentence)) == 12
    assert not any(word in json.dumps(made) for word in words if len(word) > 4)


def test_init_without_keys_for_a_hardware_wallet(cli: Any) -> None:
    made = cli.json("init", "--no-keystore", "--network", "regtest")
    assert made == {"home": str(cli.home), "keystore": None, "signer": None, "fingerprint": None}
    assert list((cli.home / "keystores").iterdir()) == []
    assert 'network = "regtest"' in (cli.home / "config.toml").read_text()
    assert cli.json("account", "list") == {"accounts": []}
    assert "without keys" in cli.text("init", "--no-keystore")


def test_init_takes_the_words_in_capitals_and_with_composed_accents(cli: Any) -> None:
    def typed(answers: Any) -> str:
        word: str = asked_word(answers)
        return unicodedata.normalize("NFC", word).upper() + " "

    cli.text("init", "--language", "spanish", answers=["", *[typed] * 3, PASSWORD, PASSWORD])
    assert cli.home.exists()


def test_init_stops_when_the_words_are_not_confirmed(cli: Any) -> None:
    with pytest.raises(UserCancelledError):
        cli.text("init", answers=["", "wrong"] * 3)
    assert not cli.home.exists()


def test_init_writes_the_words_to_a_descriptor(cli: Any) -> None:
    reading, writing = os.pipe()
    words_in, words_out = os.pipe()
    os.write(writing, b"a password\n")
    cli.text("init", "--mnemonic-fd", str(words_out), "--password-fd", str(reading), "--language", "japanese")
    os.close(words_out)
    with os.fdopen(words_in) as file:
        assert Mnemonic.from_text(file.read().strip()).language == "japanese"


def test_init_does_not_touch_a_keystore_that_exists(wallet: Any) -> None:
    before = (wallet.home / "keystores" / "main.json").read_bytes()
    with pytest.raises(InvalidInputError, match="--name"):
        wallet.text("init")
    assert (wallet.home / "keystores" / "main.json").read_bytes() == before


def test_a_second_keystore_keeps_settings(wallet: Any) -> None:
    (wallet.home / "config.toml").write_text('network = "signet"\nchain_id = 5\n')
    wallet.text("init", "--name", "second", answers=["", *[asked_word] * 3, PASSWORD, PASSWORD])
    assert "signet" in (wallet.home / "config.toml").read_text()
    found = wallet.json("devices")["devices"]
    assert [one["signer"] for one in found] == ["software:main", "software:second"]
    with pytest.raises(InvalidInputError, match="several signers"):
        wallet.text("account", "add", "more", "--number", "3")
    wallet.text("account", "add", "more", "--number", "3", "--signer", "software:second", answers=[PASSWORD])


@pytest.mark.parametrize("words", ["abandon " * 12, "abandon about", "", "notaword " * 12])
def test_restore_refuses_words_that_are_no_mnemonic(cli: Any, words: str) -> None:
    with pytest.raises(InvalidInputError):
        cli.text("restore", answers=[words])
    assert not cli.home.exists()


def test_restore_with_a_passphrase_is_another_wallet(cli: Any) -> None:
    made = cli.json("restore", "--passphrase", answers=[WORDS, "extra", "extra", PASSWORD, PASSWORD])
    assert made["fingerprint"] != FINGERPRINT


def test_accounts_are_the_known_ones(wallet: Any) -> None:
    listed = {one["name"]: one for one in wallet.json("account", "list")["accounts"]}
    assert set(listed) == {"savings", "vault", "gas"}
    assert {one["signer"] for one in listed.values()} == {FINGERPRINT}
    # what every wallet derives from these words (BIP-44, coin type 60)
    assert wallet.text("address", "new", "gas").strip() == "0x9858EfFD232B4033E47d90003D41EC34EcaEda94"
    assert wallet.text("address", "new", "savings").startswith("bcrt1q")
    assert wallet.text("address", "new", "vault").startswith("bcrt1p")


def test_account_show_gives_descriptors(wallet: Any) -> None:
    shown = wallet.json("account", "show", "savings")["account"]
    assert shown["descriptors"][0].startswith(f"wpkh([{FINGERPRINT}/84h/1h/0h]tpub")
    assert "descriptor receive" in wallet.text("account", "show", "savings")
    assert "descriptors" not in wallet.json("account", "show", "gas")["account"]


@pytest.mark.parametrize(
    "words",
    [
        ("add", "x", "--chain", "ethereum", "--scheme", "bip84"),
        ("add", "x", "--chain", "bitcoin", "--chain-id", "5"),
        ("add", "x", "--network", "moon"),
        ("show", "missing"),
        ("token", "savings", "0x5FbDB2315678afecb367f032d93F642f64180aa3", "USDC", "6"),
        ("token", "gas", "0x5fbdb2315678afecb367f032d93f642f64180aa3", "USDC", "6"),  # no checksum
    ],
)
def test_account_mistakes(wallet: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError):
        wallet.text("account", *words)


def test_account_add_asks_again_for_a_wrong_password(wallet: Any) -> None:
    wallet.text("account", "add", "more", "--number", "1", answers=["no", "neither", PASSWORD])
    with pytest.raises(WrongPasswordError):
        wallet.text("account", "add", "again", "--number", "2", answers=["no", "no", "no"])


def test_a_wrong_password_from_a_descriptor_is_not_tried_again(wallet: Any) -> None:
    reading, writing = os.pipe()
    os.write(writing, f"no\n{PASSWORD}\n".encode())
    with pytest.raises(WrongPasswordError):
        wallet.text("account", "add", "more", "--number", "1", "--password-fd", str(reading))


def test_an_unknown_signer(wallet: Any) -> None:
    with pytest.raises(SignerNotFoundError):
        wallet.text("account", "add", "more", "--signer", "software:other")


def test_addresses(wallet: Any) -> None:
    first = wallet.json("address", "new", "savings")["address"]
    second = wallet.json("address", "new", "savings")["address"]
    assert (first["index"], second["index"]) == (0, 1)
    listed = wallet.json("address", "list", "savings")["addresses"]
    assert [one["address"] for one in listed] == [first["address"], second["address"]]
    shown = wallet.json("address", "show", "savings", "1")["address"]
    assert (shown["address"], shown["path"]) == (second["address"], "m/84h/1h/0h/0/1")
    assert wallet.json("address", "show", "savings", "0", "--change")["address"]["path"] == "m/84h/1h/0h/1/0"
    assert "unused" in wallet.text("address", "list", "savings")


def test_an_address_is_not_shown_on_a_signer_without_a_screen(wallet: Any) -> None:
    result = wallet.run("address", "show", "savings", "0", "--on-device", answers=[PASSWORD])
    assert "no screen" in str(result.exception)


@pytest.mark.parametrize("account", ["savings", "gas"])
def test_messages(wallet: Any, account: str) -> None:
    signed = wallet.json("message", "sign", account, "0", "hello", answers=[PASSWORD])
    words = (signed["address"], signed["signature"])
    assert wallet.json("message", "verify", *words, "hello")["verified"] is True
    assert wallet.text("message", "verify", *words, "-", stdin="hello").startswith("Signed by")
    with pytest.raises(InvalidInputError):
        wallet.text("message", "verify", *words, "hellp")


def test_taproot_has_no_old_form_and_says_so_before_a_password_is_asked(wallet: Any) -> None:
    with pytest.raises(InvalidInputError, match="taproot"):
        wallet.text("message", "sign", "vault", "0", "hello", "--format", "legacy")


def test_journal(wallet: Any, tmp_path: Path) -> None:
    head = wallet.json("journal", "verify")["journal"]
    anchor = f"{head['sequence']}:{head['hash']}"
    wallet.text("address", "new", "savings")
    assert "unbroken" in wallet.text("journal", "verify", "--anchor", anchor)
    wallet.text("journal", "export", str(tmp_path / "journal.jsonl"))
    assert len((tmp_path / "journal.jsonl").read_text().splitlines()) == head["sequence"] + 1
    with pytest.raises(InvalidInputError):
        wallet.text("journal", "verify", "--anchor", "nonsense")


def test_policy(wallet: Any, tmp_path: Path) -> None:
    assert wallet.json("policy", "check")["rules"][0]["name"] == "bitcoin-to-anyone"
    payee = wallet.text("address", "new", "vault").strip()
    assert wallet.json("policy", "explain", "savings", payee, "0.1btc")["verdict"] == "allow"
    refused = wallet.json("policy", "explain", "savings", payee, "3btc")
    assert (refused["verdict"], refused["rule"]) == ("deny", "bitcoin-per-transfer")
    draft = tmp_path / "draft.toml"
    draft.write_text("version = 1\n[[rule]]\nname = 'x'\nkind = 'nonsense'\n")
    with pytest.raises(InvalidInputError, match="nonsense"):
        wallet.text("policy", "check", str(draft))
    (wallet.home / "policy.toml").unlink()
    with pytest.raises(InvalidInputError, match="without a policy nothing may be paid"):
        wallet.text("policy", "explain", "savings", payee, "1sat")


def test_account_names_are_completed(wallet: Any) -> None:
    environment = {
        **os.environ,
        "_BURSAR_COMPLETE": "bash_complete",
        "COMP_WORDS": f"bursar --home {wallet.home} balance s",
        "COMP_CWORD": "4",
    }
    command = [sys.executable, "-m", "bursar.cli"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["plain,savings"]


def test_restore_from_descriptors(cli: Any) -> None:
    words, password = os.pipe(), os.pipe()
    os.write(words[1], f"{WORDS}\nTREZOR\n".encode())
    os.write(password[1], b"hush\n")
    options = ("--mnemonic-fd", str(words[0]), "--passphrase-fd", str(words[0]), "--password-fd", str(password[0]))
    assert cli.json("restore", *options)["fingerprint"] == "b4e3f5ed"


def test_doctor(wallet: Any) -> None:
    examined = wallet.json("doctor")
    assert examined["healthy"] is True
    wallet.home.chmod(0o755)
    (wallet.home / "config.toml").write_text("network = ")
    result = wallet.run("doctor", "--json")
    assert result.exit_code == 4
    assert {one["subject"] for one in json.loads(result.stdout)["findings"] if one["state"] == "problem"} >= {
        "folder",
        "settings",
    }


def test_doctor_without_a_wallet(cli: Any) -> None:
    assert cli.json("doctor")["healthy"] is True
    assert not cli.home.exists()
