"""Both chains behind one door: starting, finding, stopping, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.bitcoin.network import Network
from bursar.errors import ChainUnavailableError, CorruptStoreError, InvalidInputError, StoreBusyError
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.sandbox import Sandbox, SandboxState, read, running, stop
from bursar.nodes.sandbox import state as notes

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SERVE = """
import pathlib, sys
from bursar.nodes.sandbox import Sandbox
with Sandbox(pathlib.Path(sys.argv[1]), ethereum="none") as sandbox:
    print(sandbox.bitcoin_url, flush=True)
    sandbox.wait()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that serves from ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_bitcoin_alone(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "sandbox", ethereum="none") as sandbox:
        assert sandbox.start() is sandbox
        backend = BitcoindBackend(sandbox.bitcoin_url, network=Network.REGTEST, cookie=sandbox.bitcoin_cookie)
        assert len(sandbox.mine(101)) == 101
        txid = sandbox.fund_bitcoin(ADDRESS, 5_000)
        assert backend.check_network().height == 102
        assert len(txid) == 64
        backend.close()
        for act in (lambda: sandbox.ethereum, lambda: sandbox.ethereum_url, lambda: sandbox.token):
            with pytest.raises(InvalidInputError, match="no ethereum"):
                act()


def test_without_a_folder() -> None:
    with Sandbox(ethereum="none") as sandbox:
        cookie = sandbox.bitcoin_cookie
        assert cookie.exists()
        assert sandbox.state.pid == os.getpid()
    assert not cookie.exists()


def test_both_chains_come_back(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.ethereum_chain_id == 31337
        sandbox.mine(5)
        token = sandbox.token
        sandbox.fund_ether("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 10**18)
        sandbox.fund_token("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 7)
        height = sandbox.mine_ethereum(2)
        noted = read(tmp_path)
        assert noted == sandbox.state
        assert noted is not None
        assert noted.token == (token.contract, token.symbol, token.decimals)
        tip = sandbox.bitcoin.chain.tip_hash
    with Sandbox(tmp_path) as sandbox:
        assert sandbox.bitcoin.chain.tip_hash == tip
        assert sandbox.token.contract == token.contract
        assert sandbox.mine_ethereum(0) >= height


def test_note_in_the_folder(tmp_path: Path) -> None:
    assert running(tmp_path) is None
    assert read(tmp_path) is None
    assert running(tmp_path / "nothing") is None
    with Sandbox(tmp_path, ethereum="none") as sandbox:
        note = tmp_path / notes.FILE
        assert note.stat().st_mode & 0o777 == 0o600
        data = json.loads(note.read_text())
        assert (data["version"], data["pid"], data["bitcoin_url"]) == (1, os.getpid(), sandbox.bitcoin_url)
        assert Path(data["bitcoin_cookie"]).read_text().startswith("__cookie__:")
        assert running(tmp_path) == sandbox.state == SandboxState.from_json(data)
    assert running(tmp_path) is None
    assert not note.exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "5", "null", "{}", '{"version":2}', '{"version":1,"pid":1}', "[" * 50_000,
     '{"version":1,"pid":"1","started":1,"bitcoin_url":"x","bitcoin_cookie":"y"}',
     '{"version":1,"pid":1,"started":1,"bitcoin_url":5,"bitcoin_cookie":"y"}',
     '{"version":1,"pid":1,"started":1,"bitcoin_url":"x","bitcoin_cookie":"y","token":[1]}',
     '{"version":1,"pid":1,"started":1,"bitcoin_url":"x","bitcoin_cookie":"y","more":1}'],
)  # fmt: skip
def test_damaged_note(tmp_path: Path, content: str) -> None:
    (tmp_path / notes.FILE).write_text(content)
    with pytest.raises(CorruptStoreError, match="damaged"):
        read(tmp_path)
    assert running(tmp_path) is None
    with Sandbox(tmp_path, ethereum="none"):
        assert read(tmp_path) is not None


def test_one_process_a_folder(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(StoreBusyError, match="in use"):
        Sandbox(tmp_path, ethereum="none").start()
    state = running(tmp_path)
    assert state is not None
    assert state.pid == other.pid


def test_stop_from_outside(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    assert stop(tmp_path) is True
    assert other.wait(timeout=10) == 0
    assert stop(tmp_path) is False
    assert running(tmp_path) is None


def test_killed_sandbox_leaves_nothing_in_the_way(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert read(tmp_path) is not None  # its last words
    assert running(tmp_path) is None
    assert stop(tmp_path) is False
    with Sandbox(tmp_path, ethereum="none") as sandbox:
        assert running(tmp_path) == sandbox.state


def test_stop_of_a_sandbox_that_does_not_end(tmp_path: Path) -> None:
    mine = f"process {os.getpid()}"  # nobody waits on it here
    with Sandbox(tmp_path, ethereum="none"), pytest.raises(ChainUnavailableError, match=mine):
        stop(tmp_path, timeout=0.3)


def test_wait(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, ethereum="none")
    assert sandbox.wait(1) is True  # nothing to wait for
    with sandbox:
        assert sandbox.wait(0.05) is False
        threading.Timer(0.1, sandbox.request_stop).start()
        started = time.monotonic()
        assert sandbox.wait(10) is True
        assert time.monotonic() - started < 5
    with sandbox:  # and again
        assert sandbox.wait(0.05) is False


def test_failed_start_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bitcoin").mkdir()
    (tmp_path / "bitcoin" / "blocks.log").write_bytes(b"somebody else's file")
    with pytest.raises(CorruptStoreError):
        Sandbox(tmp_path, ethereum="none").start()
    assert running(tmp_path) is None
    (tmp_path / "bitcoin" / "blocks.log").unlink()
    with Sandbox(tmp_path, ethereum="none") as sandbox:
        monkeypatch.setattr(sandbox._bitcoin, "close", lambda: (_ for _ in ()).throw(OSError("disk gone")))
        with pytest.raises(OSError, match="disk gone"):
            sandbox.close()
        assert running(tmp_path) is None  # the lock went all the same
        monkeypatch.undo()
        sandbox._bitcoin.close()
    sandbox.close()
