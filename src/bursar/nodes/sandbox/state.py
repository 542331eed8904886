"""The note a running sandbox leaves in its folder, so that other programs find it and can ask it to stop."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bursar.errors import ChainError, ChainUnavailableError, CorruptStoreError, StoreBusyError
from bursar.nodes.bitcoind_rpc import RpcClient
from bursar.nodes.sandbox.bitcoin.store import take_lock

FILE: Final = "sandbox.json"
LOCK: Final = "sandbox.lock"
VERSION: Final = 1
MAX_SIZE: Final = 65_536


@dataclass(frozen=True, slots=True)
class SandboxState:
    """Where a sandbox serves; ``started`` in Unix seconds, ``token`` as contract, symbol and decimals."""

    pid: int
    started: int
    bitcoin_url: str
    bitcoin_cookie: str
    ethereum_url: str | None = None
    ethereum_chain_id: int | None = None
    ethereum_engine: str | None = None
    token: tuple[str, str, int] | None = None
    electrum_url: str | None = None
    esplora_url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object with its version."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, data: Any) -> SandboxState:
        """The other way; ``ValueError`` or ``TypeError`` for anything else."""
        fields = dict(data)
        if fields.pop("version", None) != VERSION:
            raise ValueError("unknown version")
        token = fields.pop("token", None)
        state = cls(**fields, token=None if token is None else (str(token[0]), str(token[1]), int(token[2])))
        if type(state.pid) is not int or type(state.started) is not int:
            raise TypeError("pid and started are whole numbers")
        if not isinstance(state.bitcoin_url, str) or not isinstance(state.bitcoin_cookie, str):
            raise TypeError("url and cookie are texts")
        return state


def write(folder: Path, state: SandboxState) -> None:
    """Replace the note in one step; only its owner may read it."""
    new = folder / (FILE + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(state.to_json(), file)
    new.replace(folder / FILE)


def read(folder: Path) -> SandboxState | None:
    """What the last sandbox in ``folder`` noted, running or not; ``None`` when there is no note."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            return SandboxState.from_json(json.loads(file.read(MAX_SIZE)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise CorruptStoreError(f"{path} is damaged: remove it") from error


def hold(folder: Path) -> int:
    """The folder for this process, until the descriptor is closed; ``StoreBusyError`` when another has it.

    Tries for a moment: whoever asks whether a sandbox runs holds the lock for an instant.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return take_lock(folder / LOCK, attempts=5)


def running(folder: Path) -> SandboxState | None:
    """The sandbox that serves from ``folder`` now; ``None`` when none does, whatever note a crash left behind."""
    if not (folder / LOCK).exists():
        return None
    try:
        os.close(take_lock(folder / LOCK))
    except StoreBusyError:
        return read(folder)
    return None


def stop(folder: Path, *, timeout: float = 15.0) -> bool:
    """Ask the sandbox in ``folder`` to stop and wait until it has; ``False`` when none runs.

    ``ChainUnavailableError`` when it does not answer or does not end within ``timeout`` seconds.
    """
    state = running(folder)
    if state is None:
        return False
    rpc = RpcClient(state.bitcoin_url, cookie=Path(state.bitcoin_cookie), timeout=timeout)
    try:
        rpc.write("stop")
    except ChainError:
        if running(folder) is None:
            return True
        raise
    finally:
        rpc.close()
    end = time.monotonic() + timeout
    while running(folder) is not None:
        if time.monotonic() > end:
            raise ChainUnavailableError(f"the sandbox (process {state.pid}) was asked to stop and still runs: end it")
        time.sleep(0.05)
    return True
