"""Accounts of any scripts: gap limits, unfinished scans, labels, signatures collected one after the other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TRIGGERS = (
    "CREATE TRIGGER signatures_no_update BEFORE UPDATE ON signatures "
    "BEGIN SELECT RAISE(ABORT, 'a signature is never changed'); END",
    "CREATE TRIGGER signatures_no_delete BEFORE DELETE ON signatures "
    "BEGIN SELECT RAISE(ABORT, 'a signature is never forgotten'); END",
)


def upgrade() -> None:
    op.add_column("accounts", sa.Column("gap_limit", sa.Integer(), nullable=False, server_default="20"))
    op.add_column("accounts", sa.Column("scanned", sa.Text(), nullable=True))
    op.create_index("ix_addresses_script", "addresses", ["script"], unique=False)
    op.create_index("ix_transactions_state", "transactions", ["account_id", "state", "height"], unique=False)
    op.create_table(
        "labels",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("spendable", sa.Integer(), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("network", "type", "ref"),
    )
    op.create_table(
        "signatures",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("psbt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transfer_id"],
            ["transfers.id"],
        ),
        sa.PrimaryKeyConstraint("transfer_id", "position"),
    )
    for trigger in TRIGGERS:
        op.execute(trigger)
