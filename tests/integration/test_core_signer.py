"""Bitcoin Core with ``-signer=bursar-hwi``: wallets, addresses and payments of all four types, by every kind of signer.

Runs where ``BURSAR_BITCOIND`` names a bitcoind with wallet support (28 or later), its ``bitcoin-cli`` beside it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bursar.backends.software import keystore
from bursar.crypto.kdf import Scrypt
from bursar.crypto.secret import Secret
from bursar.keys.mnemonic import Mnemonic

DAEMON = os.environ.get("BURSAR_BITCOIND")
TYPES = ("bech32", "bech32m", "p2sh-segwit", "legacy")
PASSWORD = "correct horse battery"
# The standard ports of emulators belong to whoever uses this machine: for these processes they are others.
PORTS = """
import bursar.backends.ledger.places, bursar.backends.trezor.places
bursar.backends.ledger.places.EMULATOR_PORT = {port}
bursar.backends.trezor.places.STANDARD_EMULATOR = "udp:127.0.0.1:{port}"
"""
ELSEWHERE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
ABANDON = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

pytestmark = pytest.mark.skipif(not DAEMON, reason="BURSAR_BITCOIND names no bitcoind with wallet support")


class Core:
    """A regtest node with one signer; ``call`` is its command line."""

    def __init__(self, folder: Path, signer: str) -> None:
        self._daemon = Path(DAEMON or "")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._base = ["-regtest", f"-datadir={folder}", f"-rpcport={port}"]
        self._signer = signer

    def start(self) -> None:
        options = ["-daemonwait", "-listen=0", "-fallbackfee=0.0001", f"-signer={self._signer}"]
        subprocess.run([self._daemon, *self._base, *options], check=True, capture_output=True, timeout=120)

    def stop(self) -> None:
        self.call("stop")

    def call(self, *words: str, wallet: str | None = None) -> Any:
        named = [] if wallet is None else [f"-rpcwallet={wallet}"]
        done = subprocess.run(
            [self._daemon.with_name("bitcoin-cli"), *self._base, *named, *words],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.strip()
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Callable[..., Core]]:
    """A function that starts a node whose signer is ``bursar-hwi`` with these options."""
    started: list[Core] = []

    def start(*options: str, port: int) -> Core:
        program = tmp_path / "bursar-hwi"
        program.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"os.environ['BURSAR_HOME'] = {str(tmp_path / 'home')!r}\n"
            f"{PORTS.format(port=port)}\n"
            "from bursar.cli.hwi.front import run\n"
            f"sys.exit(run([*{list(options)!r}, *sys.argv[1:]]))\n"
        )
        program.chmod(0o755)
        (tmp_path / "node").mkdir()
        started.append(Core(tmp_path / "node", str(program)))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


@contextlib.contextmanager
def software(folder: Path) -> Iterator[tuple[int, tuple[str, ...]]]:
    """A keystore with its password in a file."""
    (folder / "home" / "keystores").mkdir(parents=True)
    path = folder / "home" / "keystores" / "main.json"
    keystore.create(path, Mnemonic.from_text(ABANDON), Secret.from_text(PASSWORD), kdf=Scrypt(log_n=14))
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    yield 1, ("--password-file", str(secret), "-t", "software")


@contextlib.contextmanager
def simulated(kind: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """A simulator, its port and the options by which Core's enumeration finds it there."""
    pytest.importorskip("bursar_devices")
    from bursar_devices.humans import approve
    from bursar_devices.ledger import LedgerSimulator
    from bursar_devices.trezor import TrezorSimulator

    made: Any = LedgerSimulator if kind == "ledger" else partial(TrezorSimulator, model=kind)
    with made(human=approve()) as device:
        yield int(device.location.rpartition(":")[2]), ("--emulators", "-t", device.family)


@pytest.mark.parametrize("kind", ["software", "T1B1", "T3T1", "ledger"])
def test_core_spends_what_the_signer_holds(kind: str, core: Callable[..., Core], tmp_path: Path) -> None:
    with software(tmp_path) if kind == "software" else simulated(kind) as (port, options):
        node = core(*options, port=port)
        (signer,) = node.call("enumeratesigners")["signers"]
        assert len(signer["fingerprint"]) == 8
        node.call("-named", "createwallet", "wallet_name=hw", "disable_private_keys=true", "external_signer=true")
        home = node.call("getnewaddress", wallet="hw")
        if kind != "software":
            assert node.call("walletdisplayaddress", home, wallet="hw") == {"address": home}
        node.call("generatetoaddress", "101", home)
        for address_type in TYPES:
            to = node.call("getnewaddress", "", address_type, wallet="hw")
            sent = node.call("send", json.dumps({to: 1}), wallet="hw")
            assert sent["complete"] is True, address_type
            node.call("generatetoaddress", "1", home)
        swept = node.call("sendall", json.dumps([ELSEWHERE]), wallet="hw")
        assert swept["complete"] is True
        node.call("generatetoaddress", "1", ELSEWHERE)
        assert node.call("gettransaction", swept["txid"], wallet="hw")["confirmations"] == 1
