"""What growth costs: an input of a large PSBT over one of a small, and the memory of an index of scripts."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import ours
from curves import MEMORY
from pairing import Measured, clock

SMALL, LARGE = 10, 1_000
TITLES = {"wpkh": "P2WPKH", "tr": "P2TR"}
SCRIPTS = 1_000_000


def flatness(kind: str, rounds: int) -> Measured:
    """Processor time for each of a thousand inputs over that for each of ten: the small ones before and after."""
    small, large = ours.psbt_signed(kind, SMALL, verify=False), ours.psbt_signed(kind, LARGE, verify=False)
    times = LARGE // SMALL
    small(2)
    large(1)
    ratios, each = [], []
    before, _ = clock(lambda: small(times))
    for _ in range(rounds):
        taken, _ = clock(lambda: large(1))
        after, _ = clock(lambda: small(times))
        ratios.append(2 * taken / (before + after))
        each.append(taken / LARGE)
        before = after
    note = f"{statistics.median(each) / 1000:.1f} us each"
    name = f"{TITLES[kind]}: an input of {LARGE:,} over one of {SMALL}"
    return Measured(name, statistics.median(ratios), min(ratios), max(ratios), statistics.median(each), 1.10, note)


def memory() -> Measured:
    """Resident bytes for each script of an index beside the script itself, in a process of its own."""
    command = [sys.executable, "-c", MEMORY, str(SCRIPTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    found = float(done.stdout)
    return Measured(f"bytes for each of {SCRIPTS:,} scripts in an index", found, found, found, 0.0, 200.0)


def rows(rounds: int) -> list[Measured]:
    return [*(flatness(kind, rounds) for kind in TITLES), memory()]
