"""Runs anvil, Foundry's development node, when its binary is found on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from bursar.errors import ChainUnavailableError, InvalidInputError, MissingExtraError
from bursar.nodes.sandbox.ethereum.client import LoopbackRpc

HOST = "127.0.0.1"
VARIABLE = "BURSAR_ANVIL"
"""The environment variable that names the binary; unset, ``node_modules`` and the search path are looked through."""

_PLATFORMS = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_ATTEMPTS = 3
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0

# anvil ends when the pipe to this process closes, however this process ends
_SUPERVISE = """
exec 3<&0
"$@" </dev/null 3<&- &
node=$!
{ cat <&3 >/dev/null; kill "$node" 2>/dev/null; } &
wait "$node"
"""


def _machine() -> str:
    machine = os.uname().machine if hasattr(os, "uname") else "x86_64"
    return "arm64" if machine in ("arm64", "aarch64") else "amd64"


def find_anvil() -> Path | None:
    """The anvil binary: ``$BURSAR_ANVIL``, else npm's platform package in a ``node_modules`` above, else on the path.

    InvalidInputError when the variable names no file.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise InvalidInputError(f"{VARIABLE} names {named}, which is no file: correct or unset it")
        return path
    package = f"anvil-{_PLATFORMS.get(sys.platform, sys.platform)}-{_machine()}"
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / "node_modules" / "@foundry-rs" / package / "bin" / "anvil"
        if path.is_file() and os.access(path, os.X_OK):
            return path
    found = shutil.which("anvil")
    return None if found is None else Path(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class AnvilNode:
    """One anvil process on a loopback port of its own; ``state`` is the file its chain is kept in."""

    def __init__(self, *, chain_id: int, state: Path | None, automine: bool, port: int = 0) -> None:
        binary = find_anvil()
        if binary is None:
            raise MissingExtraError(
                f"no anvil binary was found: install @foundry-rs/anvil by npm, or name it in {VARIABLE}", extra="anvil"
            )
        self._named = bool(port)
        self._port = port or _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._chain_id = chain_id
        self._command = [str(binary), "--host", HOST, "--chain-id", str(chain_id)]
        self._command += ["--accounts", "0", "--hardfork", "prague", "--silent", "--no-cors"]
        if not automine:
            self._command.append("--no-mining")
        if state is not None:
            self._command += ["--state", str(state), "--state-interval", "2", "--preserve-historical-states"]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Start the process and wait until it answers; ChainUnavailableError when it does not.

        Another program may take a free port before anvil does: then another one is tried, unless it was named.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._start()
            except ChainUnavailableError:
                if self._named:
                    raise
                self._port = _free_port()
        return self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (a fixed program, the binary is what the user named or installed)
            ["/bin/sh", "-c", _SUPERVISE, "anvil", *self._command, "--port", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        rpc = LoopbackRpc(self.url)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if rpc.call("eth_chainId") == hex(self._chain_id):
                    return
                trouble = ChainUnavailableError(f"another node answers at {self.url}")
            except ChainUnavailableError as error:
                trouble = error
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise trouble
            time.sleep(0.02)

    def close(self) -> None:
        """Stop the process gently, so that it writes its state; kill it when it does not stop."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
