"""Blobs of type 3 transactions, kept beside the transfers that carry them (EIP-4844)."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TRIGGER = (
    "CREATE TRIGGER blobs_no_update BEFORE UPDATE ON blobs BEGIN SELECT RAISE(ABORT, 'a blob is never changed'); END"
)


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "transfer_blobs",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"]),
        sa.ForeignKeyConstraint(["hash"], ["blobs.hash"]),
        sa.PrimaryKeyConstraint("transfer_id", "position"),
    )
    op.create_index("ix_transfer_blobs_hash", "transfer_blobs", ["hash"], unique=False)
    op.execute(TRIGGER)
