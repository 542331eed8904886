"""Files only their owner may read: checked when read, replaced atomically and durably when written (POSIX)."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from bursar.errors import CorruptKeystoreError, KeystoreBusyError, KeystoreError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_PRIVATE_FILE, _PRIVATE_FOLDER = 0o600, 0o700
_LARGEST = 4 << 20


def read_private(path: Path) -> bytes:
    """The bytes of ``path``, a plain file of at most 4 MiB that only its owner can read, in a folder only its owner
    can change.

    Raises ``KeystoreError``: ``keystore.missing``, or ``keystore.permissions`` with the command that mends it.
    """
    _check_name(path)
    _check_folder(path.parent)
    descriptor = _open(path, os.O_RDONLY)
    try:
        _check_file(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST + 1)
    except OSError as error:
        raise _failed("read", path, error) from error
    finally:
        os.close(descriptor)


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _permissions(f"{path} is no plain file")
    if found.st_uid not in (os.geteuid(), 0):
        raise _permissions(f"{path} belongs to user {found.st_uid}, not to you: chown {os.geteuid()} {path}")
    if found.st_mode & 0o077:
        raise _permissions(f"{path} can be read by others (mode {found.st_mode & 0o777:04o}): chmod 600 {path}")
    if found.st_size > _LARGEST:
        raise CorruptKeystoreError(f"{path} is larger than any keystore: {found.st_size} bytes")


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: after a crash at any moment it holds the old bytes or the new, never a mixture.

    Missing folders are made with mode 0700. The caller holds the lock.
    """
    _check_name(path)
    make_folder(path.parent)
    _check_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, _PRIVATE_FILE)
    except OSError as error:
        raise _failed("written", path, error) from error
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            os.fchmod(file.fileno(), _PRIVATE_FILE)
            file.write(data)
            file.flush()
            _sync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise _failed("written", path, error) from error


def make_folder(folder: Path) -> None:
    """Make ``folder`` and what is missing above it, each with mode 0700; what exists is left as it is."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        try:
            missing.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        except OSError as error:
            raise _failed("made", missing, error) from error


class FileLock:
    """An exclusive lock beside a file (``.name.lock``), held from ``acquire`` to ``release``; freed if we die.

    The lock file stays: removing it would let two processes lock two files of the same name.
    """

    def __init__(self, path: Path) -> None:
        _check_name(path)
        self._path = path
        self._lock = path.with_name(f".{path.name}.lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise ``KeystoreBusyError`` (retryable)."""
        import fcntl

        make_folder(self._lock.parent)
        descriptor = _open(self._lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise KeystoreBusyError(
                    f"another process is using {self._path}: wait for it, then try again"
                ) from error
            raise _failed("locked", self._path, error) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, _PRIVATE_FILE)
    except FileNotFoundError as error:
        raise KeystoreError(f"there is no keystore at {path}", code="keystore.missing") from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise _permissions(f"{path} is a symbolic link: name the file itself") from error
        raise _failed("opened", path, error) from error


def _check_name(path: Path) -> None:
    """Refuse what the operating system cannot even be asked for: no name, a zero character, a lone surrogate."""
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        encoded = b"\0"
    if not path.name or b"\0" in encoded:
        raise KeystoreError(f"{str(path)!a} is no name of a file: choose another", code="keystore.io")


def _check_folder(folder: Path) -> None:
    try:
        found = folder.stat()
    except FileNotFoundError as error:
        raise KeystoreError(f"there is no folder {folder}", code="keystore.missing") from error
    except OSError as error:
        raise _failed("opened", folder, error) from error
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise _permissions(f"{folder} can be changed by others (mode {found.st_mode & 0o777:04o}): chmod 700 {folder}")


def _sync(descriptor: int) -> None:
    import fcntl

    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone leaves the data in the drive's cache
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _permissions(message: str) -> KeystoreError:
    return KeystoreError(message, code="keystore.permissions")


def _failed(done: str, path: Path, error: OSError) -> KeystoreError:
    return KeystoreError(f"{path} cannot be {done}: {error.strerror or error}", code="keystore.io")
