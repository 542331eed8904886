"""Branch and bound: coins that pay the target without change (Erhardt 2016)."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.selection.strategy import Strategy
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Selection
    from bursar.bitcoin.selection.pool import Pool

_TRIES: Final = 20_000
_TRIES_AFTER_MATCH: Final = 1_000


def branch_and_bound(
    effective: Sequence[int],
    waste: Sequence[int],
    target: int,
    window: int,
    *,
    weights: Sequence[int] | None = None,
    max_weight: int | None = None,
    tries: int = _TRIES,
    negated: list[int] | None = None,
    remaining: list[int] | None = None,
) -> list[int] | None:
    """Positions whose ``effective`` values (descending, positive) sum to ``target`` up to ``target + window``.

    Of the matches found within ``tries`` steps the one with the least waste (sum of its ``waste`` plus the excess) is
    returned, ``None`` without any. Coins too large for the room left are jumped over, not tried one by one.
    """
    count = len(effective)
    if negated is None:
        negated = [-value for value in effective]
    if remaining is None:
        remaining = [*reversed(list(accumulate(reversed(effective)))), 0]
    upper = target + window
    deepest = count if weights is None or max_weight is None else max_weight // min(weights, default=1)
    grows = not waste or min(waste) >= 0
    chosen: list[int] = []
    best: list[int] | None = None
    best_waste = spent_waste = value = position = 0
    while tries > 0:
        tries -= 1
        if position < count and value + effective[position] > upper:
            position = bisect_left(negated, value - upper, position)
        dead = position >= count or value + remaining[position] < target or len(chosen) >= deepest
        if not dead:
            chosen.append(position)
            value += effective[position]
            spent_waste += waste[position]
            position += 1
            if value < target:
                if best is None or not grows or spent_waste < best_waste:
                    continue
            else:
                total = spent_waste + value - target
                if (best is None or total < best_waste) and (
                    weights is None or max_weight is None or sum([weights[at] for at in chosen]) <= max_weight
                ):
                    if best is None:
                        tries = min(tries, _TRIES_AFTER_MATCH)
                    best, best_waste = chosen.copy(), total
        if not chosen:
            break
        last = chosen.pop()
        value -= effective[last]
        spent_waste -= waste[last]
        position = bisect_left(negated, negated[last] + 1, last + 1)
    return best


class BranchAndBound(Strategy):
    """Pays without change, or not at all: ``InvalidInputError`` (``input.selection``) where no coins match.

    Ancestors that coins share count twice while searching: what that saves may come back as change.
    """

    __slots__ = ("_tries",)

    def __init__(self, tries: int = _TRIES) -> None:
        self._tries = tries

    def choose(self, pool: Pool) -> Selection | None:
        """The match with the least waste among those found."""
        if not pool.effective or pool.need <= 0:
            return None
        bounded = pool.weights[0] * len(pool.weights) > pool.max_weight or len(set(pool.weights)) > 1
        match = branch_and_bound(
            pool.effective,
            pool.extra,
            pool.need,
            pool.window,
            weights=pool.weights if bounded else None,
            max_weight=pool.max_weight,
            tries=self._tries,
            negated=pool.negated,
            remaining=pool.remaining,
        )
        return None if match is None else pool.settle(match, "branch-and-bound")

    def otherwise(self, pool: Pool) -> Selection:
        """Refuses: insufficient funds if even all coins do not pay, else the lack of a match."""
        pool.last_resort()
        raise InvalidInputError(
            "no coins found that pay exactly: accept change, or choose another strategy", code="input.selection"
        )
