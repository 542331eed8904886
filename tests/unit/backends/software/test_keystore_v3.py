"""Keystore files of version 3 (K1 to K4): Ethereum's vectors, eth-account as a second implementation, hostile files."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from bursar.backends.software.backend import LOCKED, SoftwareBackend
from bursar.backends.software.key_signer import KeySigner
from bursar.backends.software.keystore_v3 import KeystoreV3, encrypted
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import public_key
from bursar.crypto.secret import Secret
from bursar.crypto.secret_storage import StoragePbkdf2, StorageScrypt, aes128_ctr
from bursar.errors import (
    CorruptKeystoreError,
    InvalidInputError,
    KeystoreBusyError,
    SignerUnavailableError,
    UnsupportedError,
    WrongPasswordError,
)
from bursar.ethereum.address import Address
from bursar.ethereum.message import encode_signature, verify_message
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_personal_message, request_transaction

KEY = b"\x46" * 32
ME = Address.from_public_key(public_key(KEY))
QUICK = StorageScrypt(4096, 8, 1)
MASTER = DerivationPath(())


def written(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encrypted(Secret(KEY), Secret(b"pass"), kdf=QUICK, **options))
    return found


@pytest.fixture(scope="module")
def document() -> str:
    return json.dumps(written())


def read(document: dict[str, Any]) -> KeystoreV3:
    return KeystoreV3.parse(json.dumps(document).encode())


def test_the_vectors_of_ethereum(official_vectors: Callable[[str], Path]) -> None:
    vectors = json.loads(official_vectors("ethereum/keystore_v3.json").read_text())
    for case in vectors.values():
        opened = read(case["json"]).open(Secret.from_text(case["password"]))
        assert opened.expose().hex() == case["priv"]
    assert len(vectors) == 5


def test_eth_account_opens_ours_and_we_open_its() -> None:
    assert bytes(Account.decrypt(written(), "pass")) == KEY
    assert bytes(Account.decrypt(written(label=False), "pass")) == KEY
    scrypt = Account.encrypt(KEY, "pass", kdf="scrypt", iterations=4096)
    for theirs in (scrypt, Account.encrypt(KEY, "pass", kdf="pbkdf2", iterations=20_000)):
        assert read(theirs).address == ME
        assert read(theirs).open(Secret(b"pass")).expose() == KEY
    ours = json.loads(encrypted(Secret(KEY), Secret(b"pass"), kdf=StoragePbkdf2(20_000)))
    assert bytes(Account.decrypt(ours, "pass")) == KEY


def test_what_is_written(document: str) -> None:
    body = json.loads(document)
    assert (body["version"], body["address"]) == (3, bytes(ME).hex())
    assert body["crypto"]["kdfparams"] == {"dklen": 32, "n": 4096, "r": 8, "p": 1} | {
        "salt": body["crypto"]["kdfparams"]["salt"]
    }
    assert "address" not in written(label=False)
    assert written()["crypto"]["mac"] != body["crypto"]["mac"]
    for wrong in (Secret(bytes(32)), Secret(b"x"), Secret(b"\xff" * 32)):
        with pytest.raises(InvalidInputError):
            encrypted(wrong, Secret(b"pass"), kdf=QUICK)
    with pytest.raises(InvalidInputError, match="empty"):
        encrypted(Secret(KEY), Secret(b""), kdf=QUICK)
    with pytest.raises(InvalidInputError, match="cheap to guess"):
        encrypted(Secret(KEY), Secret(b"pass"), kdf=StorageScrypt(2, 8, 1))


def changed(document: str, *path: str, to: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(document)
    place = body
    for step in path[:-1]:
        place = place[step]
    if to is None:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = to
    return body


@pytest.mark.parametrize(
    ("name", "value"),
    [("n", 2**30), ("n", 2**25), ("n", 3), ("n", 0), ("n", 1), ("n", -2), ("n", 4096.0), ("n", "4096"), ("n", True),
     ("r", 2**20), ("r", 0), ("r", 65), ("p", 2**20), ("p", 0), ("p", -1), ("salt", ""), ("salt", None), ("salt", 5),
     ("salt", "00" * 2000), ("n", None), ("extra", 1), ("n", 10**19)],
)  # fmt: skip
def test_k1_scrypt_out_of_bounds_is_refused_before_it_takes_memory(document: str, name: str, value: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CorruptKeystoreError):
        read(changed(document, "crypto", "kdfparams", name, to=value))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_k1_memory_and_work_are_bounded_together(document: str) -> None:
    for n, r, p in ((2**20, 16, 1), (2**17, 64, 5), (2**20, 8, 5)):
        with pytest.raises(CorruptKeystoreError, match="too much memory or time") as caught:
            read(changed(document, "crypto", "kdfparams", to={"dklen": 32, "n": n, "r": r, "p": p, "salt": "00" * 32}))
        assert caught.value.code == "keystore.kdf"


@pytest.mark.parametrize(
    ("name", "value"),
    [("c", 2**40), ("c", 0), ("c", -1), ("c", 1.5), ("c", "262144"), ("prf", "hmac-md5"), ("prf", "hmac-sha512"),
     ("prf", None), ("dklen", 16), ("dklen", 1024), ("dklen", 32.0), ("dklen", "32"), ("dklen", True), ("dklen", None)],
)  # fmt: skip
def test_k1_k2_pbkdf2_of_another_kind_is_refused(document: str, name: str, value: Any) -> None:
    parameters = {"dklen": 32, "c": 262_144, "prf": "hmac-sha256", "salt": "00" * 32}
    body = changed(document, "crypto", "kdf", to="pbkdf2")
    body["crypto"]["kdfparams"] = parameters
    assert not read(body).weak
    with pytest.raises(CorruptKeystoreError) as caught:
        read(changed(json.dumps(body), "crypto", "kdfparams", name, to=value))
    assert caught.value.code == "keystore.kdf"


def test_k2_a_weak_file_is_opened_only_when_that_is_accepted(document: str) -> None:
    derived = StorageScrypt(2, 8, 1).derive(b"pass", b"12345678")
    ciphertext = aes128_ctr(derived[:16], bytes(16), KEY)
    body = changed(document, "crypto", "kdfparams", to={"dklen": 32, "n": 2, "r": 8, "p": 1, "salt": b"12345678".hex()})
    body["crypto"] |= {"ciphertext": ciphertext.hex(), "mac": keccak256(derived[16:] + ciphertext).hex()}
    body["crypto"]["cipherparams"] = {"iv": "00" * 16}
    assert read(body).weak
    with pytest.raises(CorruptKeystoreError, match="cheap to guess"):
        read(body).open(Secret(b"pass"))
    assert read(body).open(Secret(b"pass"), allow_weak=True).expose() == KEY


def test_k3_a_check_that_needs_no_password_is_refused(document: str) -> None:
    """With dklen 16 the key of the check is empty: eth-keyfile then opens it under any password."""
    body = changed(document, "crypto", "kdfparams", "dklen", to=16)
    body["crypto"]["mac"] = keccak256(bytes.fromhex(body["crypto"]["ciphertext"])).hex()
    with pytest.raises(CorruptKeystoreError, match="dklen"):
        read(body)


def test_k3_the_address_is_that_of_the_key(document: str) -> None:
    with pytest.raises(CorruptKeystoreError, match="not the one of the address"):
        read(changed(document, "address", to="35" * 20)).open(Secret(b"pass"))
    for form in ("0x" + bytes(ME).hex(), str(ME)):
        assert read(changed(document, "address", to=form)).address == ME
    assert read(changed(document, "address", to=None)).address is None


@pytest.mark.parametrize(
    ("path", "value"),
    [(("crypto", "cipher"), "aes-128-cbc"), (("crypto", "cipher"), "aes-256-ctr"), (("crypto", "cipher"), None),
     (("crypto", "cipherparams"), {}), (("crypto", "cipherparams"), {"iv": "00"}), (("crypto", "kdf"), "none"),
     (("crypto", "kdf"), []), (("crypto", "ciphertext"), ""), (("crypto", "ciphertext"), "00" * 33), (("version",), 1),
     (("crypto", "ciphertext"), "zz" * 32), (("crypto", "mac"), "00"), (("version",), "3"), (("version",), True),
     (("crypto",), None), (("crypto",), []), (("address",), "35"), (("address",), 5), (("crypto", "extra"), 1)],
)  # fmt: skip
def test_k3_files_of_another_form_are_refused(document: str, path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(CorruptKeystoreError):
        read(changed(document, *path, to=value))


def test_wrong_passwords_and_damage_do_not_open_it(document: str) -> None:
    with pytest.raises(WrongPasswordError):
        read(json.loads(document)).open(Secret(b"word"))
    body = changed(document, "crypto", "ciphertext", to="00" * 32)
    with pytest.raises(WrongPasswordError):
        read(body).open(Secret(b"pass"))
    old = changed(document, "Crypto", to=json.loads(document)["crypto"])
    del old["crypto"]
    assert read(old).open(Secret(b"pass")).expose() == KEY


@given(st.binary(max_size=100))
def test_garbage_is_a_typed_error(data: bytes) -> None:
    for text in (data, b'{"version":3,"crypto":' + data, b"[" * 1000):
        with pytest.raises(CorruptKeystoreError):
            KeystoreV3.parse(text)
    with pytest.raises(CorruptKeystoreError):
        KeystoreV3.parse(bytes(70_000))


def test_a_signer_over_a_file(tmp_path: Path, document: str) -> None:
    path = tmp_path / "geth.json"
    path.write_text(document)
    path.chmod(0o600)
    with KeySigner.open(path, Secret(b"pass")) as signer:
        assert (signer.address, signer.info.label, signer.info.fingerprint) == (ME, "geth", None)
        with pytest.raises(KeystoreBusyError):
            KeySigner.open(path, Secret(b"pass"))
    with pytest.raises(WrongPasswordError):
        KeySigner.open(path, Secret(b"word"))
    KeySigner.open(path, Secret(b"pass")).close()


def test_the_backend_finds_and_opens_files_of_both_kinds(tmp_path: Path, document: str) -> None:
    folder = tmp_path / "keystores"
    folder.mkdir(mode=0o700)
    for name, text in (("geth", document), ("broken", "{}")):
        path = folder / f"{name}.json"
        path.write_text(text)
        path.chmod(0o600)
    backend = SoftwareBackend(folder)
    broken, geth = backend.discover()
    assert (geth.label, geth.model, geth.trouble) == ("geth", "ethereum key", LOCKED)
    assert broken.trouble is not None
    assert "no bursar keystore" in broken.trouble
    prompt: Any = SimpleNamespace(ask=lambda request: Secret(b"pass"))
    with backend.open(geth, prompt) as signer:
        assert isinstance(signer, KeySigner)


def test_a_signer_of_an_imported_key() -> None:
    for text in (KEY.hex(), "0x" + KEY.hex().upper(), f" 0x{KEY.hex()}\n"):
        with KeySigner.from_text(Secret.from_text(text)) as signer:
            assert signer.address == ME
            tx = UnsignedTransaction(
                chain_id=1, nonce=1, to=ME, value=Wei(1), gas_limit=21_000, max_fee_per_gas=Wei(9),
                max_priority_fee_per_gas=Wei(1),
            )  # fmt: skip
            assert request_transaction(signer, MASTER, tx, sender=ME).sender == ME
            signature = request_personal_message(signer, MASTER, b"hello", sender=ME)
            verify_message(ME, b"hello", encode_signature(signature))
            with pytest.raises(InvalidInputError, match="at m only"):
                signer.sign_personal_message(DerivationPath((0,)), b"hello")
            with pytest.raises(UnsupportedError):
                signer.xpub(MASTER)
            assert signer.export().expose() == KEY
    with pytest.raises(SignerUnavailableError):
        signer.sign_transaction(MASTER, tx)


@pytest.mark.parametrize("text", ["", "0x", "46" * 31, "46" * 33, "zz" * 32, "00" * 32, "ff" * 32, "0x0x" + "46" * 31])
def test_k4_other_texts_are_no_keys_and_are_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        KeySigner.from_text(Secret.from_text(text))
    assert not text or text not in str(caught.value) + repr(caught.value.__context__)


def test_k4_a_key_shows_itself_nowhere() -> None:
    with KeySigner.from_text(Secret.from_text(KEY.hex())) as signer:
        assert KEY.hex() not in repr(signer) + str(signer.info)
        with pytest.raises(TypeError):
            pickle.dumps(signer)
