"""One folder of a sandbox chain: a lock, a log of blocks, the waiting transactions, and what was invalidated."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bursar.crypto.hashes import sha256
from bursar.errors import CorruptStoreError, StoreBusyError

MAGIC: Final = b"bursar regtest 1\n"
MAX_RECORD: Final = 8_000_000
_HEAD: Final = struct.Struct("<QI4s")


class RecordLog:
    """Records (a number and bytes) appended to a file; a record cut off by a crash is dropped when the log is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: io.FileIO | None = None

    def read(self) -> Iterator[tuple[int, bytes]]:
        """Every whole record, oldest first, then the log is open for ``append``."""
        self._file = file = self._open()
        start = file.read(len(MAGIC))
        if start != MAGIC:
            if not MAGIC.startswith(start):  # a beginning cut off by a crash is an empty log
                raise CorruptStoreError(f"{self._path} is not a sandbox log: start anew in another folder")
            file.seek(0)
            file.truncate()
            file.write(MAGIC)
        good = file.tell()
        while True:
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                break
            number, size, check = _HEAD.unpack(head)
            body = file.read(size) if size <= MAX_RECORD else b""
            if size <= MAX_RECORD and len(body) < size:
                break
            if size > MAX_RECORD or sha256(body)[:4] != check:
                raise CorruptStoreError(f"{self._path} is damaged at byte {good}: start anew in another folder")
            good = file.tell()
            yield number, body
        file.seek(good)
        file.truncate()

    def _open(self) -> io.FileIO:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "r+b", buffering=0)

    def append(self, number: int, body: bytes) -> None:
        """Add one record; it is with the operating system when this returns."""
        assert self._file is not None
        self._file.write(_HEAD.pack(number, len(body), sha256(body)[:4]) + body)

    def rewrite(self, records: Iterable[tuple[int, bytes]]) -> None:
        """Replace the whole log in one step."""
        new = self._path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(MAGIC)
            for number, body in records:
                file.write(_HEAD.pack(number, len(body), sha256(body)[:4]) + body)
        new.replace(self._path)
        self.close()
        self._file = self._open()
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Flush to disk and close; idempotent."""
        file, self._file = self._file, None
        if file is not None:
            os.fsync(file.fileno())
            file.close()


class Store:
    """A sandbox folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock: int | None = take_lock(folder / "lock")
        self.blocks = RecordLog(folder / "blocks.log")
        self.mempool = RecordLog(folder / "mempool.log")
        self._invalid = folder / "invalid.json"

    @property
    def kernel(self) -> Path:
        """The kernel's own folder."""
        return self.folder / "kernel"

    def read_invalid(self) -> list[bytes]:
        """Hashes of the blocks a caller declared invalid (internal byte order)."""
        try:
            hashes = json.loads(self._invalid.read_text("ascii"))
            return [bytes.fromhex(text)[::-1] for text in hashes]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, UnicodeDecodeError) as error:
            raise CorruptStoreError(f"{self._invalid} is damaged: start anew in another folder") from error

    def write_invalid(self, hashes: Iterable[bytes]) -> None:
        """Replace that list in one step."""
        new = self._invalid.with_suffix(".new")
        new.write_text(json.dumps([block_hash[::-1].hex() for block_hash in hashes]), "ascii")
        new.replace(self._invalid)

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        self.blocks.close()
        self.mempool.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def take_lock(path: Path, *, attempts: int = 1) -> int:
    """An exclusive lock as a file descriptor, released by closing it or by the process's end; ``StoreBusyError``."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                attempts -= 1
                if not attempts:
                    raise
                time.sleep(0.05)
            else:
                break
    except OSError as error:
        os.close(descriptor)
        raise StoreBusyError(f"{path.parent} is in use by another sandbox: stop it or choose another folder") from error
    return descriptor
