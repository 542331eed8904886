"""A single random draw: coins at random until they pay, so that no pattern tells the wallet (Erhardt 2016)."""

from __future__ import annotations

import random
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from bursar.bitcoin.selection.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Selection
    from bursar.bitcoin.selection.pool import Pool


def single_random_draw(
    effective: Sequence[int],
    target: int,
    *,
    rng: random.Random,
    weights: Sequence[int] | None = None,
    max_weight: int | None = None,
) -> list[int] | None:
    """Positions drawn at random until their ``effective`` values reach ``target``; ``None`` if all do not.

    While the drawn are heavier than ``max_weight``, those worth least are put aside.
    """
    limited = weights is not None and max_weight is not None and sum(weights) > max_weight
    drawn: list[tuple[int, int]] = []
    taken: list[int] = []
    moved: dict[int, int] = {}  # a shuffle of all positions, as far as it has been looked at
    value = weight = 0
    left = len(effective)
    while left and value < target:
        place = rng.randrange(left)
        left -= 1
        one = moved.get(place, place)
        moved[place] = moved.get(left, left)
        value += effective[one]
        if not limited or weights is None or max_weight is None:
            taken.append(one)
            continue
        heappush(drawn, (effective[one], one))
        weight += weights[one]
        while weight > max_weight:
            worth, dropped = heappop(drawn)
            value -= worth
            weight -= weights[dropped]
    if value < target:
        return None
    return [place for _, place in drawn] if limited else taken


class SingleRandomDraw(Strategy):
    """Coins at random; ``rng`` makes the draw repeatable in tests."""

    __slots__ = ("_rng",)

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng if rng is not None else random.SystemRandom()

    def choose(self, pool: Pool) -> Selection | None:
        """One draw."""
        drawn = single_random_draw(
            pool.effective, pool.wanted, rng=self._rng, weights=pool.weights, max_weight=pool.max_weight
        )
        return None if drawn is None else pool.settle(drawn, "single-random-draw")
