"""The tables as they are at ``SCHEMA_VERSION``; amounts wider than 63 bits are decimal text."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = "0004"
APPLICATION_ID = 0x42525352  # "BRSR", in the SQLite header

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("chain", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("identity", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("signer", Text, nullable=False),
    Column("created", Integer, nullable=False),
    Column("tip_height", Integer),
    Column("tip_hash", Text),
    Column("tip_time", Integer),
    Column("genesis", Text),
    Column("seen_height", Integer),
    Column("gap_limit", Integer, nullable=False, server_default="20"),
    Column("scanned", Text),
    Column("deposits_height", Integer),
    CheckConstraint("chain IN ('bitcoin', 'ethereum')", name="ck_accounts_chain"),
)

addresses = Table(
    "addresses",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("branch", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("address", Text, nullable=False),
    Column("script", LargeBinary, nullable=False),
    Column("issued", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Index("ix_addresses_address", "address"),
    Index("ix_addresses_script", "script"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("chain_id", Integer, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
)

coins = Table(
    "coins",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("txid", Text, primary_key=True),
    Column("vout", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
    Column("script", LargeBinary, nullable=False),
    Column("height", Integer, nullable=False),
    Column("coinbase", Integer, nullable=False),
)

transactions = Table(
    "transactions",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("txid", Text, primary_key=True),
    Column("raw", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("height", Integer),
    Column("block_hash", Text),
    Column("block_time", Integer),
    Column("seen", Integer, nullable=False),
    CheckConstraint("state IN ('pending', 'confirmed', 'missing')", name="ck_transactions_state"),
    Index("ix_transactions_state", "account_id", "state", "height"),
)

holdings = Table(
    "holdings",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("address", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("amount", Text, nullable=False),
    Column("height", Integer, nullable=False),
)

deposits = Table(
    "deposits",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("sender", Text),
    Column("txid", Text),
    Column("amount", Text, nullable=False),
    Column("height", Integer, nullable=False),
    Column("block_time", Integer, nullable=False),
    Column("block_hash", Text),
    Column("log_index", Integer),
    Column("kind", Text, nullable=False, server_default="unexplained"),
    Column("token_id", Text),
    Column("state", Text, nullable=False, server_default="seen"),
    CheckConstraint("state IN ('seen', 'confirmed', 'reversed')", name="ck_deposits_state"),
    Index("ix_deposits_height", "account_id", "height"),
)

blocks_seen = Table(
    "blocks_seen",
    metadata,
    Column("account_id", Integer, ForeignKey("accounts.id"), primary_key=True),
    Column("height", Integer, primary_key=True),
    Column("hash", Text, nullable=False),
)

transfers = Table(
    "transfers",
    metadata,
    Column("position", Integer, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("account_id", Integer, ForeignKey("accounts.id"), nullable=False),
    Column("root", Text, nullable=False),
    Column("replaces", Text),
    Column("state", Text, nullable=False),
    Column("idempotency_key", Text, unique=True),
    Column("body_digest", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("plan_digest", Text, nullable=False),
    Column("approval", Text),
    Column("approved", Integer),
    Column("signing", Integer, nullable=False),
    Column("txid", Text),
    Column("raw", LargeBinary),
    Column("fee", Text, nullable=False),
    Column("height", Integer),
    Column("block_hash", Text),
    Column("block_time", Integer),
    Column("reason", Text),
    Column("created", Integer, nullable=False),
    CheckConstraint(
        "state IN ('planned', 'approved', 'signed', 'sent', 'confirmed', 'denied', 'cancelled', "
        "'replaced', 'failed', 'superseded')",
        name="ck_transfers_state",
    ),
    Index("ix_transfers_account", "account_id", "state"),
    Index("ix_transfers_root", "root"),
)

spends = Table(
    "spends",
    metadata,
    Column("transfer_id", Text, ForeignKey("transfers.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("chain", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("symbol", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("contract", Text),
    Column("payee", Text, nullable=False),
    Column("amount", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default="payment"),
    Column("token_id", Text),
    Index("ix_spends_payee", "payee"),
)

signatures = Table(
    "signatures",
    metadata,
    Column("transfer_id", Text, ForeignKey("transfers.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("signer", Text, nullable=False),
    Column("added", Integer, nullable=False),
    Column("psbt", Text, nullable=False),
)

labels = Table(
    "labels",
    metadata,
    Column("network", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("label", Text),
    Column("origin", Text),
    Column("spendable", Integer),
    Column("details", Text),
)

held_coins = Table(
    "held_coins",
    metadata,
    Column("network", Text, primary_key=True),
    Column("txid", Text, primary_key=True),
    Column("vout", Integer, primary_key=True),
    Column("root", Text, nullable=False),
    Column("transfer_id", Text, ForeignKey("transfers.id"), nullable=False),
    Index("ix_held_coins_root", "root"),
)

held_nonces = Table(
    "held_nonces",
    metadata,
    Column("chain_id", Integer, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("nonce", Integer, primary_key=True),
    Column("root", Text, nullable=False),
    Column("transfer_id", Text, ForeignKey("transfers.id"), nullable=False),
    Index("ix_held_nonces_root", "root"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

transfer_blobs = Table(
    "transfer_blobs",
    metadata,
    Column("transfer_id", Text, ForeignKey("transfers.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("hash", Text, ForeignKey("blobs.hash"), nullable=False),
    Index("ix_transfer_blobs_hash", "hash"),
)

nonce_floors = Table(
    "nonce_floors",
    metadata,
    Column("chain_id", Integer, primary_key=True),
    Column("sender", Text, primary_key=True),
    Column("floor", Integer, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("time", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

journal_head = Table(
    "journal_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("id = 1", name="ck_journal_head_single"),
)
