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
    pool = list(range(len(effective)))
    if weights is None or max_weight is None or sum(weights) <= max_weight:
        return _unlimited(effective, target, pool, rng)
    drawn: list[tuple[int, int]] = []
    value = weight = 0
    while pool and value < target:
        place = rng.randrange(len(pool))
        pool[place], pool[-1] = pool[-1], pool[place]
        taken = pool.pop()
        heappush(drawn, (effective[taken], taken))
        value += effective[taken]
        weight += weights[taken]
        while weight > max_weight:
            worth, dropped = heappop(drawn)
            value -= worth
            weight -= weights[dropped]
    return [place for _, place in drawn] if value >= target else None


def _unlimited(effective: Sequence[int], target: int, pool: list[int], rng: random.Random) -> list[int] | None:
    drawn: list[int] = []
    value = 0
    while pool and value < target:
        place = rng.randrange(len(pool))
        pool[place], pool[-1] = pool[-1], pool[place]
        drawn.append(pool.pop())
        value += effective[drawn[-1]]
    return drawn if value >= target else None


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
