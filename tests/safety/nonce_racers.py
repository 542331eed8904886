"""Processes that plan, approve and sign at once over one store; the first of them is killed between sign and store.

``python nonce_racers.py CONFTEST STORE LOG RACERS EACH``: every signature is written to LOG, on the disk, before it is
given: one line with the nonce, the digest, and the process.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bursar.policy.policy import RulePolicy
from bursar.wallet.transfer import PaymentOrder, Transfer
from bursar.wallet.wallet import Wallet

PAYEE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
ANYTHING = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'


def borrowed(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("wallets_of_racers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def race(wallets: Any, store: Path, log: Path, racer: int, each: int) -> None:
    node, inner = wallets.FakeEthereum(), wallets.CountingSigner()
    node.balances[str(wallets.ethereum_account().address(0))] = 10 * 10**18

    class Witness:
        info = inner.info
        xpub = inner.xpub
        close = inner.close

        def sign_transaction(self, path: Any, tx: Any) -> Any:
            with log.open("a") as file:
                file.write(f"{tx.nonce} {tx.digest().hex()} {racer}\n")
                file.flush()
                os.fsync(file.fileno())
            return inner.sign_transaction(path, tx)

    def die(step: str) -> None:
        if racer == 0 and step == "sign.answered":
            os.kill(os.getpid(), signal.SIGKILL)

    policy = RulePolicy.from_toml(ANYTHING)
    with Wallet.open(store, on_step=die, busy_timeout=30.0) as wallet:
        for number in range(each):
            order = PaymentOrder(PAYEE, 1000 + number, "ETH")
            plan = wallet.plan(Transfer(account="eth", payments=(order,), idempotency_key=f"{racer} {number}"), node)
            wallet.sign(wallet.approve(plan, policy), signer=Witness())


def main() -> None:
    conftest, store, log = map(Path, sys.argv[1:4])
    racers, each = map(int, sys.argv[4:6])
    wallets = borrowed(conftest)
    children = []
    for racer in range(racers):
        process = os.fork()
        if process == 0:
            status = 1
            try:
                race(wallets, store, log, racer, each)
                status = 0
            finally:
                os._exit(status)
        children.append(process)
    ends = [os.waitpid(process, 0)[1] for process in children]
    killed = [os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL for status in ends]
    assert killed == [True] + [False] * (racers - 1), ends
    assert all(os.WEXITSTATUS(status) == 0 for status in ends[1:]), ends


if __name__ == "__main__":
    main()
