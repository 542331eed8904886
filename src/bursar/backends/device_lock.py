"""One program at a time on a device: a lock file (``flock``) for each place a device can be at."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bursar.errors import SignerUnavailableError

if TYPE_CHECKING:
    from types import TracebackType


def lock_folder() -> Path:
    """Where this user's programs see each other's locks, whatever their home: ``$XDG_RUNTIME_DIR``, else ``/tmp``."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "bursar"
    return Path(tempfile.gettempdir()) / f"bursar-{os.geteuid()}"


class DeviceLock:
    """Held from ``acquire`` to ``release``; freed if we die. Two signers of one process exclude each other too."""

    def __init__(self, location: str, folder: Path | None = None) -> None:
        name = hashlib.sha256(location.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self._path = (folder or lock_folder()) / f"device-{name}.lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it at once, or raise ``SignerUnavailableError``: ``signer.busy`` names who has it (retryable),
        ``signer.lock`` a folder that cannot be trusted or written.
        """
        import fcntl

        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_ours(self._path.parent)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._unusable(error) from error
            who = "this program" if holder == str(os.getpid()) else f"process {holder}" if holder.isdigit() else ""
            raise SignerUnavailableError(
                f"busy: {who or 'another program'} is using it, close that first", code="signer.busy"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back; idempotent. The file stays, or two programs could lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _unusable(self, error: OSError) -> SignerUnavailableError:
        return SignerUnavailableError(
            f"the lock file {self._path} cannot be made: {error.strerror or error}", code="signer.lock"
        )


def _check_ours(folder: Path) -> None:
    """In a folder for everybody, anybody may have put a link or a folder of this name before us."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EACCES, "its folder can be changed by others: it must be yours, with mode 0700")
