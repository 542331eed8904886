"""One SQLite file under SQLAlchemy: WAL, synchronous=FULL, foreign keys, BEGIN IMMEDIATE for writers, typed errors."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from bursar.errors import ConflictError, CorruptStoreError, StoreBusyError, StoreError
from bursar.wallet.store.integrity import check_file
from bursar.wallet.store.schema import APPLICATION_ID, SCHEMA_VERSION

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_WRITING = "bursar_writing"
TURN_TIMEOUT = 60.0


class Store:
    """An open store. ``read()`` is a consistent snapshot, ``write()`` the only writer; each ends with its block."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._closed = False
        self._turn = threading.Lock()  # SQLite's own waiting is not fair among many threads

    @classmethod
    def open(cls, path: Path, *, busy_timeout: float = 5.0) -> Store:
        """Open an existing store, bringing an older schema up to date; see ``Wallet.open`` for the errors."""
        if not path.exists():
            raise StoreError(f"there is no wallet store at {path}: create one first", code="store.absent")
        version = check_file(path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        if version != SCHEMA_VERSION:
            from bursar.wallet.store.migrate import check_upgradable, upgrade

            check_upgradable(version, path)
            engine = _engine(path, busy_timeout)
            try:
                with _translated(path):
                    upgrade(engine)
            except BaseException:
                engine.dispose()
                raise
            return cls(path, engine)
        return cls(path, _engine(path, busy_timeout))

    @classmethod
    def create(cls, path: Path, *, busy_timeout: float = 5.0) -> Store:
        """Make a new store at ``path`` (mode 0600); it appears whole or not at all."""
        from bursar.wallet.store.migrate import upgrade

        draft = path.with_name(f".{path.name}.new-{os.getpid()}-{secrets.token_hex(4)}")
        try:
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            engine = _engine(draft, busy_timeout)
            try:
                with _translated(draft):
                    upgrade(engine)
                    with engine.begin() as connection:
                        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
            finally:
                engine.dispose()
            _sync(draft)
            _place(draft, path)
            _sync(path.parent)
        except FileExistsError as error:
            raise StoreError(f"{path} exists already", code="store.exists") from error
        except OSError as error:
            raise StoreError(f"cannot create a wallet store at {path}: {error.strerror}") from error
        finally:
            for leftover in (draft, *(draft.with_name(draft.name + end) for end in ("-wal", "-shm", "-journal"))):
                leftover.unlink(missing_ok=True)
        return cls.open(path, busy_timeout=busy_timeout)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._transaction(writing=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if not self._turn.acquire(timeout=TURN_TIMEOUT):
            raise StoreBusyError(f"{self.path} is busy in this process: try again")
        try:
            with self._transaction(writing=True) as connection:
                yield connection
        finally:
            self._turn.release()

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        if self._closed:
            raise StoreError("this wallet is closed: open it again", code="store.closed")
        with _translated(self.path), self._engine.connect() as connection:
            connection.execution_options(**{_WRITING: writing})
            with connection.begin():
                yield connection


def _engine(path: Path, busy_timeout: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"isolation_level": None, "timeout": busy_timeout, "check_same_thread": False},
        pool_size=4,
        max_overflow=60,
        pool_timeout=busy_timeout,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "fullfsync=ON",  # macOS: fsync alone does not reach the disk
            "checkpoint_fullfsync=ON",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            "cell_size_check=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get(_WRITING, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreBusyError(f"{path} is busy: try again") from error
    except DBAPIError as error:
        raise _translate(error, path) from error
    except SQLAlchemyError as error:
        raise StoreError(f"{path}: {error}") from error
    except OverflowError as error:  # of the driver's: SQLite counts up to 2**63 - 1
        raise StoreError(f"{path} cannot hold a number this large: {error}") from error


def _translate(error: DBAPIError, path: Path) -> StoreError | ConflictError:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return StoreBusyError(f"{path} is being written by another process: try again")
    if code in _CORRUPT:
        return CorruptStoreError(f"{path} is damaged ({error.orig}): restore it from a backup")
    if code == sqlite3.SQLITE_CONSTRAINT and "UNIQUE" in str(error.orig):
        return ConflictError(f"already bound to something else ({error.orig})")
    return StoreError(f"{path}: {error.orig}")


def _place(draft: Path, path: Path) -> None:
    """Give the finished file its name, never over an existing one."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot sync a directory
            os.fsync(handle)
    finally:
        os.close(handle)
