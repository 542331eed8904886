"""A program of its own that runs one command and ends it when whoever asked for it is gone, even if it was killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE = 2.0
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends (Linux; elsewhere it does nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Ask the process to end, then kill whatever is left of its group, and wait for what it left behind."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter of zombies, on macOS
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    latest = time.monotonic() + grace
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < latest:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)


def supervise(command: list[str]) -> int:
    """Run ``command`` until it ends, or until standard input does: its other end is held by whoever wants it to run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the holder of the pipe decides when this ends
    woken, waker = os.pipe()
    for one in (woken, waker):
        os.set_blocking(one, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    asked_to_end: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked_to_end.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(  # noqa: S603 - the caller's own command, without a shell
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
    )
    while child.poll() is None and not asked_to_end:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
        if 0 in ready and not os.read(0, 1024):
            break
    end(child)
    return child.returncode


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
