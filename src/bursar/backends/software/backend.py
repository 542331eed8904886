"""SoftwareBackend: the keystores of one folder, as a signer backend."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.backends.software.key_signer import MODEL as KEY_MODEL
from bursar.backends.software.key_signer import KeySigner
from bursar.backends.software.keystore import read_header
from bursar.backends.software.keystore_v3 import KeystoreV3
from bursar.backends.software.private_file import read_private
from bursar.backends.software.signer import MODEL, NAME, SoftwareSigner
from bursar.errors import KeystoreError, SignerNotFoundError
from bursar.signing.protocols import SecretRequest, SignerInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.signing.protocols import Prompt

LOCKED = "locked: its password is asked for when it is opened"


def default_folder() -> Path:
    """``$BURSAR_HOME/keystores``, or ``~/.bursar/keystores``."""
    home = os.environ.get("BURSAR_HOME")
    return (Path(home) if home else Path.home() / ".bursar") / "keystores"


class SoftwareBackend:
    """Finds the keystores (``*.json``) of ``folder`` and opens them; ``default_folder()`` where none is given."""

    name = NAME

    def __init__(self, folder: Path | None = None, *, verify_after_sign: bool = True, low_r: bool = True) -> None:
        self._folder = folder
        self._verify_after_sign = verify_after_sign
        self._low_r = low_r

    @property
    def folder(self) -> Path:
        """Where keystores are looked for."""
        return self._folder or default_folder()

    def discover(self, *, emulators: bool = False) -> Sequence[SignerInfo]:  # noqa: ARG002
        """The keystores by name; ``trouble`` says that one is locked (all are), or why it cannot be used."""
        folder = self.folder
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] != ".")
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise KeystoreError(f"{folder} cannot be listed: {error.strerror}", code="keystore.io") from error
        return tuple(map(_look, paths))

    def open(self, info: SignerInfo, prompt: Prompt) -> SoftwareSigner | KeySigner:
        """Ask for the password and open the keystore at ``info.location``, locked until the signer is closed.

        A file of version 3, which holds one key of Ethereum, gives a ``KeySigner``.
        """
        if info.backend != self.name:
            raise SignerNotFoundError(
                f"{info.backend}:{info.location} is no software keystore: open it by its own backend"
            )
        path = Path(info.location)
        single = _is_single_key(path)
        if not single:
            read_header(path)  # a missing or damaged file must not cost the human a password
        request = SecretRequest("password", f"Password of the keystore {info.label or path.stem}")
        with prompt.ask(request) as password:
            if single:
                return KeySigner.open(path, password)
            return SoftwareSigner.open(path, password, verify_after_sign=self._verify_after_sign, low_r=self._low_r)


def _look(path: Path) -> SignerInfo:
    try:
        header = read_header(path)
    except KeystoreError as error:
        if _is_single_key(path):
            return SignerInfo(NAME, str(path), KEY_MODEL, label=path.stem, trouble=LOCKED)
        return SignerInfo(NAME, str(path), MODEL, label=path.stem, trouble=error.message)
    return SignerInfo(NAME, str(path), MODEL, label=path.stem, fingerprint=header.fingerprint, trouble=LOCKED)


def _is_single_key(path: Path) -> bool:
    try:
        KeystoreV3.parse(read_private(path))
    except KeystoreError:
        return False
    return True
