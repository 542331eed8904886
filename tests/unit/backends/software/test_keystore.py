"""The keystore file: round trips, and every way it can be wrong told apart."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.backends.software import keystore
from bursar.crypto.kdf import Argon2id, Scrypt
from bursar.crypto.secret import Secret
from bursar.errors import (
    BursarError,
    CorruptKeystoreError,
    InvalidInputError,
    KeystoreBusyError,
    KeystoreError,
    WrongPasswordError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic

CHEAP = Scrypt(log_n=14)
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
PASSWORD = Secret(b"correct horse")


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sealed") / "main.json"
    keystore.create(path, Mnemonic.from_text(WORDS), PASSWORD, kdf=CHEAP)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sealed: bytes) -> Path:
    path = tmp_path / "main.json"
    path.write_bytes(sealed)
    path.chmod(0o600)
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def test_a_keystore_gives_the_words_back(path: Path) -> None:
    unlocked = keystore.unlock(path, PASSWORD)
    assert unlocked.mnemonic.text() == Secret.from_text(WORDS)
    assert unlocked.passphrase is None
    assert str(unlocked.root().fingerprint) == "73c5da0a"  # BIP-84's test mnemonic
    assert keystore.export_mnemonic(path, PASSWORD) == Secret.from_text(WORDS)


def test_the_header_is_readable_without_the_password(path: Path) -> None:
    header = keystore.read_header(path)
    assert str(header.fingerprint) == "73c5da0a"
    assert header.created.utcoffset() is not None


def test_the_file_is_private_and_names_neither_words_nor_password(path: Path, tmp_path: Path) -> None:
    made = tmp_path / "deep" / "down" / "k.json"
    keystore.create(made, Mnemonic.from_text(WORDS), PASSWORD, passphrase=Secret(b"TREZOR"), kdf=CHEAP)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == stat.S_IMODE(made.parent.parent.stat().st_mode) == 0o700
    text = made.read_text()
    assert not re.search("abandon|horse|TREZOR|passphrase|english", text)
    assert set(json.loads(text)) == {"format", "version", "fingerprint", "created", "sealed"}


def test_the_length_tells_neither_the_number_of_words_nor_a_passphrase(tmp_path: Path) -> None:
    sizes = set()
    for number, (entropy, passphrase) in enumerate(((16, None), (32, None), (32, Secret(b"long " * 20)))):
        made = tmp_path / f"{number}.json"
        keystore.create(made, Mnemonic(bytes(entropy)), PASSWORD, passphrase=passphrase, kdf=CHEAP)
        sizes.add(len(json.loads(made.read_text())["sealed"]["ciphertext"]))
    assert len(sizes) == 1


@pytest.mark.parametrize("passphrase", [b"", b"TREZOR", " é".encode(), "é".encode()])
def test_a_passphrase_is_kept_exactly_and_makes_another_wallet(tmp_path: Path, passphrase: bytes) -> None:
    made = tmp_path / "k.json"
    words = Mnemonic.from_text(WORDS)
    header = keystore.create(made, words, PASSWORD, passphrase=Secret(passphrase), kdf=CHEAP)
    unlocked = keystore.unlock(made, PASSWORD)
    assert unlocked.passphrase == Secret(passphrase)
    with ExtendedPrivateKey.from_seed(words.to_seed(Secret(passphrase))) as root:
        assert header.fingerprint == unlocked.root().fingerprint == root.fingerprint
    assert (str(header.fingerprint) == "73c5da0a") == (passphrase == b"")


@pytest.mark.parametrize("aead", ["aes-256-gcm", "chacha20-poly1305"])
@pytest.mark.parametrize("kdf", [CHEAP, Argon2id(memory=19456, iterations=2, lanes=1)])
def test_every_cipher_and_derivation(tmp_path: Path, aead: Any, kdf: Any) -> None:
    made = tmp_path / "k.json"
    keystore.create(made, Mnemonic.from_text(WORDS), PASSWORD, kdf=kdf, aead=aead)
    assert keystore.export_mnemonic(made, PASSWORD) == Secret.from_text(WORDS)


@pytest.mark.parametrize("language", ["japanese", "chinese_simplified", "chinese_traditional", "french"])
def test_every_language_comes_back_itself(tmp_path: Path, language: str) -> None:
    made = tmp_path / "k.json"
    words = Mnemonic(bytes(range(16)), language)
    keystore.create(made, words, PASSWORD, kdf=CHEAP)
    assert keystore.unlock(made, PASSWORD).mnemonic.language == language
    assert keystore.export_mnemonic(made, PASSWORD) == words.text()


def test_a_wrong_password_is_told_from_damage(path: Path) -> None:
    for wrong in (b"correct hors", b"Correct horse", b"correct horse ", b"x" * 10_000, b""):
        with pytest.raises(WrongPasswordError):
            keystore.unlock(path, Secret(wrong))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptKeystoreError):
        keystore.unlock(path, PASSWORD)


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="empty password"):
        keystore.create(tmp_path / "k.json", Mnemonic.from_text(WORDS), Secret(b""), kdf=CHEAP)
    assert not (tmp_path / "k.json").exists()


def test_truncation_at_every_length_is_damage(path: Path, sealed: bytes) -> None:
    for length in range(len(sealed) - 1):
        path.write_bytes(sealed[:length])
        with pytest.raises(CorruptKeystoreError):
            keystore.read_header(path) if length < 40 else keystore.unlock(path, PASSWORD)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="geth"),
        lambda d: d.update(version=2),
        lambda d: d.update(version="1"),
        lambda d: d.update(extra=1),
        lambda d: d.pop("created"),
        lambda d: d.update(fingerprint="73c5da0"),
        lambda d: d.update(fingerprint="73C5DA0A"),
        lambda d: d.update(fingerprint="00000000"),
        lambda d: d.update(created="2026-01-01T00:00:00Z"),
        lambda d: d.update(created="2026-13-01T00:00:00Z"),
        lambda d: d.update(sealed=[]),
        lambda d: d["sealed"].update(aead="aes-128-ctr"),
        lambda d: d["sealed"].update(nonce="00" * 12),
        lambda d: d["sealed"].update(password_check="00" * 32),
        lambda d: d["sealed"]["kdf"].update(log_n=15),
        lambda d: d["sealed"]["kdf"].update(log_n=63),
        lambda d: d["sealed"]["kdf"].update(r=2**40),
        lambda d: d["sealed"]["kdf"].update(p=-1),
        lambda d: d["sealed"]["kdf"].update(log_n=1),
        lambda d: d["sealed"]["kdf"].update(name="pbkdf2"),
        lambda d: d["sealed"]["kdf"].update(salt=""),
    ],
)
def test_every_altered_field_is_damage_and_costs_no_memory(
    path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(path, change)
    started = time.monotonic()
    with pytest.raises(CorruptKeystoreError):
        keystore.unlock(path, PASSWORD)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"format": "bursar-keystore", "format": "bursar-keystore", "version": 1}',
        b'{"format": "bursar-keystore", "version": NaN}',
        b'{"format": "bursar-keystore", "version": ' + b"1" * 5000 + b"}",
        b"-----BEGIN PRIVATE KEY-----",
    ],
)
def test_what_is_no_keystore_is_damage(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with pytest.raises(CorruptKeystoreError):
        keystore.read_header(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_never_opens_a_keystore_wrongly(
    sealed: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place, bit = data.draw(st.integers(0, len(sealed) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(sealed)
    flipped[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "main.json"
    path.write_bytes(flipped)
    path.chmod(0o600)
    try:
        unlocked = keystore.unlock(path, PASSWORD)
    except BursarError as error:
        assert isinstance(error, KeystoreError)  # noqa: PT017
    else:
        assert unlocked.mnemonic.text() == Secret.from_text(WORDS)  # white space, or a letter of an escape


def test_words_of_another_key_are_found_out(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    monkeypatch.setattr(ExtendedPrivateKey, "fingerprint", keystore.read_header(path).fingerprint)
    keystore.create(other, Mnemonic(bytes(32)), PASSWORD, kdf=CHEAP)
    monkeypatch.undo()
    with pytest.raises(CorruptKeystoreError, match="not those its header names"):
        keystore.unlock(other, PASSWORD)


def test_a_keystore_is_never_overwritten(path: Path, sealed: bytes) -> None:
    with pytest.raises(KeystoreError) as caught:
        keystore.create(path, Mnemonic(bytes(32)), PASSWORD, kdf=CHEAP)
    assert caught.value.code == "keystore.exists"
    assert path.read_bytes() == sealed


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    link = tmp_path / "main.json"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeystoreError):
        keystore.create(link, Mnemonic(bytes(32)), PASSWORD, kdf=CHEAP)
    assert not (tmp_path / "elsewhere").exists()


def test_changing_the_password(path: Path) -> None:
    header = keystore.read_header(path)
    keystore.change_password(path, PASSWORD, Secret(b"battery staple"), kdf=CHEAP)
    with pytest.raises(WrongPasswordError):
        keystore.unlock(path, PASSWORD)
    assert keystore.export_mnemonic(path, Secret(b"battery staple")) == Secret.from_text(WORDS)
    assert keystore.read_header(path) == header


@pytest.mark.parametrize(
    ("old", "new", "error"), [(b"wrong", b"new", WrongPasswordError), (b"correct horse", b"", InvalidInputError)]
)
def test_a_failed_change_of_password_changes_nothing(
    path: Path, sealed: bytes, old: bytes, new: bytes, error: type[BursarError]
) -> None:
    with pytest.raises(error):
        keystore.change_password(path, Secret(old), Secret(new), kdf=CHEAP)
    assert path.read_bytes() == sealed


def test_a_keystore_in_use_keeps_its_password(path: Path) -> None:
    with keystore.FileLock(path), pytest.raises(KeystoreBusyError):
        keystore.change_password(path, PASSWORD, Secret(b"new"), kdf=CHEAP)


def test_the_default_derivation_is_expensive(tmp_path: Path) -> None:
    made = tmp_path / "k.json"
    keystore.create(made, Mnemonic.from_text(WORDS), PASSWORD)
    kdf = json.loads(made.read_text())["sealed"]["kdf"]
    assert (kdf["name"], kdf["log_n"], kdf["r"], kdf["p"]) == ("scrypt", 17, 8, 1)


def test_no_error_shows_a_secret(path: Path, tmp_path: Path) -> None:
    errors = []
    for attempt in (
        lambda: keystore.unlock(path, Secret(b"my wrong password")),
        lambda: keystore.create(
            tmp_path / "x.json", Mnemonic.from_text(WORDS), PASSWORD, passphrase=Secret(b"\xffsecret")
        ),
    ):
        try:
            attempt()
        except BursarError as error:
            errors.append(error)
    assert len(errors) == 2
    for error in errors:
        chain, at = "", error
        while at is not None:
            chain += f"{at!r}{vars(at) if hasattr(at, '__dict__') else ''}"
            at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
        assert not re.search("wrong password'|my wrong|secret|abandon", chain)
