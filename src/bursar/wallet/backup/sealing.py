"""Backup files: a bundle's JSON sealed under a password, written once and never overwritten, bounded when read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from bursar.bitcoin import strict_json
from bursar.crypto.sealed import Argon2id, Scrypt, seal, unseal
from bursar.crypto.secret import Secret
from bursar.errors import CorruptKeystoreError, InvalidInputError, StoreError
from bursar.wallet.backup.bundle import KIND, VERSION, Bundle, corrupt
from bursar.wallet.canonical import canonical_json

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 64 << 20  # bytes of the content: some 400,000 labels
_LARGEST_FILE: Final = 2 * LARGEST + 4096
_ASSOCIATED: Final = b"bursar backup 1"


def seal_backup(bundle: Bundle, password: Secret, *, kdf: Scrypt | Argon2id | None = None) -> bytes:
    """The bytes of a backup file."""
    content = Secret(canonical_json(bundle.to_json()))
    sealed = seal(content, password, associated_data=_ASSOCIATED, kdf=kdf, largest=LARGEST)
    return canonical_json({"kind": KIND, "version": VERSION, "sealed": sealed}) + b"\n"


def open_backup(data: bytes, password: Secret) -> Bundle:
    """The bundle; ``WrongPasswordError``, or ``CorruptStoreError`` (``store.backup``) for damage of any kind."""
    code = "store.backup"
    try:
        outer = strict_json.parse(data, what="the backup", code=code, largest=_LARGEST_FILE, deepest=4)
    except InvalidInputError as error:
        raise corrupt(error.message) from error
    if not isinstance(outer, dict) or outer.get("kind") != KIND:
        raise corrupt("it is not a backup of Bursar")
    version = outer.get("version")
    if type(version) is not int or version != VERSION:
        raise StoreError(
            f"this backup is of version {str(version)[:20]}, and {VERSION} is known here: open it with a newer release",
            code="store.newer",
        )
    if set(outer) != {"kind", "version", "sealed"} or not isinstance(outer["sealed"], dict):
        raise corrupt("it holds no sealed value")
    try:
        content = unseal(outer["sealed"], password, associated_data=_ASSOCIATED, largest=LARGEST)
    except (CorruptKeystoreError, InvalidInputError) as error:
        raise corrupt(error.message.removesuffix(": restore it from a backup")) from error
    with content:
        try:
            value = strict_json.parse(content.expose(), what="its content", code=code, largest=LARGEST, deepest=16)
        except InvalidInputError as error:
            raise corrupt(error.message) from error
    return Bundle.from_json(value)


def write_backup(path: Path, bundle: Bundle, password: Secret, *, kdf: Scrypt | Argon2id | None = None) -> None:
    """Write a new file that only its owner may read, and open it again to see that it can be.

    ``InvalidInputError`` (``input.file``) if the file exists, ``StoreError`` if it cannot be written.
    """
    data = seal_backup(bundle, password, kdf=kdf)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise InvalidInputError(
            f"{path} exists and is not overwritten: choose another name", code="input.file"
        ) from error
    except OSError as error:
        raise StoreError(f"the backup cannot be written to {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
        if open_backup(_read(path), password) != bundle:
            raise StoreError(f"the backup at {path} does not read as it was written: distrust this disk")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"the backup cannot be written to {path}: {error.strerror}") from error


def read_backup(path: Path, password: Secret) -> Bundle:
    """The bundle of a file; see ``open_backup`` for the errors, and ``StoreError`` if it cannot be read."""
    try:
        return open_backup(_read(path), password)
    except OSError as error:
        raise StoreError(f"the backup at {path} cannot be read: {error.strerror}") from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_FILE + 1)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
