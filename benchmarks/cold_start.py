"""Cold starts: a fresh interpreter each time, between two runs of the reference command."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pairing import Measured

BURSAR = Path(sys.executable).with_name("bursar")
ROWS = (
    ("bursar --version", (str(BURSAR), "--version"), "import click", 1.6),
    ("bursar --help", (str(BURSAR), "--help"), "import click", 1.6),
    ("import bursar", (sys.executable, "-c", "import bursar"), "pass", 1.3),
)


def seconds(command: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env={**os.environ, "NO_COLOR": "1"}
    )
    return time.perf_counter() - start


def rows(rounds: int = 15) -> list[Measured]:
    measured = []
    for name, command, reference, target in ROWS:
        base = (sys.executable, "-c", reference)
        seconds(command)
        ratios, floors = [], []
        for _ in range(rounds):
            before, taken, after = seconds(base), seconds(command), seconds(base)
            ratios.append(taken * 2 / (before + after))
            floors.append((before + after) / 2 * 1e9)
        measured.append(
            Measured(
                f"{name}  (over python -c '{reference}')",
                statistics.median(ratios),
                min(ratios),
                max(ratios),
                statistics.median(floors),
                target,
            )
        )
    return measured
