"""A program of its own that runs one command and ends it when whoever asked for it is gone, even if it was killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

GRACE = 2.0
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends (Linux; elsewhere it does nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Ask the process to end, and then kill whatever is left of its group."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ChildProcessError):  # its own children are ours now, as we are the reaper
        while os.waitpid(-1, 0) != (0, 0):
            pass


def supervise(command: list[str]) -> int:
    """Run ``command`` until it ends, or until standard input does: its other end is held by whoever wants it to run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the holder of the pipe decides when this ends
    child = subprocess.Popen(  # noqa: S603 - the caller's own command, without a shell
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
    )
    signal.signal(signal.SIGTERM, lambda *_: end(child))

    def wait_for_the_end_of_input() -> None:
        while os.read(0, 1024):
            pass
        end(child)

    threading.Thread(target=wait_for_the_end_of_input, daemon=True).start()
    code = child.wait()
    end(child)
    return code


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
