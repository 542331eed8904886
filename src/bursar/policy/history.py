"""History: what was approved before, indexed so that a rolling sum costs two look-ups."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.policy.review import Asset

AssetKey = tuple[str, str, str | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def asset_key(asset: Asset) -> AssetKey:
    """What makes two assets the same: chain, network and contract. The symbol and decimals are hearsay."""
    return asset.chain, asset.network, asset.contract.lower() if asset.contract is not None else None


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One payment approved at ``time`` (aware). ``amount`` in the asset's base units, ``fee`` in those of the chain's
    own coin; a transfer of several payments carries its fee on the first of its entries only."""

    time: datetime
    asset: Asset
    to: str
    amount: int
    fee: int = 0


class _Column:
    """The payments of one asset in order of time, with running totals: ``totals[i]`` sums the first ``i``."""

    __slots__ = ("times", "totals")

    def __init__(self, times: list[int], totals: list[int]) -> None:
        self.times = times
        self.totals = totals

    @classmethod
    def of(cls, payments: list[tuple[int, int]]) -> _Column:
        payments.sort()
        totals = [0]
        total = 0
        for _, amount in payments:
            total += amount
            totals.append(total)
        return cls([time for time, _ in payments], totals)

    def added(self, time: int, amount: int) -> _Column:
        place = bisect_right(self.times, time)
        totals = self.totals[: place + 1]
        totals.extend(total + amount for total in self.totals[place:])
        return _Column([*self.times[:place], time, *self.times[place:]], totals)


class History:
    """What was approved before ``now``, immutable. Building costs a sort; asking costs a bisection.

    Entries dated after ``now`` count as recent: a clock set back must not free a limit.
    """

    __slots__ = ("_columns", "_now", "now")

    def __init__(self, now: datetime, entries: Iterable[HistoryEntry] = ()) -> None:
        self._now = _instant(now)
        self.now = now
        payments: dict[AssetKey, list[tuple[int, int]]] = {}
        for entry in entries:
            payments.setdefault(asset_key(entry.asset), []).append((_instant(entry.time), _amount(entry)))
        self._columns = {key: _Column.of(column) for key, column in payments.items()}

    def at(self, now: datetime) -> History:
        """The same entries seen from another moment; shares the index."""
        return self._with(now, self._columns)

    def added(self, entry: HistoryEntry) -> History:
        """A history with one entry more."""
        key = asset_key(entry.asset)
        column = self._columns.get(key) or _Column([], [0])
        return self._with(self.now, {**self._columns, key: column.added(_instant(entry.time), _amount(entry))})

    def spent(self, asset: Asset, window: timedelta) -> int:
        """What was paid of ``asset`` in the last ``window``, its first instant included: base units, without fees."""
        return self.spent_by_key(asset_key(asset), window // _MICROSECOND)

    def spent_by_key(self, key: AssetKey, microseconds: int) -> int:
        """``spent`` for a caller that has the key already, the window in microseconds."""
        column = self._columns.get(key)
        if column is None:
            return 0
        return column.totals[-1] - column.totals[bisect_left(column.times, self._now - microseconds)]

    def _with(self, now: datetime, columns: dict[AssetKey, _Column]) -> History:
        made = object.__new__(History)
        made._now = _instant(now)
        made.now = now
        made._columns = columns
        return made


def _instant(time: datetime) -> int:
    if time.tzinfo is None or time.utcoffset() is None:
        raise InvalidInputError(
            f"the time {time.isoformat()} has no time zone: give an aware datetime, in UTC for choice"
        )
    return (time - _EPOCH) // _MICROSECOND


def _amount(entry: HistoryEntry) -> int:
    if entry.amount < 0:
        raise InvalidInputError(f"a past payment cannot be negative: {entry.amount}")
    return entry.amount
