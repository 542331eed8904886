"""Coin selection."""

from __future__ import annotations

import random
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.coins import CHANGE_TARGET, LONG_TERM_RATE, MAX_STANDARD_WEIGHT, Coin, Selection, Target
from bursar.bitcoin.units import FeeRate, Sats, btc_text
from bursar.bitcoin.weight import frame_weight, output_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRIES: Final = 20_000
_TRIES_AFTER_MATCH: Final = 1_000
_SCALE: Final = 4000  # one satoshi in units of (weight unit x satoshi per 1,000 virtual bytes)


def branch_and_bound(
    effective: Sequence[int], waste: Sequence[int], target: int, window: int, *, tries: int = _TRIES
) -> list[int] | None:
    """Positions whose ``effective`` values (descending, positive) sum to ``target`` up to ``target + window``.

    Of the matches found within ``tries`` steps the one with the least waste (sum of its ``waste`` plus the excess) is
    returned, ``None`` without any. Coins too large for the room left are jumped over, not tried one by one.
    """
    count = len(effective)
    negated = [-value for value in effective]
    remaining = [*reversed(list(accumulate(reversed(effective)))), 0]
    upper = target + window
    grows = not waste or min(waste) >= 0
    chosen: list[int] = []
    best: list[int] | None = None
    best_waste = spent_waste = value = position = 0
    while tries > 0:
        tries -= 1
        if position < count and value + effective[position] > upper:
            position = bisect_left(negated, value - upper, position)
        dead = position >= count or value + remaining[position] < target
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
                if best is None or total < best_waste:
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


def single_random_draw(effective: Sequence[int], target: int, *, rng: random.Random) -> list[int] | None:
    """Positions drawn at random until their ``effective`` values reach ``target``; ``None`` if all do not."""
    pool = list(range(len(effective)))
    drawn: list[int] = []
    value = 0
    while pool and value < target:
        place = rng.randrange(len(pool))
        pool[place], pool[-1] = pool[-1], pool[place]
        drawn.append(pool.pop())
        value += effective[drawn[-1]]
    return drawn if value >= target else None


class DefaultSelector:
    """Branch and bound and a single random draw; the one with less waste wins."""

    __slots__ = ("_rng",)

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng if rng is not None else random.SystemRandom()

    def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
        """See ``CoinSelector``. ``needed`` in the error is the target and the fee with every useful coin spent."""
        rate = fee_rate.sat_per_kvb
        weights = [coin.input_weight for coin in coins]
        kinds = set(weights)
        if len(kinds) == 1:
            cost = weights[0] * rate
            scaled = [_SCALE * coin.output[0] - cost for coin in coins]
        else:
            weights = [coin.input_weight + (not coin.segwit) for coin in coins]  # an empty witness each
            scaled = [_SCALE * coin.output[0] - weight * rate for coin, weight in zip(coins, weights, strict=True)]
        order = sorted(range(len(scaled)), key=scaled.__getitem__, reverse=True)
        effective = list(map(scaled.__getitem__, order))
        while effective and effective[-1] <= 0:
            effective.pop()
        del order[len(effective) :]
        over = rate - LONG_TERM_RATE.sat_per_kvb
        extra = [weights[0] * over] * len(order) if len(kinds) == 1 else [weights[place] * over for place in order]
        measure = _Measure(coins, order, target, fee_rate)

        candidates: list[Selection] = []
        base = measure.base_weight(len(order))
        need = _SCALE * target.amount + rate * (base + 3) + _SCALE - 1
        change_cost = measure.change_weight * rate + target.change_spend_weight * LONG_TERM_RATE.sat_per_kvb
        match = branch_and_bound(effective, extra, need, change_cost)
        if match is not None:
            candidates.append(measure.changeless(match, "branch-and-bound"))
        wanted = need + measure.change_weight * rate + _SCALE * max(CHANGE_TARGET, target.min_change)
        drawn = single_random_draw(effective, wanted, rng=self._rng)
        if drawn is not None:
            if rate > LONG_TERM_RATE.sat_per_kvb:
                drawn = _without_surplus(effective, drawn, wanted)
            candidates.append(measure.best(drawn, "single-random-draw"))
        if not candidates:
            candidates.append(measure.best(range(len(order)), "all-coins"))
        chosen = min(candidates, key=lambda one: one.waste)
        if chosen.weight > MAX_STANDARD_WEIGHT:
            largest = next(
                (count for count, value in enumerate(accumulate(effective), 1) if value >= wanted), len(order)
            )
            chosen = measure.best(range(largest), "largest-first")
        if chosen.weight > MAX_STANDARD_WEIGHT:
            raise InvalidInputError(
                f"paying {btc_text(target.amount)} takes {len(chosen.coins)} coins, more than nodes relay at once: "
                "join small coins first",
                code="input.transaction.weight",
            )
        return chosen


