"""Is this file a whole Bursar store? Looked at before anything may write to it (SQLite file format, section 1.3)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bursar.errors import CorruptStoreError, StoreBusyError, StoreError
from bursar.wallet.store.schema import APPLICATION_ID

_MAGIC = b"SQLite format 3\x00"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def check_file(path: Path) -> str:
    """Raise ``CorruptStoreError`` unless ``path`` is an undamaged store; the schema version it is at."""
    _check_header(path)
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict is None or verdict[0] != "ok":
                raise CorruptStoreError(f"{path} is damaged ({_first(verdict)}): restore it from a backup")
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
            raise StoreBusyError(f"{path} is being written by another process: try again") from error
        raise CorruptStoreError(f"{path} is damaged ({error}): restore it from a backup") from error
    if len(found) != 1 or not isinstance(found[0][0], str):
        raise CorruptStoreError(f"{path} names no schema version: restore it from a backup")
    return found[0][0]


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            header = file.read(100)
            size = file.seek(0, 2)
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise CorruptStoreError(f"{path} is not a wallet store, or its beginning is lost: restore it from a backup")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise CorruptStoreError(f"{path} is a SQLite file of another program, not a wallet store")
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    # With a write-ahead log present the file may rightly be shorter than its header says.
    if _size(path.with_name(path.name + "-wal")) == 0 and size < page * int.from_bytes(header[28:32], "big"):
        raise CorruptStoreError(f"{path} is truncated: restore it from a backup")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _first(row: tuple[object, ...] | None) -> str:
    return "no verdict" if row is None else str(row[0])[:200].replace("\n", " ")
