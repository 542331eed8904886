"""The chain's key-value store: memory, or one SQLite file whose transaction is a block."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (position INTEGER PRIMARY KEY, raw BLOB NOT NULL);
"""


class ChainStore:
    """Bytes by bytes, as the EVM library wants it; nothing is kept until :meth:`commit`."""

    def __init__(self, path: Path | None) -> None:
        self._database = sqlite3.connect(":memory:" if path is None else path, check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._changed: dict[bytes, bytes | None] = {}
        self._read: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        if key in self._changed:
            value = self._changed[key]
        else:
            value = self._read.get(key)
            if value is None:
                row = self._database.execute("SELECT value FROM entry WHERE key = ?", (key,)).fetchone()
                value = None if row is None else row[0]
        if value is None:
            raise KeyError(key)
        self._read[key] = value
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._changed[key] = value

    def __delitem__(self, key: bytes) -> None:
        self._read.pop(key, None)
        self._changed[key] = None

    def __contains__(self, key: bytes) -> bool:
        try:
            self[key]
        except KeyError:
            return False
        return True

    def setting(self, name: str) -> str | None:
        """A named text, ``None`` when it was never set."""
        row = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_setting(self, name: str, value: str) -> None:
        """Keep a named text with the next commit."""
        self._database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def waiting(self) -> list[bytes]:
        """The raw transactions that waited for a block at the last commit, oldest first."""
        return [row[0] for row in self._database.execute("SELECT raw FROM waiting ORDER BY position")]

    def commit(self, waiting: Iterator[bytes]) -> None:
        """Make every change since the last commit permanent, together with the transactions that wait now."""
        gone = [(key,) for key, value in self._changed.items() if value is None]
        kept = [(key, value) for key, value in self._changed.items() if value is not None]
        with self._database:
            self._database.executemany("DELETE FROM entry WHERE key = ?", gone)
            self._database.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", kept)
            self._database.execute("DELETE FROM waiting")
            self._database.executemany("INSERT INTO waiting (raw) VALUES (?)", [(raw,) for raw in waiting])
        self._read.update(kept)
        self._changed.clear()

    def close(self) -> None:
        """Close the file; what was not committed is gone."""
        self._database.close()