def _without_surplus(effective: Sequence[int], drawn: list[int], wanted: int) -> list[int]:
    """Drop the smallest coins that are not needed: at a high fee rate every input counts."""
    surplus = sum([effective[place] for place in drawn]) - wanted
    kept: list[int] = []
    for place in sorted(drawn, key=effective.__getitem__):
        if effective[place] <= surplus:
            surplus -= effective[place]
        else:
            kept.append(place)
    return kept


class _Measure:
    """Exact weights, fees and waste of candidate selections; positions refer to ``order``."""

    __slots__ = ("_coins", "_order", "_outputs", "_rate", "_segwit", "_target", "change_weight")

    def __init__(self, coins: Sequence[Coin], order: Sequence[int], target: Target, rate: FeeRate) -> None:
        self._coins = coins
        self._order = order
        self._target = target
        self._rate = rate
        self._outputs = sum([output_weight(script) for script in target.outputs])
        self._segwit = any(coin.segwit for coin in coins)
        self.change_weight = output_weight(target.change_script)

    def base_weight(self, inputs: int) -> int:
        """Everything but inputs and change, and room for the count that change adds to."""
        return frame_weight(inputs, len(self._target.outputs) + 1, segwit=self._segwit) + self._outputs

    def _weight(self, chosen: Sequence[Coin], *, change: bool) -> int:
        legacy = [coin.segwit for coin in chosen].count(False)
        segwit = legacy < len(chosen)
        outputs = len(self._target.outputs) + change
        return (
            frame_weight(len(chosen), outputs, segwit=segwit)
            + self._outputs
            + (self.change_weight if change else 0)
            + sum([coin.input_weight for coin in chosen])
            + (legacy if segwit else 0)
        )

    def _finish(self, chosen: tuple[Coin, ...], weight: int, change: int, algorithm: str) -> Selection:
        fee = sum([coin.output.value for coin in chosen]) - self._target.amount - change
        inputs = sum([coin.input_weight for coin in chosen])
        waste = inputs * (self._rate.sat_per_kvb - LONG_TERM_RATE.sat_per_kvb)
        if change:
            waste += self.change_weight * self._rate.sat_per_kvb
            waste += self._target.change_spend_weight * LONG_TERM_RATE.sat_per_kvb
        else:
            waste += _SCALE * (fee - self._rate.fee(-(-weight // 4)))
        return Selection(chosen, Sats(fee), Sats(change), weight, waste // _SCALE, algorithm)

    def changeless(self, places: Sequence[int], algorithm: str) -> Selection:
        """The selection without change; the places must pay the target and its fee."""
        chosen = tuple([self._coins[self._order[place]] for place in places])
        return self._finish(chosen, self._weight(chosen, change=False), 0, algorithm)

    def best(self, places: Sequence[int], algorithm: str) -> Selection:
        """The selection with change where it is worth having, else without; ``InsufficientFundsError`` if neither."""
        chosen = tuple([self._coins[self._order[place]] for place in places])
        total = sum([coin.output.value for coin in chosen])
        weight = self._weight(chosen, change=True)
        change = total - self._target.amount - self._rate.fee(-(-weight // 4))
        if change >= self._target.min_change:
            return self._finish(chosen, weight, change, algorithm)
        weight = self._weight(chosen, change=False)
        needed = self._target.amount + self._rate.fee(-(-weight // 4))
        if total < needed:
            available = sum([coin.output.value for coin in self._coins])
            raise InsufficientFundsError(
                f"{btc_text(needed)} are needed with the fee and {btc_text(available)} are available"
                + (f", of which {btc_text(total)} are worth their fee at {self._rate}" if total != available else ""),
                needed=needed,
                available=available,
            )
        return self._finish(chosen, weight, 0, algorithm)


def select(coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate, rng: random.Random | None = None) -> Selection:
    """Choose coins with ``DefaultSelector``; ``rng`` makes the draw repeatable in tests."""
    return DefaultSelector(rng).select(coins, target=target, fee_rate=fee_rate)
