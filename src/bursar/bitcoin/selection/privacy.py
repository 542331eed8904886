"""Privacy: as few scripts as possible in one transaction, each with all of its coins, and change that looks paid."""

# Whoever sees two scripts spent together learns that they have one owner, and coins of a script that stay behind are
# linked already. So the number of scripts counts first. Of the choices that join as few, those without change are
# best; else change is made as large as what is paid where that is possible, so that neither amount tells
# which of the two is change.

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.package import lack_of
from bursar.bitcoin.selection.branch_and_bound import branch_and_bound
from bursar.bitcoin.selection.coin_grinder import coin_grinder
from bursar.bitcoin.selection.pool import SCALE, Pool
from bursar.bitcoin.selection.strategy import Strategy, without_fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin, Selection, Target
    from bursar.bitcoin.units import FeeRate

MOST_TOGETHER: Final = 100
_TRIES: Final = 20_000


class Privacy(Strategy):
    """Joins the fewest scripts. Of a script with more than ``most`` coins, ``most`` are spent together at a time.

    Coins not worth their fee stay behind, as everywhere.
    """

    __slots__ = ("_most",)

    def __init__(self, most: int = MOST_TOGETHER) -> None:
        self._most = most

    def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
        """See ``CoinSelector``; the coins on the scripts of fixed coins are spent with these."""
        if target.fixed:
            scripts = {coin.output.script for coin in target.fixed}
            mates = [coin for coin in without_fixed(coins, target) if coin.output.script in scripts]
            mates = [coin for coin in mates if _worth_its_fee(coin, fee_rate)]
            target = replace(target, fixed=(*target.fixed, *mates))
        return super().select(coins, target=target, fee_rate=fee_rate)

    def pool(self, coins: Sequence[Coin], target: Target, fee_rate: FeeRate) -> Pool:
        """A unit for each script."""
        by_script: dict[bytes, list[Coin]] = {}
        for coin in coins:
            if not _worth_its_fee(coin, fee_rate):
                continue
            by_script.setdefault(coin.output.script, []).append(coin)
        groups: list[tuple[Coin, ...]] = []
        for together in by_script.values():
            together.sort(key=lambda coin: (coin.height is None, coin.height))
            groups += [tuple(together[at : at + self._most]) for at in range(0, len(together), self._most)]
        return Pool(coins, target, fee_rate, groups=groups)

    def choose(self, pool: Pool) -> Selection | None:
        """The fewest scripts; of equally many, no change, then change like the payment, then the least change."""
        least = self._join(pool, pool.need, len(pool.effective))
        if least is None:
            return None
        fewest = len(least)
        match = branch_and_bound(
            pool.effective, [1] * len(pool.effective), pool.need, pool.window,
            weights=[1] * len(pool.effective), max_weight=fewest, tries=_TRIES,
        )  # fmt: skip
        if match is not None:
            found = pool.settle(match, "privacy")
            if found is not None and not found.change:
                return found
        alike = pool.least_with_change - SCALE * pool.target.min_change + SCALE * int(pool.target.amount)
        for goal in (alike, pool.wanted, pool.least_with_change, pool.need):
            places = self._join(pool, goal, fewest)
            found = None if places is None else pool.settle(places, "privacy")
            if found is not None:
                return found
        return None

    def _join(self, pool: Pool, goal: int, most: int) -> list[int] | None:
        return coin_grinder(pool.effective, [1] * len(pool.effective), goal, most, tries=_TRIES)


def _worth_its_fee(coin: Coin, fee_rate: FeeRate) -> bool:
    """Dust sent to a known script must not keep the script's other coins from being spent."""
    cost = (coin.input_weight + 1) * fee_rate.sat_per_kvb
    if coin.package is not None:
        cost += 4 * lack_of([coin], fee_rate)
    return SCALE * coin.output.value > cost
