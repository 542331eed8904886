"""A signal ends the program wherever it strikes, also where the interpreter would swallow its exception."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

INSIDE_IMPORTLIB = """
import os, signal, time
from bursar.cli import stopping
stopping.install()
machinery = compile("os.kill(os.getpid(), NUMBER); whole = [None for _ in range(1000)]; done.append(1)",
                    "<frozen importlib._bootstrap>", "exec")
done = []
try:
    exec(machinery, {"os": os, "NUMBER": signal.SIGNAL, "done": done})
    time.sleep(20)
    print("nothing came")
except (KeyboardInterrupt, stopping.TerminatedError) as stop:
    print(type(stop).__name__, done)
"""

INSIDE_DESTRUCTOR = """
import os, signal, time
from bursar.cli import stopping
stopping.install()
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGNAL)
        time.sleep(0.05)
try:
    Dying()
    time.sleep(20)
    print("nothing came")
except (KeyboardInterrupt, stopping.TerminatedError) as stop:
    print(type(stop).__name__, [1])
"""

STARTED_IGNORING = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from bursar.cli import stopping
stopping.install()
os.kill(os.getpid(), signal.SIGINT)
print("still here")
"""


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("program", [INSIDE_IMPORTLIB, INSIDE_DESTRUCTOR])
@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "TerminatedError")]
)
def test_it_strikes_where_it_is_heard(program: str, number: signal.Signals, name: str) -> None:
    assert run(program.replace("SIGNAL", number.name)) == f"{name} [1]"


def test_an_ignored_interrupt_stays_ignored() -> None:
    assert run(STARTED_IGNORING) == "still here"
