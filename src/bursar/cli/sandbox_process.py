"""The sandbox as a process of its own: started in the background, found by a file, stopped by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from bursar.cli.compose import sandbox_running
from bursar.errors import ChainUnavailableError, ConflictError

if TYPE_CHECKING:
    from pathlib import Path

    from bursar.cli.session import Session
    from bursar.nodes.sandbox import Sandbox

_START_SECONDS = 60
_STOP_SECONDS = 20


def alive(folder: Path) -> dict[str, Any] | None:
    """What the running sandbox says about itself; ``None`` when its process is gone."""
    found = sandbox_running(folder)
    if found is None:
        return None
    try:
        os.kill(found["pid"], 0)
    except ProcessLookupError:
        return None
    except PermissionError as error:
        raise ConflictError(f"the sandbox in {folder} belongs to another user") from error
    return found


def serve(session: Session, folder: Path, *, ethereum: str, ready: Any) -> None:
    """Run the chains in this process until it is told to stop, by Ctrl-C or SIGTERM."""
    from bursar.nodes.sandbox import Sandbox

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder / "running.json"
    with session.output.progress("starting the chains"):
        box = Sandbox(folder, ethereum=ethereum)
        box.start()
    try:
        document = describe(box)
        _write(note, document)
        ready(document)
        threading.Event().wait()
    finally:
        note.unlink(missing_ok=True)
        box.close()


def describe(box: Sandbox) -> dict[str, Any]:
    """What other programs need to know; the cookie's path is relative to the sandbox's folder where it lies in it."""
    if box.token is None:
        box.deploy_token()
    token = box.token
    return {
        "pid": os.getpid(),
        "bitcoin": {"network": "regtest", "url": box.bitcoin_url, "cookie": str(box.bitcoin_cookie)},
        "ethereum": {"chain_id": box.ethereum_chain_id, "url": box.ethereum_url},
        "token": {"contract": token.contract, "symbol": token.symbol, "decimals": token.decimals},
    }


def spawn(session: Session, folder: Path, *, ethereum: str) -> dict[str, Any]:
    """Start the sandbox in the background and wait until it answers."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / "sandbox.log"
    command = [sys.executable, "-m", "bursar.cli", "sandbox", "up", "--foreground", "--engine", ethereum]
    command += ["--home", str(session.home.folder)]
    with log.open("wb") as file:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)  # noqa: S603
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = sandbox_running(folder)
        if found is not None and found.get("pid") == child.pid:
            return found
        if child.poll() is not None:
            raise ChainUnavailableError(f"the sandbox did not start: {_last_words(log)}")
        time.sleep(0.05)
    child.terminate()
    raise ChainUnavailableError(f"the sandbox did not start within {_START_SECONDS} s: see {log}")


def stop(folder: Path) -> bool:
    """Stop the running sandbox and wait for it; whether there was one."""
    found = alive(folder)
    if found is None:
        (folder / "running.json").unlink(missing_ok=True)
        return False
    os.kill(found["pid"], signal.SIGTERM)
    until = time.monotonic() + _STOP_SECONDS
    while time.monotonic() < until:
        if alive(folder) is None:
            return True
        time.sleep(0.05)
    raise ChainUnavailableError(f"the sandbox (process {found['pid']}) does not stop")


def _write(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all: readers poll for this file."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(document, indent=2), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(path)


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    spoken = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return spoken[-1] if spoken else (lines[-1] if lines else f"see {log}")
