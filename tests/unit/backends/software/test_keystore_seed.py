"""Keystores of version 2, which hold a seed without words: written, read, and read by their description alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from bip_utils import Bip32Slip10Secp256k1
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bursar.backends.software import SoftwareBackend, SoftwareSigner, keystore
from bursar.crypto.kdf import Scrypt
from bursar.crypto.sealed import seal
from bursar.crypto.secret import Secret
from bursar.errors import CorruptKeystoreError, InvalidInputError, KeystoreError, WrongPasswordError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath

CHEAP = Scrypt(log_n=14)
PASSWORD = Secret(b"correct horse")
SEED = Secret(bytes(range(32)))
CASE = json.loads((Path(__file__).parents[3] / "vectors" / "keystore_version2.json").read_text(encoding="utf-8"))[
    "cases"
][0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "main.json"
    keystore.create_from_seed(path, SEED, PASSWORD, kdf=CHEAP)
    return path


def test_a_seed_comes_back(path: Path) -> None:
    header = keystore.read_header(path)
    assert header.version == keystore.SEED
    unlocked = keystore.unlock(path, PASSWORD)
    assert unlocked.seed() == SEED
    assert unlocked.passphrase is None
    assert str(header.fingerprint) == Bip32Slip10Secp256k1.FromSeed(SEED.expose()).FingerPrint().ToHex()
    for call in (lambda: unlocked.mnemonic, lambda: keystore.export_mnemonic(path, PASSWORD)):
        with pytest.raises(KeystoreError, match="no words") as caught:
            call()
        assert caught.value.code == "keystore.no-mnemonic"
    unlocked.wipe()
    with pytest.raises(InvalidInputError, match="wiped"):
        unlocked.seed()
    assert SEED.expose().hex() not in path.read_text()


def test_a_signer_signs_with_it(path: Path) -> None:
    with SoftwareSigner.open(path, PASSWORD) as signer:
        theirs = Bip32Slip10Secp256k1.FromSeed(SEED.expose()).DerivePath("m/84'/0'/0'").PublicKey().ToExtended()
        assert str(signer.xpub(DerivationPath.from_text("m/84h/0h/0h"))) == theirs
    assert [one.trouble for one in SoftwareBackend(path.parent).discover()] != []


def test_mnemonics_stay_in_files_of_version_1(tmp_path: Path) -> None:
    made = tmp_path / "words.json"
    header = keystore.create(made, Mnemonic(bytes(16)), PASSWORD, kdf=CHEAP)
    assert header.version == json.loads(made.read_text())["version"] == keystore.MNEMONIC
    unlocked = keystore.unlock(made, PASSWORD)
    assert unlocked.seed() == unlocked.mnemonic.to_seed()


def test_the_password_changes_and_the_seed_does_not(path: Path) -> None:
    header = keystore.read_header(path)
    keystore.change_password(path, PASSWORD, Secret(b"battery staple"), kdf=CHEAP)
    assert keystore.unlock(path, Secret(b"battery staple")).seed() == SEED
    assert keystore.read_header(path) == header
    with pytest.raises(WrongPasswordError):
        keystore.unlock(path, PASSWORD)


@pytest.mark.parametrize("size", [0, 15, 65])
def test_no_seed_of_another_size(tmp_path: Path, size: int) -> None:
    with pytest.raises(InvalidInputError):
        keystore.create_from_seed(tmp_path / "k.json", Secret(bytes(size)), PASSWORD, kdf=CHEAP)
    assert not (tmp_path / "k.json").exists()


def test_the_version_is_authenticated(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "version": 1}))
    with pytest.raises(CorruptKeystoreError):
        keystore.unlock(path, PASSWORD)
    for version in (3, True, 2.0, "2", None):
        path.write_text(json.dumps({**document, "version": version}))
        with pytest.raises(CorruptKeystoreError, match="newer program"):
            keystore.read_header(path)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"seed": None},
        {"seed": ""},
        {"seed": "00" * 15},
        {"seed": "00" * 65},
        {"seed": "0" * 33},
        {"seed": "AB" * 16},
        {"seed": "\u0661" * 32},
        {"seed": "00" * 16, "more": 1},
        {"mnemonic": "x", "language": "english", "passphrase": None},
    ],
)
def test_what_is_sealed_must_be_a_seed(path: Path, payload: dict[str, Any]) -> None:
    document = json.loads(path.read_text())
    header = {name: value for name, value in document.items() if name != "sealed"}
    bound = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text = json.dumps(payload).encode()
    document["sealed"] = seal(Secret(text.ljust(512)), PASSWORD, associated_data=bound, kdf=CHEAP)
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptKeystoreError):
        keystore.unlock(path, PASSWORD)


def test_a_file_written_before_opens(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(CASE["file"]))
    path.chmod(0o600)
    assert str(keystore.read_header(path).fingerprint) == CASE["fingerprint"]
    assert keystore.unlock(path, Secret.from_text(CASE["password"])).seed().expose().hex() == CASE["seed"]


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def test_the_description_is_enough_to_open_it() -> None:
    header = {name: value for name, value in CASE["file"].items() if name != "sealed"}
    sealed = {name: value for name, value in CASE["file"]["sealed"].items() if name != "digest"}
    ciphertext = bytes.fromhex(sealed.pop("ciphertext"))
    kdf = sealed["kdf"]
    key = hashlib.scrypt(
        CASE["password"].encode(),
        salt=bytes.fromhex(kdf["salt"]),
        n=1 << kdf["log_n"],
        r=kdf["r"],
        p=kdf["p"],
        maxmem=1 << 28,
        dklen=64,
    )
    bound = canonical(sealed)
    associated = len(bound).to_bytes(4, "big") + bound + canonical(header)
    plaintext = AESGCM(key[:32]).decrypt(bytes.fromhex(sealed["nonce"]), ciphertext, associated)
    assert len(plaintext) == 512
    assert json.loads(plaintext) == {"seed": CASE["seed"]}
    assert Bip32Slip10Secp256k1.FromSeed(bytes.fromhex(CASE["seed"])).FingerPrint().ToHex() == CASE["fingerprint"]
