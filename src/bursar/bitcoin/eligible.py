"""Which coins a transaction may spend: maturity, timelocks, confirmations, and what the caller fixed or excluded."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from bursar.bitcoin.coins import BOUND, traits_of
from bursar.bitcoin.timelocks import LOCKTIME_IS_TIME, is_mature
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.transaction import OutPoint

_outpoint = attrgetter("outpoint")


def refuse_duplicates(coins: Sequence[Coin]) -> None:
    """``InvalidInputError`` (``input.coin.duplicate``) if two coins are the same output."""
    if len(set(map(_outpoint, coins))) != len(coins):
        raise InvalidInputError("the same coin is listed twice: list each output once", code="input.coin.duplicate")


def spendable(
    coins: Sequence[Coin],
    *,
    tip_height: int | None,
    locktime: int | None = None,
    fixed: Collection[OutPoint] = (),
    exclude: Collection[OutPoint] = (),
    min_confirmations: int = 0,
) -> tuple[tuple[Coin, ...], list[Coin]]:
    """The fixed coins and the others that the next block lets be spent, or the block after a given ``locktime``.

    ``min_confirmations`` does not bind fixed coins. ``InvalidInputError`` (``input.coin.fixed``) for a fixed coin that
    is not among ``coins``, is excluded, or cannot be spent; ``input.confirmations`` if the tip is needed and unknown.
    """
    height = tip_height
    if locktime is not None and tip_height is not None and locktime < LOCKTIME_IS_TIME:
        height = max(tip_height, locktime)
    free = list(coins)
    if any(one & BOUND for one in traits_of(coins)):
        free = [coin for coin in free if not coin.traits & BOUND or is_mature(coin, height)]
        if locktime is not None:
            free = [coin for coin in free if not coin.key.locktime or _within(coin.key.locktime, locktime)]
    chosen: tuple[Coin, ...] = ()
    if fixed:
        chosen = _fixed(free, frozenset(fixed), exclude)
    if fixed or exclude:
        taken = {*fixed, *exclude}
        free = [coin for coin in free if coin.outpoint not in taken]
    if min_confirmations > 0:
        free = _confirmed(free, tip_height, min_confirmations)
    return chosen, free


def _within(own: int, locktime: int) -> bool:
    return own <= locktime and (own >= LOCKTIME_IS_TIME) == (locktime >= LOCKTIME_IS_TIME)


def _fixed(free: Sequence[Coin], fixed: frozenset[OutPoint], exclude: Collection[OutPoint]) -> tuple[Coin, ...]:
    chosen = tuple([coin for coin in free if coin.outpoint in fixed])
    missing = sorted(fixed - {coin.outpoint for coin in chosen})
    if missing:
        raise InvalidInputError(
            f"coin {missing[0]} shall be spent but is not there or cannot be spent yet: sync again, or choose another",
            code="input.coin.fixed",
        )
    both = [coin.outpoint for coin in chosen if coin.outpoint in exclude]
    if both:
        raise InvalidInputError(
            f"coin {both[0]} shall be spent and is excluded too: take it off one of the lists", code="input.coin.fixed"
        )
    return chosen


def _confirmed(coins: Sequence[Coin], tip_height: int | None, least: int) -> list[Coin]:
    if least == 1:
        return [coin for coin in coins if coin.height is not None]
    if tip_height is None:
        raise InvalidInputError(
            f"whether coins have {least} confirmations is not known without the tip: sync first",
            code="input.confirmations",
        )
    return [coin for coin in coins if coin.height is not None and tip_height + 1 - coin.height >= least]


def one_kind_of_lock(coins: Sequence[Coin]) -> list[Sequence[Coin]]:
    """The coins without those locked by time, and without those locked by height; one list where nothing clashes."""
    if not any(one & BOUND for one in traits_of(coins)):
        return [coins]
    locked = [coin for coin in coins if coin.traits & BOUND and coin.key.locktime]
    by_time = {coin.outpoint for coin in locked if (coin.key.locktime or 0) >= LOCKTIME_IS_TIME}
    if not by_time or len(by_time) == len(locked):
        return [coins]
    by_height = {coin.outpoint for coin in locked} - by_time
    return [
        [coin for coin in coins if coin.outpoint not in by_time],
        [coin for coin in coins if coin.outpoint not in by_height],
    ]
