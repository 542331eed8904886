"""Oldest first: coins in the order of their confirmation, unconfirmed ones last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.selection.strategy import Strategy

if TYPE_CHECKING:
    from bursar.bitcoin.coins import Selection
    from bursar.bitcoin.selection.pool import Pool

_UNCONFIRMED = 1 << 62


class OldestFirst(Strategy):
    """The fewest of the oldest coins that pay; of one height, the largest first."""

    __slots__ = ()

    def choose(self, pool: Pool) -> Selection | None:
        """The shortest beginning that pays."""
        heights = [pool.members(place)[0].height for place in range(len(pool.effective))]
        ages = [_UNCONFIRMED if height is None else height for height in heights]
        return pool.first(sorted(range(len(ages)), key=ages.__getitem__), "oldest-first")
