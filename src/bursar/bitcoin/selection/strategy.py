"""What every way to choose coins shares: fixed coins that suffice, and the last resort."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bursar.bitcoin.selection.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin, Selection, Target
    from bursar.bitcoin.units import FeeRate


class Strategy(ABC):
    """A ``CoinSelector`` that finds a selection in a pool; where it finds none, the largest coins are taken."""

    __slots__ = ()

    def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
        """See ``CoinSelector``. ``needed`` in the error is the target and the fee with every useful coin spent."""
        pool = self.pool(without_fixed(coins, target), target, fee_rate)
        return self.fixed_alone(pool) or self.choose(pool) or self.otherwise(pool)

    def pool(self, coins: Sequence[Coin], target: Target, fee_rate: FeeRate) -> Pool:
        """The units this strategy chooses among."""
        return Pool(coins, target, fee_rate)

    def fixed_alone(self, pool: Pool) -> Selection | None:
        """The fixed coins and nothing else, where they suffice."""
        return pool.settle((), "fixed") if pool.target.fixed else None

    @abstractmethod
    def choose(self, pool: Pool) -> Selection | None:
        """The strategy's own choice among ``pool``, or ``None``."""

    def otherwise(self, pool: Pool) -> Selection:
        """What is done where the strategy finds nothing."""
        return pool.last_resort()


def without_fixed(coins: Sequence[Coin], target: Target) -> Sequence[Coin]:
    """The coins that are not spent in any case."""
    if not target.fixed:
        return coins
    fixed = {coin.outpoint for coin in target.fixed}
    return [coin for coin in coins if coin.outpoint not in fixed]
