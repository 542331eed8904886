"""Rows of labels: what somebody wrote about a transaction, address, output … (BIP-329), and which must not be spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, delete, insert, select

from bursar.wallet.store.accounts import MOST_IN
from bursar.wallet.store.schema import labels

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class LabelRow:
    """``type`` is one of BIP-329's; ``spendable`` is ``None`` where nothing was said; ours are addresses' too."""

    network: str
    type: str
    ref: str
    label: str | None = None
    origin: str | None = None
    spendable: bool | None = None
    details: str | None = None  # further fields of its record, as JSON


def find_label(connection: Connection, network: str, kind: str, ref: str) -> LabelRow | None:
    where = and_(labels.c.network == network, labels.c.type == kind, labels.c.ref == ref)
    row = connection.execute(select(labels).where(where)).one_or_none()
    return None if row is None else _row(row)


def put_label(connection: Connection, row: LabelRow) -> None:
    """Write a label in place of the one before; one that says nothing is removed."""
    put_labels(connection, [row])


def put_labels(connection: Connection, rows: Sequence[LabelRow]) -> None:
    """Many at once, no two about the same thing."""
    if not rows:
        return
    where = and_(
        labels.c.network == bindparam("network_"),
        labels.c.type == bindparam("type_"),
        labels.c.ref == bindparam("ref_"),
    )
    places = [{"network_": row.network, "type_": row.type, "ref_": row.ref} for row in rows]
    connection.execute(delete(labels).where(where), places)
    values = [
        {**asdict(row), "spendable": None if row.spendable is None else int(row.spendable)}
        for row in rows
        if row != LabelRow(row.network, row.type, row.ref)
    ]
    if values:
        connection.execute(insert(labels), values)


def label_rows(connection: Connection, network: str | None = None) -> list[LabelRow]:
    """All labels, or those of one network, in a fixed order."""
    query = select(labels).order_by(labels.c.network, labels.c.type, labels.c.ref)
    if network is not None:
        query = query.where(labels.c.network == network)
    return [_row(row) for row in connection.execute(query)]


def find_labels(connection: Connection, network: str, kind: str, refs: Collection[str]) -> dict[str, LabelRow]:
    """The labels of one type for ``refs``, by ref."""
    found: dict[str, LabelRow] = {}
    wanted = list(refs)
    for start in range(0, len(wanted), MOST_IN):
        part = wanted[start : start + MOST_IN]
        query = select(labels).where(labels.c.network == network, labels.c.type == kind, labels.c.ref.in_(part))
        found.update({row.ref: _row(row) for row in connection.execute(query)})
    return found


def frozen(connection: Connection, network: str) -> tuple[set[tuple[str, int]], set[str]]:
    """What must not be spent: outputs as txid and index, and addresses."""
    query = select(labels.c.type, labels.c.ref).where(labels.c.network == network, labels.c.spendable == 0)
    outputs: set[tuple[str, int]] = set()
    addresses: set[str] = set()
    for kind, ref in connection.execute(query):
        if kind == "output":
            txid, _, vout = ref.rpartition(":")
            outputs.add((txid, int(vout)))
        elif kind == "addr":
            addresses.add(ref)
    return outputs, addresses


def _row(row: Row[tuple[object, ...]]) -> LabelRow:
    said = row.spendable
    spendable = None if said is None else bool(said)
    return LabelRow(row.network, row.type, row.ref, row.label, row.origin, spendable, row.details)
