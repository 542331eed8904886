"""The journal: chained, append-only, and able to say which record is bad."""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import CorruptStoreError, InvalidInputError
from bursar.wallet import JournalHead
from bursar.wallet.journal import START, Journal, append, read_export, record_hash, verify_lines
from bursar.wallet.store.engine import Store

COUNT = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    place = tmp_path / "wallet.db"
    with closing(Store.create(place)) as store, store.write() as connection:
        for number in range(COUNT):
            append(connection, 1_700_000_000 + number, f"kind.{number}", {"n": number, "text": "naïve ✓"})
    return place


def test_an_empty_journal_verifies(tmp_path: Path) -> None:
    with closing(Store.create(tmp_path / "wallet.db")) as store:
        journal = Journal(store)
        assert journal.head() == journal.verify() == journal.check_tail() == START


def test_a_whole_journal_verifies(path: Path) -> None:
    with closing(Store.open(path)) as store:
        journal = Journal(store)
        head = journal.verify()
        assert head == journal.head() == journal.check_tail()
        assert head.sequence == COUNT
        records = list(journal.records())
        assert [one.sequence for one in records] == list(range(1, COUNT + 1))
        assert records[0].previous == "0" * 64
        assert all(a.hash == b.previous for a, b in itertools.pairwise(records))
        assert [one.sequence for one in journal.records(after=10)] == [11, 12]
        assert JournalHead.from_json(head.to_json()) == head


def tamper(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for trigger in ("journal_no_update", "journal_no_delete"):
            connection.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["UPDATE journal SET body = '{\"n\":99}' WHERE sequence = 5"], "record 5 was changed"),
        (["UPDATE journal SET time = 1 WHERE sequence = 1"], "record 1 was changed"),
        (["UPDATE journal SET kind = 'transfer.sent' WHERE sequence = 12"], "record 12 was changed"),
        (["UPDATE journal SET body = 'oops' WHERE sequence = 7"], "record 7 is malformed"),
        (["DELETE FROM journal WHERE sequence = 6"], "record 6 is missing"),
        (["DELETE FROM journal WHERE sequence > 9"], "record 10 is missing: the journal was cut short"),
        (["DELETE FROM journal"], "record 1 is missing"),
        (
            [
                "UPDATE journal SET sequence = 100 WHERE sequence = 3",
                "UPDATE journal SET sequence = 3 WHERE sequence = 4",
                "UPDATE journal SET sequence = 4 WHERE sequence = 100",
            ],
            "record 3 does not follow record 2",
        ),
        (["UPDATE journal SET previous = hash WHERE sequence = 2"], "record 2 does not follow"),
        (["DELETE FROM journal_head"], "head is lost"),
    ],
)
def test_the_first_bad_record_is_named(path: Path, statements: list[str], message: str) -> None:
    tamper(path, *statements)
    with closing(Store.open(path)) as store, pytest.raises(CorruptStoreError, match=message):
        Journal(store).verify()


def test_an_anchor_kept_elsewhere_catches_a_rewritten_journal(path: Path) -> None:
    with closing(Store.open(path)) as store:
        anchor = Journal(store).verify()
    # Someone who can write to the file rebuilds the chain, head included.
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sequence, time, kind, body FROM journal ORDER BY sequence").fetchall()
    previous, statements = "0" * 64, []
    for sequence, time, kind, text in rows:
        body = {"n": 0} if sequence == 4 else json.loads(text)
        fresh = record_hash(sequence, time, kind, body, previous)
        new = json.dumps(body).replace("'", "''")
        statements.append(
            f"UPDATE journal SET body='{new}', previous='{previous}', hash='{fresh}' WHERE sequence={sequence}"
        )
        previous = fresh
    tamper(path, *statements, f"UPDATE journal_head SET hash = '{previous}'")
    with closing(Store.open(path)) as store:
        journal = Journal(store)
        journal.verify()
        with pytest.raises(CorruptStoreError, match="record 12 is not the one that was anchored"):
            journal.verify(anchor=anchor)


def test_an_anchor_catches_a_tail_cut_with_its_head(path: Path) -> None:
    with closing(Store.open(path)) as store:
        anchor = Journal(store).verify()
    tamper(
        path,
        "DELETE FROM journal WHERE sequence > 8",
        "UPDATE journal_head SET sequence = 8, hash = (SELECT hash FROM journal WHERE sequence = 8)",
    )
    with closing(Store.open(path)) as store:
        journal = Journal(store)
        journal.verify()
        with pytest.raises(CorruptStoreError, match="record 9 is missing: the anchor knows 12"):
            journal.verify(anchor=anchor)


def test_an_export_can_be_verified_without_the_store(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "journal.jsonl"
    with closing(Store.open(path)) as store:
        journal = Journal(store)
        head = journal.export(target)
        with pytest.raises(InvalidInputError, match="not overwritten"):
            journal.export(target)
    assert target.stat().st_mode & 0o777 == 0o600
    text = target.read_text()
    assert verify_lines(read_export(text), anchor=head) == head
    with pytest.raises(CorruptStoreError, match="record 3 was changed"):
        verify_lines(read_export(text.replace('"n":2,', '"n":3,')))
    with pytest.raises(CorruptStoreError, match="record 2 is malformed"):
        verify_lines(read_export(text.split("\n")[0] + "\nnot json"))
    with pytest.raises(CorruptStoreError, match="record 12 is missing"):
        verify_lines(read_export("\n".join(text.splitlines()[:-1])), anchor=head)


def test_time_never_runs_backwards(path: Path) -> None:
    with closing(Store.open(path)) as store:
        with store.write() as connection:
            append(connection, 5, "late", {})
        last = list(Journal(store).records())[-1]
        assert last.time == 1_700_000_000 + COUNT - 1
        Journal(store).verify()


@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=4),
            st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.lists(st.integers(), max_size=3),
            max_size=3,
        ),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_any_single_change_is_found(bodies: list[dict[str, Any]], data: st.DataObject) -> None:
    lines: list[dict[str, Any]] = []
    previous = START.hash
    for number, body in enumerate(bodies, 1):
        fresh = record_hash(number, number, "k", body, previous)
        lines.append(
            {"sequence": number, "time": number, "kind": "k", "body": body, "previous": previous, "hash": fresh}
        )
        previous = fresh
    assert verify_lines(lines).sequence == len(bodies)
    place = data.draw(st.integers(0, len(lines) - 1))
    field = data.draw(st.sampled_from(["time", "kind", "body", "previous", "hash", "sequence"]))
    bad = dict(lines[place])
    bad[field] = {"changed": previous} if field == "body" else (-7 if field in ("time", "sequence") else "0" * 63 + "1")
    with pytest.raises(CorruptStoreError, match=f"record {place + 1} "):
        verify_lines([*lines[:place], bad, *lines[place + 1 :]])


def test_an_export_that_nests_for_ever_is_refused() -> None:
    from bursar.errors import CorruptStoreError
    from bursar.wallet.journal import read_export

    with pytest.raises(CorruptStoreError, match="nested too deeply"):
        list(read_export("[" * 200_000))
