"""Consolidation: while fees are low, a payment takes small coins along, which cost more to spend later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.coins import LONG_TERM_RATE
from bursar.bitcoin.selection.least_waste import DefaultSelector

if TYPE_CHECKING:
    import random

    from bursar.bitcoin.coins import Selection
    from bursar.bitcoin.selection.pool import Pool

MOST_INPUTS: Final = 100


class Consolidation(DefaultSelector):
    """Below the long-term rate up to ``most`` inputs, the smallest coins first; from it on, the default."""

    __slots__ = ("_most",)

    def __init__(self, rng: random.Random | None = None, *, most: int = MOST_INPUTS) -> None:
        super().__init__(rng)
        self._most = most

    def fixed_alone(self, pool: Pool) -> Selection | None:
        """Fixed coins take others along too."""
        return super().fixed_alone(pool) if pool.fee_rate >= LONG_TERM_RATE else None

    def choose(self, pool: Pool) -> Selection | None:
        """The fewest of the largest coins that pay, and the smallest beside them."""
        if pool.fee_rate >= LONG_TERM_RATE:
            return super().choose(pool)
        start = super().fixed_alone(pool) or pool.first(range(len(pool.effective)), "consolidation")
        if start is None:
            return None
        large = len(start.coins) - len(pool.target.fixed)
        places = list(range(large))
        weight = sum(pool.weights[:large])
        room = self._most - len(start.coins)
        for place in range(len(pool.effective) - 1, large - 1, -1):
            weight += pool.weights[place]
            if room <= 0 or weight > pool.max_weight:
                break
            places.append(place)
            room -= 1
        return pool.settle(places, "consolidation") or start
