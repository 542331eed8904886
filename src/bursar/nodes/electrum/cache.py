"""A file (SQLite) of headers, transactions, proofs and histories, so that a new process asks only for what is new."""

from __future__ import annotations

import os
import sqlite3
import struct
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.headers.header import SIZE
from bursar.bitcoin.transaction import Transaction, Txid
from bursar.errors import ChainError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from bursar.bitcoin.headers import HeaderChain

BLOCK: Final = 2016  # headers in a row
MANY: Final = 500
VERSION: Final = "1"
_TABLES: Final = """
    create table if not exists about (name text primary key, value text) without rowid;
    create table if not exists headers (first integer primary key, raw blob);
    create table if not exists transactions (txid blob primary key, raw blob) without rowid;
    create table if not exists proofs (txid blob primary key, height int, position int, branch blob) without rowid;
    create table if not exists scripts (hash blob primary key, status text, history blob) without rowid;
"""
_EVENT: Final = struct.Struct("<32si")
History = tuple[tuple[Txid, int], ...]


class Cache:
    """Kept at ``path``, readable by its owner only. ``start`` names the block everything is proven from.

    ``ChainError`` (``chain.cache``) when the file cannot be used.
    """

    def __init__(self, path: Path, start: str) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
            self._database = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error
        try:
            self._prepare(start)
        except sqlite3.Error as error:
            self._database.close()
            raise self._unusable(error) from error
        self._saved: tuple[int, bytes] | None = None  # height and hash of the last header in the file

    def _prepare(self, start: str) -> None:
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")
        self._database.executescript(_TABLES)
        about = dict(self._database.execute("select name, value from about").fetchall())
        if about and about != {"version": VERSION, "start": start}:
            self._empty()
            about = {}
        if not about:
            rows = [("version", VERSION), ("start", start)]
            self._database.executemany("insert or replace into about values (?, ?)", rows)

    def _unusable(self, error: Exception) -> ChainError:
        return ChainError(f"{self._path} cannot be used as a cache ({error}): remove it", code="chain.cache")

    def _empty(self) -> None:
        for table in ("about", "headers", "transactions", "proofs", "scripts"):
            self._database.execute(f"delete from {table}")  # noqa: S608 (names from the line above)

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._database.close()

    def _rows(self, query: str, keys: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
        wanted = [bytes(key) for key in keys]
        try:
            for at in range(0, len(wanted), MANY):
                part = wanted[at : at + MANY]
                marks = ",".join("?" * len(part))
                yield from self._database.execute(f"{query} ({marks})", part)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def headers(self) -> tuple[int, bytes] | None:
        """The height of the first header and all of them in a row."""
        try:
            rows = self._database.execute("select first, raw from headers order by first").fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        raw = b""
        for first, part in rows:
            if not isinstance(part, bytes) or first != rows[0][0] + len(raw) // SIZE:
                break
            raw += part
        return (rows[0][0], raw) if raw else None

    def transactions(self, txids: Iterable[Txid]) -> Iterator[Transaction]:
        """Those of some transactions that are here and hash to their ids."""
        for txid, raw in self._rows("select txid, raw from transactions where txid in", txids):
            try:
                tx = Transaction.parse(raw)
            except (InvalidInputError, TypeError):
                continue
            if tx.txid == txid:
                yield tx

    def proofs(self, txids: Iterable[Txid]) -> dict[Txid, tuple[int, int, tuple[bytes, ...]]]:
        """Height, position and branch, as they were proven once."""
        found: dict[Txid, tuple[int, int, tuple[bytes, ...]]] = {}
        for txid, height, position, branch in self._rows(
            "select txid, height, position, branch from proofs where txid in", txids
        ):
            if isinstance(height, int) and isinstance(position, int) and isinstance(branch, bytes):
                parts = tuple(branch[at : at + 32] for at in range(0, len(branch), 32))
                found[Txid(txid)] = (height, position, parts)
        return found

    def scripts(self, keys: Iterable[bytes]) -> Iterator[tuple[bytes, str | None, History]]:
        """Script hashes with status and history."""
        for key, status, history in self._rows("select hash, status, history from scripts where hash in", keys):
            if isinstance(history, bytes) and not len(history) % _EVENT.size:
                events = tuple((Txid(txid), height) for txid, height in _EVENT.iter_unpack(history))
                yield key, status if isinstance(status, str) else None, events

    def write(
        self,
        chain: HeaderChain,
        transactions: Sequence[Transaction],
        proofs: Sequence[tuple[Txid, int, int, Sequence[bytes]]],
        scripts: Sequence[tuple[bytes, str | None, History]],
    ) -> None:
        """Add what is new, in one step."""
        if self._saved == (chain.height, chain.tip) and not (transactions or proofs or scripts):
            return
        try:
            with self._database:
                self._database.execute("begin immediate")
                self._write_headers(chain)
                self._database.executemany(
                    "insert or replace into transactions values (?, ?)",
                    [(bytes(tx.txid), tx.serialize()) for tx in transactions],
                )
                self._database.executemany(
                    "insert or replace into proofs values (?, ?, ?, ?)",
                    [(bytes(txid), height, place, b"".join(branch)) for txid, height, place, branch in proofs],
                )
                self._database.executemany(
                    "insert or replace into scripts values (?, ?, ?)",
                    [
                        (key, status, b"".join([_EVENT.pack(txid, height) for txid, height in history]))
                        for key, status, history in scripts
                    ],
                )
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._saved = (chain.height, chain.tip)

    def _write_headers(self, chain: HeaderChain) -> None:
        """Write the rows that differ: rows hold up to 2,016 headers, so mostly the last."""
        if self._saved == (chain.height, chain.tip):
            return
        kept = self._database.execute("select first, raw from headers order by first desc").fetchall()
        same = chain.base
        for first, raw in kept:
            end = first + len(raw) // SIZE
            inside = len(raw) == BLOCK * SIZE and chain.base <= first and end <= chain.height + 1
            if inside and raw == chain.raw(first, end):
                same = end
                break
        self._database.execute("delete from headers where first >= ? or first < ?", (same, chain.base))
        rows = [(at, chain.raw(at, min(at + BLOCK, chain.height + 1))) for at in range(same, chain.height + 1, BLOCK)]
        self._database.executemany("insert into headers values (?, ?)", rows)
