"""The store: creation, permissions, damage, versions, locking, migrations."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from bursar.errors import ConflictError, CorruptStoreError, StoreBusyError, StoreError
from bursar.wallet.store.engine import Store
from bursar.wallet.store.migrate import known_versions
from bursar.wallet.store.schema import SCHEMA_VERSION, metadata
from bursar.wallet.wallet import Wallet


@pytest.fixture
def path(tmp_path: Path, fakes: Any) -> Path:
    """A closed store with an account in it."""
    place = tmp_path / "wallet.db"
    with Wallet.open(place, create=True) as wallet:
        wallet.add_account("btc", fakes.bitcoin_account(), signer="x")
        wallet.add_account("eth", fakes.ethereum_account(), signer="x")
    return place


def test_a_new_store_is_private_durable_and_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["wallet.db"]
    with closing(Store.open(path)) as store, store.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
        for beside in path.parent.iterdir():
            assert beside.stat().st_mode & 0o777 == 0o600


def test_loose_permissions_are_tightened(path: Path) -> None:
    path.chmod(0o644)
    Wallet.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_absent_store_is_an_error_unless_it_shall_be_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Wallet.open(tmp_path / "none.db")
    assert caught.value.code == "store.absent"
    with pytest.raises(StoreError):
        Wallet.open(tmp_path / "no" / "folder.db", create=True)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        Wallet.open(tmp_path / "a.db", create=True).close()


def test_a_closed_wallet_says_so(path: Path) -> None:
    wallet = Wallet.open(path)
    wallet.close()
    wallet.close()
    with pytest.raises(StoreError, match="closed"):
        wallet.accounts()


def _damages() -> dict[str, Any]:
    def cut(share: float) -> Any:
        return lambda data: data[: int(len(data) * share)]

    def scribble(offset: float) -> Any:
        def act(data: bytes) -> bytes:
            at = int(len(data) * offset) // 4096 * 4096
            return data[:at] + b"\xa5" * 4096 + data[at + 4096 :]

        return act

    return {
        "empty": lambda data: b"",
        "text": lambda data: b"not a database at all, only words " * 40,
        "header": lambda data: b"SQLite format 4\0" + data[16:],
        "other program": lambda data: data[:68] + b"\0\0\0\0" + data[72:],
        "99 bytes": lambda data: data[:99],
        **{f"cut at {share}": cut(share) for share in (0.01, 0.1, 0.5, 0.9, 0.999)},
        **{f"page at {offset}": scribble(offset) for offset in (0.1, 0.3, 0.5, 0.7)},
    }


@pytest.mark.parametrize("damage", _damages())
def test_a_damaged_store_is_refused_and_left_alone(path: Path, damage: str) -> None:
    data = _damages()[damage](path.read_bytes())
    path.write_bytes(data)
    for create in (False, True):
        with pytest.raises(CorruptStoreError):
            Wallet.open(path, create=create)
    assert path.read_bytes() == data


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "other.db"
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("CREATE TABLE x (y)")
        connection.commit()
    with pytest.raises(CorruptStoreError, match="another program"):
        Wallet.open(place)


def test_a_newer_schema_is_refused_clearly(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer") as caught:
        Wallet.open(path)
    assert caught.value.code == "store.newer"
    assert path.read_bytes() == before


def test_a_forged_journal_tail_is_noticed_at_opening(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER journal_no_delete")
        connection.execute("DELETE FROM journal WHERE sequence = (SELECT max(sequence) FROM journal)")
        connection.commit()
    with pytest.raises(CorruptStoreError, match="journal"):
        Wallet.open(path)


def test_the_migrations_make_the_tables_of_the_schema() -> None:
    assert known_versions()[0] == SCHEMA_VERSION
    from bursar.wallet.store.migrate import upgrade

    engine = create_engine("sqlite://")
    try:
        upgrade(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
    finally:
        engine.dispose()


def test_an_older_store_is_brought_up_to_date(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bursar.wallet.store import engine, migrate

    scripts = tmp_path_factory.mktemp("later") / "migrations"
    shutil.copytree(Path(migrate.__file__).with_name("migrations"), scripts)
    (scripts / "versions" / "v0005_later.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        'revision = "0005"\ndown_revision = "0004"\nbranch_labels = None\ndepends_on = None\n\n\n'
        'def upgrade() -> None:\n    op.add_column("meta", sa.Column("note", sa.Text()))\n'
    )

    def later() -> Any:
        config = migrate.Config()
        config.set_main_option("script_location", str(scripts))
        return config

    monkeypatch.setattr(migrate, "_config", later)
    monkeypatch.setattr(engine, "SCHEMA_VERSION", "0005")
    for _ in range(2):
        with Wallet.open(path) as wallet:
            assert [one.name for one in wallet.accounts()] == ["btc", "eth"]
            wallet.journal.verify()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0005",)
        assert "note" in [row[1] for row in connection.execute("PRAGMA table_info(meta)")]


def test_a_store_copied_with_its_log_is_whole(path: Path, tmp_path: Path) -> None:
    """What a crash leaves: the file and its write-ahead log, without the shared memory."""
    twin = tmp_path / "twin"
    twin.mkdir()
    with Wallet.open(path) as wallet:
        wallet.new_address("btc")
        for name in ("wallet.db", "wallet.db-wal"):
            shutil.copy(path.with_name(name), twin / name)
    with Wallet.open(twin / "wallet.db") as wallet:
        assert len(wallet.addresses("btc")) == 1
        wallet.journal.verify()


def test_a_writer_that_waits_too_long_says_busy(path: Path) -> None:
    with closing(Store.open(path)) as first, closing(Store.open(path, busy_timeout=0.1)) as second:
        with first.write() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
            with pytest.raises(StoreBusyError) as caught, second.write():
                pass
            assert caught.value.retryable
            with second.read() as reader:
                assert reader.exec_driver_sql("SELECT count(*) FROM meta").scalar() == 0
        with second.write() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM meta").scalar() == 1


def test_a_failed_write_leaves_nothing(path: Path) -> None:
    def write_and_fail(store: Store) -> None:
        with store.write() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
            raise KeyError

    def write_twice(store: Store) -> None:
        with store.write() as connection:
            connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")
            connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'c')")

    with closing(Store.open(path)) as store:
        with pytest.raises(KeyError):
            write_and_fail(store)
        with pytest.raises(ConflictError):
            write_twice(store)
        with store.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM meta").scalar() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET kind = 'x'",
        "DELETE FROM journal",
        "UPDATE transfers SET raw = x'00' WHERE raw IS NOT NULL",
        "UPDATE transfers SET plan = '{}'",
    ],
)
def test_the_database_itself_refuses_to_rewrite_the_past(funded: Any, policy: Any, signer: Any, statement: str) -> None:
    from bursar.wallet import PaymentOrder, Transfer

    wallet = funded.wallet
    order = PaymentOrder("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", 400_000, "BTC")
    plan = wallet.plan(Transfer(account="btc", payments=(order,)), funded.node)
    wallet.sign(wallet.approve(plan, policy), signer=signer)
    with pytest.raises(StoreError), wallet._store.write() as connection:
        connection.exec_driver_sql(statement)


def test_two_threads_may_create_the_same_store(tmp_path: Path) -> None:
    place = tmp_path / "wallet.db"
    failures: list[BaseException] = []

    def make() -> None:
        try:
            Wallet.open(place, create=True).close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith(".")] == []


def test_importing_the_wallets_values_costs_no_database() -> None:
    program = (
        "import sys, bursar.wallet, bursar.wallet.transfer, bursar.wallet.records\n"
        "heavy = {'sqlalchemy', 'alembic', 'web3', 'btclib_secp256k1', 'coincurve'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_opening_an_up_to_date_store_needs_no_migration_tool(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from bursar.wallet.wallet import Wallet\n"
        "Wallet.open(Path(sys.argv[1])).close()\n"
        "sys.exit('alembic was imported' if 'alembic' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
