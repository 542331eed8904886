"""Rows of blobs: each once, by its versioned hash, and which transfers carry it (EIP-4844)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select

from bursar.errors import StoreError
from bursar.ethereum.blobs.sidecar import BLOB_BYTES, CELLS, POINT_BYTES, BlobSidecar
from bursar.wallet.store.schema import blobs, transfer_blobs, transfers

if TYPE_CHECKING:
    from sqlalchemy import Connection

KEPT = 64  # blocks over a transfer after which its blobs are forgotten: it is final by then


def put_blobs(connection: Connection, transfer_id: str, sidecar: BlobSidecar) -> None:
    """Keep the blobs of a transfer, with commitments and cell proofs."""
    for position, name in enumerate(sidecar.versioned_hashes):
        key = name.hex()
        if connection.execute(select(blobs.c.hash).where(blobs.c.hash == key)).first() is None:
            proofs = sidecar.proofs[position * CELLS : (position + 1) * CELLS]
            body = b"".join((sidecar.blobs[position], sidecar.commitments[position], *proofs))
            connection.execute(insert(blobs).values(hash=key, body=body))
        connection.execute(insert(transfer_blobs).values(transfer_id=transfer_id, position=position, hash=key))


def find_sidecar(connection: Connection, transfer_id: str) -> BlobSidecar:
    """The sidecar of a transfer; ``StoreError`` (``store.blobs``) where its blobs are not kept any more."""
    query = (
        select(blobs.c.body)
        .join(transfer_blobs, transfer_blobs.c.hash == blobs.c.hash)
        .where(transfer_blobs.c.transfer_id == transfer_id)
        .order_by(transfer_blobs.c.position)
    )
    bodies = [bytes(row.body) for row in connection.execute(query)]
    if not bodies:
        raise StoreError(f"the blobs of transfer {transfer_id} are not kept any more", code="store.blobs")
    points = [
        [body[start : start + POINT_BYTES] for start in range(BLOB_BYTES, len(body), POINT_BYTES)] for body in bodies
    ]
    return BlobSidecar(
        tuple(body[:BLOB_BYTES] for body in bodies),
        tuple(one[0] for one in points),
        tuple(proof for one in points for proof in one[1:]),
    )


def drop_blobs(connection: Connection, transfer_id: str) -> None:
    """Forget the blobs of a transfer that will not be sent, but for those that another one carries."""
    connection.execute(delete(transfer_blobs).where(transfer_blobs.c.transfer_id == transfer_id))
    _drop_unused(connection)


def drop_settled(connection: Connection, account_id: int, tip_height: int) -> None:
    """Forget the blobs of an account's transfers that are ``KEPT`` blocks deep, and of what they replaced."""
    if connection.execute(select(transfer_blobs.c.hash).limit(1)).first() is None:
        return
    deep = select(transfers.c.root).where(transfers.c.account_id == account_id, transfers.c.height <= tip_height - KEPT)
    over = select(transfers.c.id).where(transfers.c.root.in_(deep))
    connection.execute(delete(transfer_blobs).where(transfer_blobs.c.transfer_id.in_(over)))
    _drop_unused(connection)


def _drop_unused(connection: Connection) -> None:
    connection.execute(delete(blobs).where(blobs.c.hash.not_in(select(transfer_blobs.c.hash))))
