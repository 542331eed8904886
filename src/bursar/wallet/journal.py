"""Journal: append-only lines, each bound to the one before by SHA-256 over canonical JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bursar.wallet.records import JournalHead


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


class Journal:
    """The journal of one store; read-only from outside."""

    def head(self) -> JournalHead:
        """The last record's number and hash; ``JournalHead(0, "00…")`` when empty."""
        raise NotImplementedError

    def records(self, *, after: int = 0) -> Iterator[JournalRecord]:
        """The records after number ``after``, oldest first, unverified."""
        raise NotImplementedError

    def verify(self, *, anchor: JournalHead | None = None) -> JournalHead:
        """Walk the whole chain and give the head; ``CorruptStoreError`` names the first bad record.

        ``anchor`` is a head kept elsewhere: the journal must still contain that very record.
        """
        raise NotImplementedError

    def export(self, path: Path) -> JournalHead:
        """Verify, then write one JSON line per record to a new file (mode 0600)."""
        raise NotImplementedError
