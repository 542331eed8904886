"""Rows of signatures collected one after the other: what each signer added, verified; only ever appended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from bursar.wallet.store.schema import signatures

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class SignatureRow:
    """A PSBT (base64) with the signatures of one ``signer``, as of the moment ``added`` (Unix seconds)."""

    signer: str
    added: int
    psbt: str


def add_signature(connection: Connection, transfer_id: str, row: SignatureRow) -> None:
    query = select(func.max(signatures.c.position)).where(signatures.c.transfer_id == transfer_id)
    last = connection.execute(query).scalar()
    connection.execute(
        insert(signatures).values(
            transfer_id=transfer_id,
            position=0 if last is None else last + 1,
            signer=row.signer,
            added=row.added,
            psbt=row.psbt,
        )
    )


def signature_rows(connection: Connection, transfer_id: str) -> list[SignatureRow]:
    """What was added to one transfer, oldest first."""
    query = select(signatures).where(signatures.c.transfer_id == transfer_id).order_by(signatures.c.position)
    return [SignatureRow(row.signer, row.added, row.psbt) for row in connection.execute(query)]
