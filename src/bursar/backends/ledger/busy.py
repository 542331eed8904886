"""One process at a time on a device: a lock file for each place a device can be at."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from pathlib import Path

from bursar.errors import SignerUnavailableError


def lock_folder() -> Path:
    """``$XDG_RUNTIME_DIR/bursar``, or a folder of this user's own among the temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "bursar" if runtime else Path(tempfile.gettempdir()) / f"bursar-{os.geteuid()}"


class DeviceLock:
    """Held from ``acquire`` to ``release``; freed if we die. Two signers of one process exclude each other too."""

    def __init__(self, location: str, *, folder: Path | None = None) -> None:
        name = hashlib.sha256(location.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self._location = location
        self._path = (folder or lock_folder()) / f"ledger-{name}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise ``SignerUnavailableError`` (``signer.busy``)."""
        import fcntl

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_ours(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SignerUnavailableError(
                f"the lock file {self._path} cannot be made: {error.strerror or error}", code="signer.lock"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise SignerUnavailableError(
                f"another program is talking to the ledger at {self._location}: wait for it, then try again",
                code="signer.busy",
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _check_ours(folder: Path) -> None:
    """In a folder for everybody, anybody may have put a link or a folder of this name before us."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EACCES, "its folder can be changed by others: it must be yours, with mode 0700")
