"""The keystores of a folder as signers: found, reported, opened with a password, one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.backends.software import SoftwareBackend, SoftwareSigner, keystore
from bursar.backends.software.backend import LOCKED, default_folder
from bursar.crypto.kdf import Scrypt
from bursar.crypto.secret import Secret
from bursar.errors import (
    CorruptKeystoreError,
    KeystoreBusyError,
    KeystoreError,
    SignerNotFoundError,
    WrongPasswordError,
)
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.path import DerivationPath
from bursar.signing.protocols import DeviceEvent, SecretRequest, SignerInfo


class Human:
    """Types the same password whenever asked."""

    def __init__(self, password: bytes = b"pw") -> None:
        self.password = password
        self.asked: list[SecretRequest] = []
        self.given: list[Secret] = []

    def ask(self, request: SecretRequest) -> Secret:
        self.asked.append(request)
        self.given.append(Secret(self.password))
        return self.given[-1]

    def notify(self, event: DeviceEvent) -> None:
        raise AssertionError(event)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "keystores"
    for name, entropy in (("main", bytes(16)), ("treasury", b"\x01" * 16)):
        keystore.create(folder / f"{name}.json", Mnemonic(entropy), Secret(b"pw"), kdf=Scrypt(log_n=14))
    return folder


def test_keystores_are_listed_locked_and_broken_ones_with_the_reason(folder: Path) -> None:
    (folder / "notes.txt").write_text("no keystore")
    for name, content, mode in (("broken", "{", 0o600), ("open", "{}", 0o644)):
        path = folder / f"{name}.json"
        path.write_text(content)
        path.chmod(mode)
    found = {info.label: info for info in SoftwareBackend(folder).discover()}
    assert list(found) == ["broken", "main", "open", "treasury"]
    assert found["main"].trouble == LOCKED
    assert str(found["main"].fingerprint) == "73c5da0a"
    assert "damaged" in str(found["broken"].trouble)
    assert "chmod 600" in str(found["open"].trouble)
    assert found["broken"].fingerprint is None
    assert {info.backend for info in found.values()} == {"software"}
    assert not any(info.emulated for info in found.values())


def test_no_folder_holds_no_keystores(tmp_path: Path) -> None:
    assert SoftwareBackend(tmp_path / "none").discover(emulators=True) == ()


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match="cannot be listed"):
        SoftwareBackend(tmp_path / "file").discover()


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BURSAR_HOME", str(tmp_path))
    assert default_folder() == SoftwareBackend().folder == tmp_path / "keystores"
    monkeypatch.delenv("BURSAR_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".bursar" / "keystores"


def test_opening_asks_for_the_password_and_wipes_it(folder: Path) -> None:
    backend, human = SoftwareBackend(folder), Human()
    (info, _) = backend.discover()
    with backend.open(info, human) as signer:
        assert signer.info == SignerInfo(
            "software", info.location, info.model, label="main", fingerprint=info.fingerprint
        )
        assert signer.xpub(DerivationPath.from_text("m/84h/0h/0h")).depth == 3
    assert human.asked == [SecretRequest("password", "Password of the keystore main")]
    assert all(secret.expose != b"pw" and len(secret) == 2 for secret in human.given)
    with pytest.raises(ValueError, match="wiped"):
        human.given[0].expose()


def test_a_wrong_password_leaves_the_keystore_free(folder: Path) -> None:
    backend = SoftwareBackend(folder)
    (info, _) = backend.discover()
    with pytest.raises(WrongPasswordError):
        backend.open(info, Human(b"wrong"))
    backend.open(info, Human()).close()


def test_two_at_once_on_one_keystore(folder: Path) -> None:
    backend = SoftwareBackend(folder)
    (main, treasury) = backend.discover()
    with backend.open(main, Human()):
        with pytest.raises(KeystoreBusyError, match="another process is using"):
            backend.open(main, Human())
        backend.open(treasury, Human()).close()
    backend.open(main, Human()).close()


def test_damage_and_absence_cost_the_human_no_password(folder: Path) -> None:
    backend, human = SoftwareBackend(folder), Human()
    (main, treasury) = backend.discover()
    Path(main.location).write_text("{")
    with pytest.raises(CorruptKeystoreError):
        backend.open(main, human)
    Path(treasury.location).unlink()
    with pytest.raises(KeystoreError, match="there is no keystore"):
        backend.open(treasury, human)
    with pytest.raises(SignerNotFoundError, match="no software keystore"):
        backend.open(SignerInfo("ledger", "usb:1", "Nano"), human)
    assert not human.asked


def test_options_reach_the_signer(folder: Path) -> None:
    backend = SoftwareBackend(folder, verify_after_sign=False, low_r=False)
    with backend.open(backend.discover()[0], Human()) as signer:
        assert isinstance(signer, SoftwareSigner)
        assert (signer._verify, signer._inputs._low_r) == (False, False)
