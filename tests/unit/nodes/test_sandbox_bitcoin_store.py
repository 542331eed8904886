"""The folder of a regtest chain: what survives a restart, a kill and a scratch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import CorruptStoreError, StoreBusyError
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET
from bursar.nodes.sandbox.bitcoin.store import MAGIC, RecordLog, Store, take_lock


def spend(chain: RegtestChain, coin: OutPoint, fee: int = 1000) -> OutPoint:
    found = chain.coin(coin)
    assert found is not None
    tx = Transaction(2, [TxIn(coin, b"", 0xFFFFFFFD, (b"\x51",))], [TxOut(Sats(found.value - fee), FAUCET)])
    return OutPoint(chain.submit(tx), 0)


def read(path: Path) -> list[tuple[int, bytes]]:
    log = RecordLog(path)
    try:
        return list(log.read())
    finally:
        log.close()


def fill(chain: RegtestChain) -> list[OutPoint]:
    """Blocks, a stale branch, an invalid branch, and a waiting family."""
    chain.mine(105, FAUCET)
    stale = chain.mine(3, FAUCET)
    chain.invalidate(bytes.fromhex(stale[1])[::-1])
    chain.mine(4, FAUCET)
    coins = list(chain.index.by_script[FAUCET])[:3]
    first = spend(chain, coins[0])
    return [first, spend(chain, first), spend(chain, coins[1])]


def picture(chain: RegtestChain) -> tuple[object, ...]:
    waiting = [(entry.txid, entry.time, entry.fee, set(entry.parents)) for entry in chain.mempool]
    return chain.tip_hash, dict(chain.index.coins), waiting, set(chain.known), chain.height


def test_restart_finds_everything(tmp_path: Path) -> None:
    with RegtestChain(tmp_path / "chain") as chain:
        fill(chain)
        before = picture(chain)
    with RegtestChain(tmp_path / "chain") as chain:
        assert picture(chain) == before
        chain.mine(1, FAUCET)
        assert not chain.mempool.entries
        after = picture(chain)
    with RegtestChain(tmp_path / "chain") as chain:
        assert picture(chain) == after


def test_restart_without_the_kernel_s_cache(tmp_path: Path) -> None:
    with RegtestChain(tmp_path) as chain:
        fill(chain)
        before = picture(chain)
    for path in (tmp_path / "kernel").rglob("*"):
        if path.is_file():
            path.write_bytes(b"not a database")
    with RegtestChain(tmp_path) as chain:
        assert picture(chain) == before


def test_replaced_transaction_stays_replaced(tmp_path: Path) -> None:
    with RegtestChain(tmp_path) as chain:
        chain.mine(102, FAUCET)
        coin = next(iter(chain.index.by_script[FAUCET]))
        spend(chain, coin)
        second = spend(chain, coin, fee=9000)
    with RegtestChain(tmp_path) as chain:
        assert list(chain.mempool.entries) == [second.txid]


def test_invalidated_block_stays_invalid(tmp_path: Path) -> None:
    with RegtestChain(tmp_path) as chain:
        hashes = chain.mine(5, FAUCET)
        chain.invalidate(bytes.fromhex(hashes[2])[::-1])
    with RegtestChain(tmp_path) as chain:
        assert chain.height == 2
        chain.reconsider(bytes.fromhex(hashes[2])[::-1])
        assert chain.tip_hash == hashes[4]


def test_one_process_a_folder(tmp_path: Path) -> None:
    with RegtestChain(tmp_path), pytest.raises(StoreBusyError, match="in use"):
        RegtestChain(tmp_path)
    RegtestChain(tmp_path).close()


def test_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    with RegtestChain(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        for name in ("lock", "blocks.log", "mempool.log"):
            assert (folder / name).stat().st_mode & 0o777 == 0o600


KILLED = """
import sys, pathlib
from bursar.nodes.sandbox.bitcoin.chain import RegtestChain
from bursar.nodes.sandbox.bitcoin.node import FAUCET
chain = RegtestChain(pathlib.Path(sys.argv[1]))
while True:
    print(chain.mine(1, FAUCET)[0], flush=True)
"""


def test_killed_while_mining(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(60)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.stdout.read().split()
    process.stdout.close()
    process.wait()
    whole = [text for text in told if len(text) == 64]
    with RegtestChain(tmp_path) as chain:
        hashes = [connected.block.hash[::-1].hex() for connected in chain.index.chain[1:]]
        assert hashes[: len(whole)] == whole
        assert len(hashes) - len(whole) <= 1
        chain.mine(101, FAUCET)


def test_log_cut_off_anywhere_loses_the_last_record_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = RecordLog(path)
    assert list(log.read()) == []
    log.append(1, b"one")
    log.append(2, b"")
    log.append(3, b"three")
    log.close()
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        again = RecordLog(path)
        found = list(again.read())
        assert found == [(1, b"one"), (2, b""), (3, b"three")][: len(found)]
        again.append(9, b"new")
        again.close()
        assert read(path) == [*found, (9, b"new")]


@settings(max_examples=60)
@given(data=st.data())
def test_flipped_bit_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = RecordLog(path)
    list(log.read())
    records = [(7, b"some bytes"), (8, b"and more of them")]
    for record in records:
        log.append(*record)
    log.close()
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw)
    try:
        found = [body for _, body in read(path)]
    except CorruptStoreError:
        return
    assert found == [body for _, body in records][: len(found)]  # the number alone is not covered


def test_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "blocks.log").write_bytes(b"somebody's precious file")
    with pytest.raises(CorruptStoreError, match="not a sandbox log"):
        RegtestChain(tmp_path)
    assert (tmp_path / "blocks.log").read_bytes() == b"somebody's precious file"
    os.close(take_lock(tmp_path / "lock"))  # and the lock is free again


def test_damaged_list_of_invalid_blocks(tmp_path: Path) -> None:
    for content in ("{", '["zz"]', "[5]", "5"):
        (tmp_path / "invalid.json").write_text(content)
        with pytest.raises(CorruptStoreError, match="damaged"):
            RegtestChain(tmp_path)


def test_rewrite_replaces_in_one_step(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "log")
    list(log.read())
    log.append(1, b"old")
    log.rewrite([(2, b"new")])
    log.append(3, b"newer")
    log.close()
    log.close()
    assert read(tmp_path / "log") == [(2, b"new"), (3, b"newer")]
    assert (tmp_path / "log").read_bytes().startswith(MAGIC)


def test_store_closes_twice(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.close()
    store.close()
