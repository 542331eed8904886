"""Private files of this backend: small secrets, written atomically (POSIX)."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from bursar.errors import SignerError

_LARGEST = 1 << 16


def home_folder() -> Path:
    """``$BURSAR_HOME/trezor``, or ``~/.bursar/trezor``."""
    home = os.environ.get("BURSAR_HOME")
    return (Path(home) if home else Path.home() / ".bursar") / "trezor"


def read_private(path: Path) -> bytes | None:
    """The bytes of a plain file that only we can read; ``None`` where there is none."""
    if not path.exists():
        return None
    descriptor = _open(path, os.O_RDONLY)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise SignerError(f"{path} can be read by others: chmod 600 {path}", code="signer.credentials")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    finally:
        os.close(descriptor)


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``, mode 0600: after a crash it holds the old bytes or the new."""
    _make_private(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise SignerError(f"{path} cannot be written: {error.strerror}", code="signer.credentials") from error


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise SignerError(f"{folder} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SignerError(f"{folder} can be changed by others: it must be yours, with mode 0700")


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SignerError(f"{path} cannot be opened: {error.strerror}") from error
