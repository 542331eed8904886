"""A store of schema 0001 with data is brought to the newest schema and keeps everything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command
from sqlalchemy import create_engine

from bursar.bitcoin.units import FeeRate
from bursar.errors import StoreError
from bursar.wallet import FeeChoice, PaymentOrder, Transfer, TransferState
from bursar.wallet.store import migrate
from bursar.wallet.store.schema import SCHEMA_VERSION
from bursar.wallet.wallet import Wallet

PAYEE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
BACK = (
    "DROP TABLE transfer_blobs",
    "DROP TABLE blobs",
    "DROP TABLE blocks_seen",
    "DROP INDEX ix_deposits_height",
    "ALTER TABLE accounts DROP COLUMN deposits_height",
    "ALTER TABLE spends DROP COLUMN kind",
    "ALTER TABLE spends DROP COLUMN token_id",
    "ALTER TABLE deposits RENAME TO newer",
    "CREATE TABLE deposits (account_id INTEGER NOT NULL REFERENCES accounts (id), position INTEGER NOT NULL, "
    "contract TEXT NOT NULL, address TEXT NOT NULL, sender TEXT, txid TEXT, amount TEXT NOT NULL, "
    "height INTEGER NOT NULL, block_time INTEGER NOT NULL, PRIMARY KEY (account_id, position))",
    "INSERT INTO deposits SELECT account_id, position, contract, address, sender, txid, amount, height, block_time "
    "FROM newer",
    "DROP TABLE newer",
    "DROP TABLE signatures",
    "DROP TABLE labels",
    "DROP INDEX ix_addresses_script",
    "DROP INDEX ix_transactions_state",
    "ALTER TABLE accounts DROP COLUMN gap_limit",
    "ALTER TABLE accounts DROP COLUMN scanned",
    "UPDATE alembic_version SET version_num = '0001'",
)


def shape(connection: sqlite3.Connection) -> dict[str, Any]:
    """Columns of every table, and all indexes and triggers."""
    names = connection.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2").fetchall()
    tables = [name for kind, name, _ in names if kind == "table"]
    columns = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in tables}
    return {"names": names, "columns": columns}


@pytest.fixture
def old(tmp_path: Path, funded: SimpleNamespace, rich: SimpleNamespace, policy: Any, signer: Any) -> SimpleNamespace:
    """A store as 0001 had it: accounts of both chains, transfers in every state, issued addresses, a token."""
    wallet, node = funded.wallet, funded.node
    plans = {}
    for name, amount in (("sent", 400_000), ("approved", 300_000), ("planned", 200_000)):
        order = PaymentOrder(PAYEE, amount, "BTC")
        plans[name] = wallet.plan(Transfer(account="btc", payments=(order,), idempotency_key=name), node)
    wallet.send(wallet.sign(wallet.approve(plans["sent"], policy), signer=signer), node)
    wallet.approve(plans["approved"], policy)
    wallet.new_address("btc")
    before = {
        "accounts": [(one.name, one.account, one.signer, one.tip) for one in wallet.accounts()],
        "addresses": wallet.addresses("btc") + wallet.addresses("eth"),
        "balances": wallet.balance("btc") + wallet.balance("eth"),
        "history": wallet.history(),
        "transfers": wallet.transfers(),
        "tokens": wallet.tokens(),
        "head": wallet.journal.head(),
    }
    wallet.close()
    path = tmp_path / "wallet.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in BACK:
            connection.execute(statement)
        connection.commit()
        found = shape(connection)
    engine = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    config = migrate._config()
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with closing(sqlite3.connect(tmp_path / "fresh.db")) as connection:
        assert shape(connection) == found  # what the statements above leave is the first schema, exactly
    return SimpleNamespace(path=path, before=before, plans=plans, node=node)


def told(wallet: Wallet) -> dict[str, Any]:
    return {
        "accounts": [(one.name, one.account, one.signer, one.tip) for one in wallet.accounts()],
        "addresses": wallet.addresses("btc") + wallet.addresses("eth"),
        "balances": wallet.balance("btc") + wallet.balance("eth"),
        "history": wallet.history(),
        "transfers": wallet.transfers(),
        "tokens": wallet.tokens(),
        "head": wallet.journal.head(),
    }


def fail_once(path: Path) -> None:
    """A migration that finds something in its way leaves the old store as it was."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE labels (x TEXT)")  # in the migration's way
        connection.commit()
    with pytest.raises(StoreError):
        Wallet.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert "gap_limit" not in [row[1] for row in connection.execute("PRAGMA table_info(accounts)")]
        connection.execute("DROP TABLE labels")
        connection.commit()


def test_everything_is_kept(old: SimpleNamespace, policy: Any, signer: Any) -> None:
    fail_once(old.path)
    with Wallet.open(old.path) as wallet:
        assert told(wallet) == old.before
        assert wallet.journal.verify(anchor=old.before["head"]) == old.before["head"]
        assert [(one.signers, one.gap_limit, one.scanning) for one in wallet.accounts()] == [(("test",), 20, False)] * 2
        # The same idempotency key still means the same plan, and old plans go on where they stood.
        order = PaymentOrder(PAYEE, 300_000, "BTC")
        again = wallet.plan(Transfer(account="btc", payments=(order,), idempotency_key="approved"), old.node)
        assert again == old.plans["approved"]
        signed = wallet.sign(wallet.approval_of(again.id), signer=signer)
        wallet.send(signed, old.node)
        bump = wallet.bump(old.plans["sent"].id, old.node, fee=FeeChoice(rate=FeeRate(50_000)))
        wallet.send(wallet.sign(wallet.approve(bump, policy), signer=signer), old.node)
        old.node.mine()
        wallet.sync("btc", old.node)
        states = {one.id: one.state for one in wallet.transfers("btc")}
        assert states[again.id] is states[bump.id] is TransferState.CONFIRMED
        wallet.freeze("btc", wallet.coins("btc")[0].outpoint)
        wallet.journal.verify(anchor=old.before["head"])
    with closing(sqlite3.connect(old.path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert not [row for row in connection.execute("SELECT sql FROM sqlite_master") if "_0003" in str(row[0])]
        with pytest.raises(sqlite3.IntegrityError, match="never replaced"):
            connection.execute("UPDATE transfers SET raw = x'00' WHERE raw IS NOT NULL")
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            connection.execute("UPDATE transfers SET state = 'lost'")
        connection.execute("UPDATE transfers SET state = 'superseded' WHERE state = 'planned'")
