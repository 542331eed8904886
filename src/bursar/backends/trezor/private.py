"""Private files of this backend: locks, one per device path, and small secrets written atomically (POSIX)."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bursar.errors import SignerError, SignerUnavailableError

if TYPE_CHECKING:
    from types import TracebackType

_LARGEST = 1 << 16


def home_folder() -> Path:
    """``$BURSAR_HOME/trezor``, or ``~/.bursar/trezor``."""
    home = os.environ.get("BURSAR_HOME")
    return (Path(home) if home else Path.home() / ".bursar") / "trezor"


def lock_folder() -> Path:
    """Where this user's programs see each other's locks, whatever their home: ``$XDG_RUNTIME_DIR``, else ``/tmp``."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "bursar"
    return Path(tempfile.gettempdir()) / f"bursar-{os.geteuid()}"


class DeviceLock:
    """One program at a time on one device path, by ``flock``; freed if we die. The second one is told whose it is."""

    def __init__(self, location: str, folder: Path | None = None) -> None:
        self._location = location
        self._folder = folder or lock_folder()
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take it at once, or raise ``SignerUnavailableError`` (``signer.busy``, retryable)."""
        import fcntl

        _make_private(self._folder)
        name = "trezor-" + hashlib.sha256(self._location.encode("utf-8", "replace")).hexdigest()[:24] + ".lock"
        descriptor = _open(self._folder / name, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise SignerError(f"{self._folder / name} cannot be locked: {error.strerror}") from error
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
