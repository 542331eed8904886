"""Keystore files of version 1 stay readable, and can be read by somebody who has only their description."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from bip_utils import Bip32Slip10Secp256k1, Bip39SeedGenerator
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bursar.backends.software import keystore
from bursar.crypto.secret import Secret
from bursar.errors import WrongPasswordError

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "keystore_version1.json").read_text(encoding="utf-8"))
CASES = [pytest.param(case, id=case["file"]["sealed"]["aead"]) for case in VECTORS["cases"]]


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(case: dict[str, Any]) -> Path:
        path = tmp_path / "keystores" / "old.json"
        path.parent.mkdir(mode=0o700)
        path.write_text(json.dumps(case["file"]))
        path.chmod(0o600)
        return path

    return write


@pytest.mark.parametrize("case", CASES)
def test_a_file_written_before_opens(case: dict[str, Any], written: Any) -> None:
    path = written(case)
    assert str(keystore.read_header(path).fingerprint) == case["fingerprint"]
    opened = keystore.unlock(path, Secret.from_text(case["password"]))
    assert opened.mnemonic.text().expose().decode() == case["mnemonic"]
    assert (opened.passphrase and opened.passphrase.expose().decode()) == case["passphrase"]
    with pytest.raises(WrongPasswordError):
        keystore.unlock(path, Secret.from_text(case["password"] + " "))


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@pytest.mark.parametrize("case", CASES)
def test_the_description_is_enough_to_open_it(case: dict[str, Any]) -> None:
    """By the page of the reference alone, with other libraries: hashlib's scrypt, cryptography, bip_utils."""
    header = {name: value for name, value in case["file"].items() if name != "sealed"}
    sealed = dict(case["file"]["sealed"])
    assert sealed.pop("digest") == hashlib.sha256(canonical(sealed)).hexdigest()
    ciphertext = bytes.fromhex(sealed.pop("ciphertext"))
    kdf, password = sealed["kdf"], case["password"].encode()
    salt = bytes.fromhex(kdf["salt"])
    if kdf["name"] == "scrypt":
        n = 1 << kdf["log_n"]
        derived = hashlib.scrypt(password, salt=salt, n=n, r=kdf["r"], p=kdf["p"], maxmem=1 << 28, dklen=64)
    else:
        derived = Argon2id(
            salt=salt, length=64, iterations=kdf["iterations"], lanes=kdf["lanes"], memory_cost=kdf["memory"]
        ).derive(password)
    assert hashlib.sha256(derived[32:]).hexdigest() == sealed["password_check"]
    cipher = {"aes-256-gcm": AESGCM, "chacha20-poly1305": ChaCha20Poly1305}[sealed["aead"]](derived[:32])
    bound = canonical(sealed)
    plaintext = cipher.decrypt(
        bytes.fromhex(sealed["nonce"]), ciphertext, len(bound).to_bytes(4, "big") + bound + canonical(header)
    )
    assert len(plaintext) % 512 == 0
    payload = json.loads(plaintext)
    assert payload == {"mnemonic": case["mnemonic"], "language": "english", "passphrase": case["passphrase"]}
    seed = Bip39SeedGenerator(payload["mnemonic"]).Generate(payload["passphrase"] or "")
    assert Bip32Slip10Secp256k1.FromSeed(seed).FingerPrint().ToHex() == case["fingerprint"]
