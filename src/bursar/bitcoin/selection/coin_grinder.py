"""The lightest coins that pay the target and leave change worth having (after Bitcoin Core's CoinGrinder)."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.selection.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Selection
    from bursar.bitcoin.selection.pool import Pool

_TRIES: Final = 20_000


def coin_grinder(
    effective: Sequence[int],
    weights: Sequence[int],
    target: int,
    max_weight: int,
    *,
    tries: int = _TRIES,
    negated: list[int] | None = None,
    remaining: list[int] | None = None,
    lightest: list[int] | None = None,
) -> list[int] | None:
    """Positions of the least weight whose ``effective`` values sum to ``target`` or more; of equals, the least sum.

    ``effective`` is positive and descends; where it is equal, ``weights`` ascend. ``None`` if the lightest found is
    heavier than ``max_weight`` or nothing reaches the target. The best of ``tries`` steps: the first finds the largest.
    """
    count = len(effective)
    if negated is None:
        negated = [-value for value in effective]
    if remaining is None:
        remaining = [*reversed(list(accumulate(reversed(effective)))), 0]
    if not count or remaining[0] < target:
        return None
    if lightest is None:
        lightest = [*reversed(list(accumulate(reversed(weights), min)))]
    chosen: list[int] = []
    best: list[int] | None = None
    best_weight, best_value = max_weight, 0
    value = weight = position = 0
    while tries > 0:
        tries -= 1
        if (
            position < count
            and value + remaining[position] >= target
            and weight - (value - target) // effective[position] * lightest[position] <= best_weight
        ):
            chosen.append(position)
            value += effective[position]
            weight += weights[position]
            position += 1
            if weight <= best_weight:
                if value < target:
                    continue
                if best is None or weight < best_weight or value < best_value:
                    best, best_weight, best_value = chosen.copy(), weight, value
        if not chosen:
            break
        last = chosen.pop()
        value -= effective[last]
        weight -= weights[last]
        position = bisect_left(negated, negated[last] + 1, last + 1)
    return best


class CoinGrinder(Strategy):
    """The least weight, for times when fees are high; with ``tries`` to spare, proven the least."""

    __slots__ = ("_tries",)

    def __init__(self, tries: int = _TRIES) -> None:
        self._tries = tries

    def choose(self, pool: Pool) -> Selection | None:
        """The lightest set found."""
        found = coin_grinder(
            pool.effective,
            pool.weights,
            pool.wanted,
            pool.max_weight,
            tries=self._tries,
            negated=pool.negated,
            remaining=pool.remaining,
            lightest=pool.lightest,
        )
        return None if found is None else pool.settle(found, "coin-grinder")
