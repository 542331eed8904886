"""Paired measurement: a contender between two floor runs, several rounds, the median of the ratios."""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True)
class Contender:
    """``run(count)`` does the row's work ``count`` times and returns what it produced, in order."""

    name: str
    run: Callable[[int], Sequence[str] | Sequence[bytes]]
    same_bytes: bool = True  # the output must equal the floor's byte for byte
    target: float | None = None
    most: int | None = None  # never more than so many: quadratic contenders
    parallel: bool = False  # judged by the clock on the wall; all others by processor time


@dataclass(frozen=True)
class Measured:
    name: str
    ratio: float  # to the quicker-known floor of the pair: contender time / mean of the two floor runs around it
    low: float
    high: float
    floor_ns: float  # per item, median
    target: float | None = None
    note: str = ""


def digest_of(produced: Sequence[str] | Sequence[bytes]) -> str:
    """The floor's digest of the same things: texts end in a line feed, bytes stand as they are."""
    whole = hashlib.sha256()
    for item in produced:
        whole.update(f"{item}\n".encode() if isinstance(item, str) else item)
    return whole.hexdigest()


def clock(run: Callable[[], object], *, parallel: bool = False) -> tuple[int, object]:
    now = time.perf_counter_ns if parallel else time.process_time_ns
    gc.collect()
    start = now()
    produced = run()
    return now() - start, produced


def measure(
    contender: Contender, floor: Callable[[int], tuple[int, int, str]], *, count: int, rounds: int = ROUNDS
) -> Measured:
    """Run ``contender`` in pairs with ``floor(count)``; both do the same number of items.

    By processor time, so that other programs on the machine disturb less; work in parallel by the clock on the wall.
    """
    which = 1 if contender.parallel else 0
    probe = max(1, min(count, contender.most or count, 20))
    contender.run(probe)  # imports, caches, self-tests
    taken, _ = clock(lambda: contender.run(probe))
    budget = int(600e6 * probe / max(taken, 1))  # at most about 0.6 s a run
    count = max(1, min(count, contender.most or count, budget))
    ratios, floors = [], []
    for _ in range(rounds):
        *before_of, wanted = floor(count)
        taken, produced = clock(lambda: contender.run(count), parallel=contender.parallel)
        *after_of, _ = floor(count)
        before, after = before_of[which], after_of[which]
        if contender.same_bytes and digest_of(produced) != wanted:  # type: ignore[arg-type]
            raise AssertionError(f"{contender.name} does not produce the floor's bytes")
        ratios.append(taken * 2 / (before + after))
        floors.append((before + after) / 2 / count)
    return Measured(
        contender.name,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        statistics.median(floors),
        contender.target,
        "" if contender.same_bytes else "bytes not compared",
    )
