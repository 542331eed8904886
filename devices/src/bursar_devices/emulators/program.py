"""A vendor's program as a child of this process: a fresh folder, its output in a log, a wait until it is ready."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bursar_devices.emulators import supervisor

READY_WITHIN = 30.0
_LOOK_EVERY = 0.02
T = TypeVar("T")


class EmulatorError(Exception):
    """An emulator does not start, or ended, or its screen does not do what it should; with the end of its log."""


class Program:
    """One run of a command. It ends with ``stop``, and also when this process dies, however it dies."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> None:
        self._name = Path(command[0]).name
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the caller's own command, without a shell
                [sys.executable, "-I", "-S", supervisor.__file__, *command],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for(self, look: Callable[[], T | None], what: str, *, within: float = READY_WITHIN) -> T:
        """What ``look`` gives as soon as it gives something; ``EmulatorError`` when the program ends or time is up."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if not self.running:
                raise EmulatorError(f"{self._name} ended with {self._process.returncode}: {self.last_words()}")
            found = look()
            if found is not None:
                return found
            time.sleep(_LOOK_EVERY)
        raise EmulatorError(f"{self._name} shows no {what} in {within:g} s: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace").strip() if self.log.is_file() else ""
        return text[-800:] or "it said nothing"

    def stop(self) -> None:
        """End it and everything it started; idempotent."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(supervisor.GRACE + 3)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()


def fresh_folder(kind: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for one run: what a device remembers is gone with it."""
    return tempfile.TemporaryDirectory(prefix=f"bursar-{kind}-", ignore_cleanup_errors=True)


def free_port_pair() -> int:
    """A UDP port of the loopback interface that is free now, and so is the next one."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second, contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise EmulatorError("found no two neighbouring free UDP ports on the loopback interface")
