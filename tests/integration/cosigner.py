"""Processes that add one cosigner's signatures each and kill themselves where they are told.

Reads one JSON command per line, forks a process for it and answers with how that ended:
``{"signal": 9 or 0, "progress": {...} or null, "error": text or null}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from bursar.backends.software import SoftwareSigner
from bursar.keys.mnemonic import Mnemonic
from bursar.policy.policy import RulePolicy
from bursar.wallet.wallet import Wallet

POLICY = 'version = 1\n[[rule]]\nname = "anyone"\nkind = "allow-any"\n'


def add(told: dict[str, Any]) -> Any:
    def die(step: str) -> None:
        if step == told["stop"]:
            os.kill(os.getpid(), signal.SIGKILL)

    signer = SoftwareSigner.from_mnemonic(Mnemonic.from_text(told["words"]))
    with Wallet.open(Path(told["store"]), on_step=die) as wallet:
        found = wallet.add_signatures(told["transfer"], signer=signer, policy=RulePolicy.from_toml(POLICY))
        return found.to_json()


def main() -> None:
    for line in sys.stdin:
        told = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            try:
                result = {"progress": add(told), "error": None}
            except BaseException:  # noqa: BLE001 - the parent is told whatever it was
                result = {"progress": None, "error": traceback.format_exc()}
            os.write(writer, json.dumps(result).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        found = json.loads(text) if text else {"progress": None, "error": None}
        print(json.dumps({**found, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0}), flush=True)


if __name__ == "__main__":
    main()
