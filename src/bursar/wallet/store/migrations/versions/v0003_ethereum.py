"""Ethereum in full: transfers superseded by a foreign nonce, deposits with their place, kind and state, blocks seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite cannot change a CHECK: each table is copied. Those that refer to transfers are copied with it, so that foreign
# keys hold at every moment; renaming the new tables rewrites the references.
COPIED = ("transfers", "spends", "signatures", "held_coins", "held_nonces", "deposits")
MARK = "_0003"

TRIGGERS = (
    "CREATE TRIGGER transfers_keep_signature BEFORE UPDATE OF raw, txid ON transfers "
    "WHEN OLD.raw IS NOT NULL AND (NEW.raw IS NOT OLD.raw OR NEW.txid IS NOT OLD.txid) "
    "BEGIN SELECT RAISE(ABORT, 'signed bytes are never replaced'); END",
    "CREATE TRIGGER transfers_keep_plan BEFORE UPDATE OF plan, plan_digest ON transfers "
    "BEGIN SELECT RAISE(ABORT, 'a plan is never changed'); END",
    "CREATE TRIGGER signatures_no_update BEFORE UPDATE ON signatures "
    "BEGIN SELECT RAISE(ABORT, 'a signature is never changed'); END",
    "CREATE TRIGGER signatures_no_delete BEFORE DELETE ON signatures "
    "BEGIN SELECT RAISE(ABORT, 'a signature is never forgotten'); END",
)


def upgrade() -> None:
    _create()
    for name in COPIED:
        columns = ", ".join(row.name for row in op.get_bind().exec_driver_sql(f"PRAGMA table_info({name})"))
        op.execute(f"INSERT INTO {name}{MARK} ({columns}) SELECT {columns} FROM {name}")  # noqa: S608
    for name in reversed(COPIED):
        op.drop_table(name)
    for name in COPIED:
        op.rename_table(f"{name}{MARK}", name)
    op.create_index("ix_transfers_account", "transfers", ["account_id", "state"], unique=False)
    op.create_index("ix_transfers_root", "transfers", ["root"], unique=False)
    op.create_index("ix_spends_payee", "spends", ["payee"], unique=False)
    op.create_index("ix_held_coins_root", "held_coins", ["root"], unique=False)
    op.create_index("ix_held_nonces_root", "held_nonces", ["root"], unique=False)
    op.create_index("ix_deposits_height", "deposits", ["account_id", "height"], unique=False)
    for trigger in TRIGGERS:
        op.execute(trigger)
    op.add_column("accounts", sa.Column("deposits_height", sa.Integer(), nullable=True))
    op.create_table(
        "blocks_seen",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("account_id", "height"),
    )


def _create() -> None:
    op.create_table(
        f"transfers{MARK}",
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("body_digest", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("plan_digest", sa.Text(), nullable=False),
        sa.Column("approval", sa.Text(), nullable=True),
        sa.Column("approved", sa.Integer(), nullable=True),
        sa.Column("signing", sa.Integer(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("fee", sa.Text(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("block_hash", sa.Text(), nullable=True),
        sa.Column("block_time", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('planned', 'approved', 'signed', 'sent', 'confirmed', 'denied', 'cancelled', "
            "'replaced', 'failed', 'superseded')",
            name="ck_transfers_state",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    parent = f"transfers{MARK}.id"
    op.create_table(
        f"spends{MARK}",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("decimals", sa.Integer(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=True),
        sa.Column("payee", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, server_default="payment"),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["transfer_id"], [parent]),
        sa.PrimaryKeyConstraint("transfer_id", "position"),
    )
    op.create_table(
        f"signatures{MARK}",
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("psbt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], [parent]),
        sa.PrimaryKeyConstraint("transfer_id", "position"),
    )
    op.create_table(
        f"held_coins{MARK}",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("txid", sa.Text(), nullable=False),
        sa.Column("vout", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], [parent]),
        sa.PrimaryKeyConstraint("network", "txid", "vout"),
    )
    op.create_table(
        f"held_nonces{MARK}",
        sa.Column("chain_id", sa.Integer(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Integer(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["transfer_id"], [parent]),
        sa.PrimaryKeyConstraint("chain_id", "sender", "nonce"),
    )
    op.create_table(
        f"deposits{MARK}",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("txid", sa.Text(), nullable=True),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("block_time", sa.Integer(), nullable=False),
        sa.Column("block_hash", sa.Text(), nullable=True),
        sa.Column("log_index", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False, server_default="unexplained"),
        sa.Column("token_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False, server_default="seen"),
        sa.CheckConstraint("state IN ('seen', 'confirmed', 'reversed')", name="ck_deposits_state"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("account_id", "position"),
    )
