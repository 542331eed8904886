"""The default: whichever of branch and bound, the lightest coins and a random draw wastes least."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.coins import LONG_TERM_RATE
from bursar.bitcoin.selection.branch_and_bound import BranchAndBound
from bursar.bitcoin.selection.coin_grinder import CoinGrinder
from bursar.bitcoin.selection.random_draw import SingleRandomDraw
from bursar.bitcoin.selection.strategy import Strategy

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin, Selection, Target
    from bursar.bitcoin.selection.pool import Pool
    from bursar.bitcoin.units import FeeRate

_GRINDER_TRIES: Final = 1_000


class DefaultSelector(Strategy):
    """Tries all three and takes the one with the least waste."""

    __slots__ = ("_draw", "_exact", "_light")

    def __init__(self, rng: random.Random | None = None) -> None:
        self._exact = BranchAndBound()
        self._light = CoinGrinder(tries=_GRINDER_TRIES)
        self._draw = SingleRandomDraw(rng)

    def choose(self, pool: Pool) -> Selection | None:
        """The least waste; of equals, no change before change."""
        exact = self._exact.choose(pool)
        drawn = self._draw.choose(pool)
        light = None
        if drawn is None or not pool.uniform or pool.deficits is not None or pool.fee_rate > LONG_TERM_RATE:
            light = self._light.choose(pool)  # at a low rate the fewest of equally heavy coins waste most
        found = [one for one in (exact, light, drawn) if one is not None]
        return min(found, key=lambda one: one.waste) if found else None


def select(coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate, rng: random.Random | None = None) -> Selection:
    """Choose coins with ``DefaultSelector``; ``rng`` makes the draw repeatable in tests."""
    return DefaultSelector(rng).select(coins, target=target, fee_rate=fee_rate)
