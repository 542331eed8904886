"""The useful coins of a selection in the order of their worth, and the exact fee, change and waste of any of them."""

# Amounts are counted in units of (weight unit x satoshi per 1,000 virtual bytes), 4,000 to the satoshi, so that fees
# need no rounding while searching. What a unit is worth is its value less the fee of its inputs and less what its own
# unconfirmed ancestors lack. Ancestors that two units share count twice while searching and once when settling: a set
# that pays by the first count pays by the second (see ``bursar.bitcoin.package``).

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.coins import (
    CHANGE_TARGET,
    LONG_TERM_RATE,
    PACKAGED,
    SEGWIT,
    TRAIT_BITS,
    Coin,
    Selection,
    Target,
    traits_of,
)
from bursar.bitcoin.package import MAX_ANCESTORS, MAX_PACKAGE_VSIZE, deficits_of, package_fee
from bursar.bitcoin.units import FeeRate, Sats, btc_text
from bursar.bitcoin.weight import frame_weight, output_weight
from bursar.errors import BursarError, InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SCALE: Final = 4000
_MILLI: Final = 4  # a thousandth of a satoshi
_EXACT: Final = 1 << 53
_FRAME_SLACK: Final = 3  # a weight is rounded up to whole virtual bytes


class Pool:
    """Units of coins (one coin each, or groups that are spent together), the most worth first; none worth nothing.

    ``effective``, ``weights`` and ``extra`` (what each adds to the waste) stand in that order; places refer to it.
    """

    def __init__(
        self,
        coins: Sequence[Coin],
        target: Target,
        fee_rate: FeeRate,
        *,
        groups: Sequence[tuple[Coin, ...]] | None = None,
    ) -> None:
        """``groups``, if given, are all of ``coins``; the fixed coins of the target are not among them."""
        self.coins = coins
        self.target = target
        self.fee_rate = fee_rate
        self._groups = groups
        everyone: Sequence[Coin] = (*coins, *target.fixed) if target.fixed else coins
        traits = traits_of(everyone)
        self._segwit = any(one & SEGWIT for one in traits)
        self._mixed = self._segwit and not all(one & SEGWIT for one in traits)
        self._weights = {one >> TRAIT_BITS for one in traits}
        self.deficits = deficits_of(everyone, fee_rate) if any(one & PACKAGED for one in traits) else None
        self._outputs = sum([output_weight(script) for script in target.outputs])
        self.change_weight = output_weight(target.change_script)
        weights, worth = self._single(coins) if groups is None else self._grouped(groups)
        self._rank(weights, worth)
        self._set_goals()

    def _single(self, coins: Sequence[Coin]) -> tuple[list[int], list[int]]:
        """Weights and worth of the coins, one by one."""
        rate = self.fee_rate.sat_per_kvb
        if len(self._weights) == 1 and not self._mixed:
            weights = list(self._weights) * len(coins)
            cost = next(iter(self._weights)) * rate
            worth = [SCALE * coin.output[0] - cost for coin in coins]
        else:
            weights = [coin.input_weight + (self._mixed and not coin.segwit) for coin in coins]
            worth = [SCALE * coin.output[0] - weight * rate for coin, weight in zip(coins, weights, strict=True)]
        if self.deficits is not None:
            for place, coin in enumerate(coins):
                if coin.package is not None:
                    worth[place] -= self._lack((coin,))
        return weights, worth

    def _grouped(self, groups: Sequence[tuple[Coin, ...]]) -> tuple[list[int], list[int]]:
        rate = self.fee_rate.sat_per_kvb
        weights = [sum([coin.input_weight + (self._mixed and not coin.segwit) for coin in group]) for group in groups]
        worth = [
            SCALE * sum([coin.output[0] for coin in group]) - weight * rate - self._lack(group)
            for weight, group in zip(weights, groups, strict=True)
        ]
        return weights, worth

    def _lack(self, coins: Iterable[Coin]) -> int:
        if self.deficits is None:
            return 0
        txids = {coin.outpoint.txid for coin in coins if coin.package is not None}
        count, vsize = self.deficits.ancestors(txids)
        if count >= MAX_ANCESTORS or vsize >= MAX_PACKAGE_VSIZE:
            return SCALE * 21 * 10**14  # nobody relays a child of it: not worth anything
        return _MILLI * self.deficits.of(txids)

    def _rank(self, weights: list[int], worth: list[int]) -> None:
        self.uniform = not weights or weights.count(weights[0]) == len(weights)
        order = list(range(len(worth)))
        if not self.uniform:
            order.sort(key=weights.__getitem__)
        order.sort(key=_sortable(worth).__getitem__, reverse=True)
        effective = list(itemgetter(*order)(worth)) if len(order) > 1 else worth.copy()
        while effective and effective[-1] <= 0:
            effective.pop()
        del order[len(effective) :]
        rate = self.fee_rate.sat_per_kvb
        if self.target.fee_included:
            values = {at: SCALE * sum([coin.output[0] for coin in self._unit(at)]) for at in order}
            order.sort(key=values.__getitem__, reverse=True)
            effective = list(map(values.__getitem__, order))
        self._order = order
        self.effective = effective
        over = rate - LONG_TERM_RATE.sat_per_kvb
        if self.uniform:
            self.weights = weights[: len(order)]
            self.extra = [weights[0] * over] * len(order) if weights else []
        else:
            self.weights = list(map(weights.__getitem__, order))
            self.extra = [weight * over for weight in self.weights]
        self._doubtful = [rate * self._mixed] * len(order)  # what settling may find a unit to be worth more
        if self.deficits is not None:
            for place, at in enumerate(order):
                lack = self._lack(self._unit(at))
                self.extra[place] += lack
                self._doubtful[place] += lack

    def _set_goals(self) -> None:
        target, rate = self.target, self.fee_rate.sat_per_kvb
        fixed = target.fixed
        inputs = len(fixed) + (len(self._order) if self._groups is None else sum(map(len, self._groups)))
        frame = frame_weight(inputs, len(target.outputs) + 1, segwit=self._segwit) + self._outputs
        fixed_weight = sum([coin.input_weight + (self._mixed and not coin.segwit) for coin in fixed])
        self.max_weight = target.max_weight - frame - self.change_weight - fixed_weight
        need = SCALE * (target.amount - sum([coin.output.value for coin in fixed]))
        least_change = SCALE * target.min_change
        aim = SCALE * max(CHANGE_TARGET, target.min_change)
        if target.fee_included:
            change_fee = 0
            self.window = least_change
        else:
            need += rate * (frame + fixed_weight + _FRAME_SLACK) + self._lack(fixed) + SCALE - 1
            change_fee = self.change_weight * rate
            self.window = change_fee + target.change_spend_weight * LONG_TERM_RATE.sat_per_kvb
        self.need = need if fixed else max(need, 1)
        self.least_with_change = self.need + change_fee + least_change
        self.wanted = self.need + change_fee + aim

    @cached_property
    def negated(self) -> list[int]:
        """``effective`` ascending, for bisection."""
        return [-value for value in self.effective]

    @cached_property
    def remaining(self) -> list[int]:
        """What all units from each place on are worth together; 0 behind the last."""
        sums = list(accumulate(reversed(self.effective), initial=0))
        sums.reverse()
        return sums

    @cached_property
    def lightest(self) -> list[int]:
        """The least weight of all units from each place on."""
        if self.uniform:
            return self.weights
        least = list(accumulate(reversed(self.weights), min))
        least.reverse()
        return least

    def _unit(self, at: int) -> tuple[Coin, ...]:
        return (self.coins[at],) if self._groups is None else self._groups[at]

    def members(self, place: int) -> tuple[Coin, ...]:
        """The coins of a unit."""
        return self._unit(self._order[place])

    def coins_at(self, places: Iterable[int]) -> tuple[Coin, ...]:
        """The fixed coins and those of the units named."""
        order, groups = self._order, self._groups
        if groups is None:
            coins = self.coins
            return (*self.target.fixed, *[coins[order[place]] for place in places])
        return (*self.target.fixed, *[coin for place in places for coin in groups[order[place]]])

    def settle(self, places: Iterable[int], algorithm: str) -> Selection | None:
        """The selection with change where it is worth having, else without; ``None`` if it is neither or too heavy."""
        found = self._settle(self.coins_at(places), algorithm)
        return None if found is None or self._unfit(found) else found

    def _unfit(self, selection: Selection) -> bool:
        if selection.weight > self.target.max_weight:
            return True
        if self.deficits is None:
            return False
        count, vsize = self.deficits.ancestors({coin.outpoint.txid for coin in selection.coins})
        return count > 0 and (count >= MAX_ANCESTORS or 4 * vsize + selection.weight > 4 * MAX_PACKAGE_VSIZE)

    def _weight(self, chosen: Sequence[Coin], *, change: bool) -> int:
        legacy = [coin.segwit for coin in chosen].count(False)
        segwit = legacy < len(chosen)
        return (
            frame_weight(len(chosen), len(self.target.outputs) + change, segwit=segwit)
            + self._outputs
            + (self.change_weight if change else 0)
            + sum([coin.input_weight for coin in chosen])
            + (legacy if segwit else 0)
        )

    def _settle(self, chosen: tuple[Coin, ...], algorithm: str) -> Selection | None:
        if not chosen:
            return None
        target, rate = self.target, self.fee_rate.sat_per_kvb
        lack = 0 if self.deficits is None else self.deficits.of({coin.outpoint.txid for coin in chosen})
        spare = sum([coin.output[0] for coin in chosen]) - target.amount
        weight = self._weight(chosen, change=True)
        fee = package_fee(self.fee_rate, -(-weight // 4), lack)
        change = spare if target.fee_included else spare - fee
        excess = 0
        if change < target.min_change:
            change = 0
            weight = self._weight(chosen, change=False)
            fee = package_fee(self.fee_rate, -(-weight // 4), lack)
            if spare < (0 if target.fee_included else fee):
                return None
            excess = max(0, spare - fee)
            fee = Sats(fee + excess)
        waste = sum([coin.input_weight for coin in chosen]) * (rate - LONG_TERM_RATE.sat_per_kvb) + _MILLI * lack
        if change:
            waste += self.change_weight * rate + target.change_spend_weight * LONG_TERM_RATE.sat_per_kvb
        return Selection(
            chosen, Sats(fee), Sats(change), weight, waste // SCALE + excess, algorithm, Sats(-(-lack // 1000))
        )

    def first(self, places: Sequence[int], algorithm: str) -> Selection | None:
        """The shortest beginning of ``places`` that pays and is not too heavy."""
        worth = weight = 0
        enough = (
            self.need - (40 + len(self.target.fixed)) * self.fee_rate.sat_per_kvb - 2 * SCALE
        )  # goals are rounded up
        most = self.max_weight + self.change_weight + 40 + len(places) * self._mixed
        for count, place in enumerate(places, 1):
            worth += self.effective[place] + self._doubtful[place]
            weight += self.weights[place]
            if weight > most:
                return None
            if worth >= enough:
                found = self.settle(places[:count], algorithm)
                if found is not None:
                    return found
        return None

    def last_resort(self) -> Selection:
        """The largest coins; raises what stands in the way if these do not pay either."""
        found = self.first(range(len(self._order)), "largest-first")
        if found is None:
            found = self.first(sorted(range(len(self._order)), key=self._density, reverse=True), "largest-first")
        everything = self.coins_at(range(len(self._order)))
        if found is None and self.deficits is not None and self._groups is None:
            everything = self._worth_their_inputs()
            found = self._settle(everything, "all-coins")
            found = None if found is None or self._unfit(found) else found
        if found is None:
            raise self._refusal(everything)
        return found

    def _density(self, place: int) -> float:
        return self.effective[place] / self.weights[place]

    def _worth_their_inputs(self) -> tuple[Coin, ...]:
        """Every coin that pays for its own input; ancestors they share may make them worth it together only."""
        rate = self.fee_rate.sat_per_kvb
        return (
            *self.target.fixed,
            *[coin for coin in self.coins if SCALE * coin.output.value > (coin.input_weight + self._mixed) * rate],
        )

    def _refusal(self, useful: tuple[Coin, ...]) -> BursarError:
        target = self.target
        total = sum([coin.output.value for coin in useful])
        chosen = self._settle(useful, "") if useful else None
        if chosen is not None and chosen.weight > target.max_weight:
            return InvalidInputError(
                f"paying {btc_text(target.amount)} takes more coins than {target.max_weight} weight units hold, which "
                "nodes relay at once: join small coins first",
                code="input.transaction.weight",
            )
        if chosen is not None:
            return InvalidInputError(
                f"the coins stand on a chain of {MAX_ANCESTORS} or more unconfirmed transactions, which nodes do not "
                "relay: wait until some are mined, or choose fewer unconfirmed coins",
                code="input.coin.package",
            )
        weight = self._weight(useful, change=False)
        lack = 0 if self.deficits is None else self.deficits.of({coin.outpoint.txid for coin in useful})
        fee = 0 if target.fee_included else package_fee(self.fee_rate, -(-weight // 4), lack)
        needed = target.amount + fee
        available = sum([coin.output.value for coin in (*self.coins, *target.fixed)])
        return InsufficientFundsError(
            f"{btc_text(needed)} are needed with the fee and {btc_text(available)} are available"
            + (f", of which {btc_text(total)} are worth their fee at {self.fee_rate}" if total != available else ""),
            needed=needed,
            available=available,
        )


def _sortable(worth: list[int]) -> Sequence[float]:
    """The same numbers as floats where these hold them exactly: they sort in half the time."""
    if worth and min(worth) > -_EXACT and max(worth) < _EXACT:
        return list(map(float, worth))
    return worth
