"""Journal: append-only lines, each bound to the one before by SHA-256 over canonical JSON."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from bursar.errors import CorruptStoreError, InvalidInputError, StoreError
from bursar.json_text import nested_deeply
from bursar.wallet.canonical import canonical_json
from bursar.wallet.records import JournalHead
from bursar.wallet.store.schema import journal as lines
from bursar.wallet.store.schema import journal_head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from bursar.wallet.store.engine import Store

START = JournalHead(0, "0" * 64)
_BATCH = 2000
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One line: ``sequence`` counts from 1, ``time`` in Unix seconds, ``kind`` like ``"transfer.signed"``."""

    sequence: int
    time: int
    kind: str
    body: dict[str, Any]
    previous: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        return {
            "sequence": self.sequence,
            "time": self.time,
            "kind": self.kind,
            "body": self.body,
            "previous": self.previous,
            "hash": self.hash,
        }


def record_hash(sequence: int, time: int, kind: str, body: dict[str, Any], previous: str) -> str:
    """SHA-256 of the canonical JSON of ``{body, kind, previous, sequence, time}``."""
    line = {"sequence": sequence, "time": time, "kind": kind, "body": body, "previous": previous}
    return hashlib.sha256(canonical_json(line)).hexdigest()


def append(connection: Connection, time: int, kind: str, body: dict[str, Any]) -> JournalHead:
    """Add one line in the caller's transaction. Time never runs backwards in a journal."""
    head = connection.execute(select(journal_head.c.sequence, journal_head.c.hash)).one()
    sequence = head.sequence + 1
    before = connection.execute(select(lines.c.time).where(lines.c.sequence == head.sequence)).scalar()
    time = max(time, before or 0)
    hashed = record_hash(sequence, time, kind, body, head.hash)
    text = canonical_json(body).decode()
    connection.execute(
        insert(lines).values(sequence=sequence, time=time, kind=kind, body=text, previous=head.hash, hash=hashed)
    )
    connection.execute(update(journal_head).values(sequence=sequence, hash=hashed))
    return JournalHead(sequence, hashed)


def verify_lines(rows: Iterable[dict[str, Any]], *, anchor: JournalHead | None = None) -> JournalHead:
    """Walk exported or stored lines from the first on; ``CorruptStoreError`` names the first bad one."""
    head = START
    anchored = anchor is None or anchor.sequence == 0
    for row in rows:
        number = head.sequence + 1
        if row.get("sequence") != number:
            found = str(row.get("sequence"))[:20]
            raise CorruptStoreError(f"journal record {number} is missing: record {found} stands in its place")
        if row.get("previous") != head.hash:
            raise CorruptStoreError(f"journal record {number} does not follow record {head.sequence}")
        try:
            hashed = record_hash(number, row["time"], row["kind"], row["body"], head.hash)
        except (KeyError, InvalidInputError) as error:
            raise CorruptStoreError(f"journal record {number} is malformed") from error
        if row.get("hash") != hashed:
            raise CorruptStoreError(f"journal record {number} was changed: its hash does not match its text")
        head = JournalHead(number, hashed)
        if anchor is not None and number == anchor.sequence:
            if hashed != anchor.hash:
                raise CorruptStoreError(f"journal record {number} is not the one that was anchored")
            anchored = True
    if not anchored and anchor is not None:
        raise CorruptStoreError(
            f"journal record {head.sequence + 1} is missing: the anchor knows {anchor.sequence} records, "
            f"the journal ends at {head.sequence}"
        )
    return head


class Journal:
    """The journal of one store; read-only from outside."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def head(self) -> JournalHead:
        """The last record's number and hash; ``JournalHead(0, "00…")`` when empty."""
        with self._store.read() as connection:
            return _head(connection)

    def records(self, *, after: int = 0) -> Iterator[JournalRecord]:
        """The records after number ``after``, oldest first, unverified."""
        with self._store.read() as connection:
            for row in _rows(connection, after):
                yield JournalRecord(**row)

    def verify(self, *, anchor: JournalHead | None = None) -> JournalHead:
        """Walk the whole chain and give the head; ``CorruptStoreError`` names the first bad record.

        ``anchor`` is a head kept elsewhere: the journal must still contain that very record.
        """
        with self._store.read() as connection:
            head = verify_lines(_rows(connection, 0), anchor=anchor)
            recorded = _head(connection)
        if recorded != head:
            raise CorruptStoreError(
                f"journal record {min(head.sequence, recorded.sequence) + 1} is "
                + ("missing: the journal was cut short" if recorded.sequence > head.sequence else "not accounted for")
            )
        return head

    def check_tail(self) -> JournalHead:
        """The quick look at opening: the recorded head is the last record, and its hash is right."""
        with self._store.read() as connection:
            recorded = _head(connection)
            rows = list(_rows(connection, max(0, recorded.sequence - 1)))
        last = rows[-1] if rows else None
        if recorded.sequence == 0 and last is None:
            return recorded
        if last is None or last["sequence"] != recorded.sequence:
            raise CorruptStoreError(f"the journal does not end at record {recorded.sequence}: run journal verify")
        hashed = record_hash(last["sequence"], last["time"], last["kind"], last["body"], last["previous"])
        if not hashed == last["hash"] == recorded.hash:
            raise CorruptStoreError(f"journal record {recorded.sequence} was changed: run journal verify")
        return recorded

    def export(self, path: Path) -> JournalHead:
        """Verify, then write one JSON line per record to a new file (mode 0600)."""
        if path.exists():
            raise InvalidInputError(f"{path} exists and is not overwritten: choose another name", code="input.file")
        head = self.verify()
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(handle, "wb") as file:
                for record in self.records():
                    file.write(canonical_json(record.to_json()) + b"\n")
                    if record.sequence == head.sequence:
                        break
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"cannot write the journal to {path}: {error.strerror}") from error
        return head


def read_export(text: str) -> Iterator[dict[str, Any]]:
    """The lines of an export, for ``verify_lines``."""
    for number, line in enumerate(text.splitlines(), 1):
        row = _parsed(line, number)
        if not isinstance(row, dict):
            raise CorruptStoreError(f"journal record {number} is malformed")
        yield row


def _parsed(text: str, number: int) -> Any:
    if nested_deeply(text.encode("utf-8", "replace"), most=_DEEPEST):
        raise CorruptStoreError(f"journal record {number} is nested too deeply")
    try:
        return json.loads(text)
    except ValueError as error:
        raise CorruptStoreError(f"journal record {number} is malformed") from error


def _head(connection: Connection) -> JournalHead:
    row = connection.execute(select(journal_head.c.sequence, journal_head.c.hash)).one_or_none()
    if row is None:
        raise CorruptStoreError("the journal's head is lost: restore the store from a backup")
    return JournalHead(row.sequence, row.hash)


def _rows(connection: Connection, after: int) -> Iterator[dict[str, Any]]:
    while True:
        query = select(lines).where(lines.c.sequence > after).order_by(lines.c.sequence).limit(_BATCH)
        batch = connection.execute(query).all()
        for row in batch:
            yield {**row._asdict(), "body": _parsed(row.body, row.sequence)}
            after = row.sequence
        if len(batch) < _BATCH:
            return
