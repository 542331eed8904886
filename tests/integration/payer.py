"""Processes that make one transfer each and kill themselves where they are told.

Reads one JSON command per line; forks a process for it (so that the imports are paid once), which does what any
program does at start: recover what was left unfinished, then ask for its transfer by its key. When the process is gone
one JSON line says how: ``{"signal": 9 or 0, "record": {...} or null, "error": text or null}``. A command with
``kill_after`` (seconds) has its process killed from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import web3  # noqa: F401 - paid once, not in every fork

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.network import Network
from bursar.keys.mnemonic import Mnemonic
from bursar.nodes.bitcoind import BitcoindBackend
from bursar.nodes.ethrpc import EthRpcBackend
from bursar.policy.policy import RulePolicy
from bursar.wallet.records import TransferState
from bursar.wallet.transfer import FeeChoice, PaymentOrder, Transfer
from bursar.wallet.wallet import Wallet

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
POLICY = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'


class WitnessedSigner:
    """Writes down, on the disk, every coin or nonce it signs for and what it signed, before it answers."""

    def __init__(self, log: Path, stop: str) -> None:
        self._signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))
        self._log = log
        self._stop = stop

    @property
    def info(self) -> Any:
        return self._signer.info

    def xpub(self, path: Any) -> Any:
        return self._signer.xpub(path)

    def close(self) -> None:
        self._signer.close()

    def sign_psbt(self, psbt: Any) -> Any:
        for item in psbt.tx.inputs:
            self._witness(str(item.outpoint), str(psbt.tx.txid))
        answer = self._signer.sign_psbt(psbt)
        self._die("signer.signed")
        return answer

    def sign_transaction(self, path: Any, tx: Any) -> Any:
        self._witness(f"{path} {tx.nonce}", tx.digest().hex())
        answer = self._signer.sign_transaction(path, tx)
        self._die("signer.signed")
        return answer

    def _witness(self, subject: str, what: str) -> None:
        with self._log.open("a") as file:
            file.write(f"{subject}\t{what}\n")
            file.flush()
            os.fsync(file.fileno())

    def _die(self, step: str) -> None:
        if step == self._stop:
            os.kill(os.getpid(), signal.SIGKILL)


def pay(told: dict[str, Any]) -> Any:
    def die(step: str) -> None:
        if step == told["stop"]:
            os.kill(os.getpid(), signal.SIGKILL)

    backend: Any
    if told["chain"] == "bitcoin":
        backend = BitcoindBackend(told["bitcoin_url"], network=Network.REGTEST, cookie=Path(told["cookie"]))
    else:
        backend = EthRpcBackend(told["ethereum_url"], chain_id=told["chain_id"])
    signer = WitnessedSigner(Path(told["log"]), told["stop"])
    policy = RulePolicy.from_toml(POLICY)
    with Wallet.open(Path(told["store"]), on_step=die) as wallet:
        wallet.recover(backend)
        if told["chain"] == "bitcoin":
            wallet.sync("bitcoin", backend)
        if told["bump"]:
            fee = FeeChoice(speed="fast")
            plan = wallet.bump(told["bump"], backend, fee=fee, idempotency_key=told["key"])
        else:
            asset = "BTC" if told["chain"] == "bitcoin" else "ETH"
            order = PaymentOrder(told["to"], told["amount"], asset)
            wanted = Transfer(account=told["chain"], payments=(order,), idempotency_key=told["key"])
            plan = wallet.plan(wanted, backend)
        if wallet.transfer(plan.id).state in (TransferState.PLANNED, TransferState.APPROVED, TransferState.SIGNED):
            signed = wallet.sign(wallet.approve(plan, policy), signer=signer, policy=policy)
            wallet.send(signed, backend)
        record = wallet.transfer(plan.id)
    backend.close()
    return record.to_json()


def child(told: dict[str, Any], result: Path) -> None:
    """The forked process: never returns into the server's loop."""
    status = 1
    try:
        result.write_text(json.dumps({"record": pay(told), "error": None}))
        status = 0
    except BaseException:  # noqa: BLE001 - told to the test
        result.write_text(json.dumps({"record": None, "error": traceback.format_exc()}))
    finally:
        os._exit(status)


def warm_up() -> None:
    """What every fork needs once: word lists, the store's machinery, the policy's."""
    WitnessedSigner(Path(os.devnull), "").close()
    RulePolicy.from_toml(POLICY)
    with tempfile.TemporaryDirectory() as folder, Wallet.open(Path(folder) / "wallet.db", create=True) as wallet:
        wallet.transfers()


def main() -> None:
    warm_up()
    for number, line in enumerate(sys.stdin):
        told = json.loads(line)
        result = Path(told["log"]).with_name(f"result-{os.getpid()}-{number}.json")
        process = os.fork()
        if process == 0:
            child(told, result)
        if told["kill_after"] is not None:
            time.sleep(told["kill_after"])
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        answer = {"record": None, "error": None} if killed else json.loads(result.read_text())
        sys.stdout.write(json.dumps({"signal": killed, **answer}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
