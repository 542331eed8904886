"""The sandbox as a process of its own, started in the background and waited for."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bursar.errors import ChainUnavailableError
from bursar.nodes.sandbox import Sandbox, SandboxState, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bursar.cli.session import Session

Engine = Literal["auto", "py-evm", "anvil"]
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Servers:
    """Which servers besides the nodes answer for the Bitcoin chain."""

    electrum: bool = False
    esplora: bool = False


def serve(session: Session, *, engine: Engine, servers: Servers, ready: Callable[[SandboxState], None]) -> None:
    """Run the chains in this process until somebody stops them: Ctrl-C, SIGTERM or ``sandbox down``."""
    _make_folder(session)
    with ExitStack() as stack:
        with session.output.progress("starting the chains"):
            box = stack.enter_context(
                Sandbox(session.home.sandbox, ethereum=engine, electrum=servers.electrum, esplora=servers.esplora)
            )
            _ = box.token  # deployed before anybody is told that the chains are ready
        ready(box.state)
        box.wait()


def spawn(session: Session, *, engine: Engine, servers: Servers) -> SandboxState:
    """Start the sandbox in the background and wait until it is ready."""
    _make_folder(session)
    folder = session.home.sandbox
    log = folder / "sandbox.log"
    command = [sys.executable, "-m", "bursar.cli", "sandbox", "up", "--foreground", "--engine", engine]
    command += ["--home", str(session.home.folder)]
    command += ["--electrum"] * servers.electrum + ["--esplora"] * servers.esplora
    with log.open("wb") as file:
        child = subprocess.Popen(  # noqa: S603 (our own program)
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        found = running(folder)
        if found is not None and found.token is not None and found.pid == child.pid:
            return found
        if child.poll() is not None:
            raise ChainUnavailableError(f"the sandbox did not start: {_last_words(log)}")
        time.sleep(0.1)
    child.terminate()
    raise ChainUnavailableError(f"the sandbox did not start within {_START_SECONDS} s: see {log}")


def _make_folder(session: Session) -> None:
    for folder in (session.home.folder, session.home.sandbox):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    spoken = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (spoken or lines or [f"see {log}"])[-1]
