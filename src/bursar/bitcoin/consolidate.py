"""Joining small coins into one while fees are low, so that they cost less to spend later."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bursar.bitcoin.coins import LONG_TERM_RATE, MAX_STANDARD_WEIGHT, Target
from bursar.bitcoin.draft import BuiltTransfer, ChangeKey, draft, locktime_against_fee_sniping
from bursar.bitcoin.eligible import one_kind_of_lock, refuse_duplicates, spendable
from bursar.bitcoin.package import package_fee
from bursar.bitcoin.selection.pool import Pool
from bursar.bitcoin.transaction import TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.transaction import OutPoint


def build_consolidation(
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    most: int | None = None,
    limit: FeeRate = LONG_TERM_RATE,
    min_confirmations: int = 1,
    exclude: Collection[OutPoint] = (),
    max_weight: int = MAX_STANDARD_WEIGHT,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """Spend up to ``most`` coins, the smallest worth their fee first, into one output to ``change``.

    Every script spent is thereby known to have one owner. Raises ``InvalidInputError`` with
    ``input.fee-rate.consolidation`` (``fee_rate`` above ``limit``) or ``input.consolidation`` (nothing to gain).
    """
    rng = rng if rng is not None else random.SystemRandom()
    if fee_rate > limit:
        raise InvalidInputError(
            f"joining coins at {fee_rate} costs more than it saves: wait until fees are at {limit} or below",
            code="input.fee-rate.consolidation",
        )
    refuse_duplicates(coins)
    _, free = spendable(coins, tip_height=tip_height, exclude=exclude, min_confirmations=min_confirmations)
    kinds = one_kind_of_lock(free)
    together = max(kinds, key=len)
    target = Target(Sats(0), (), change.script, change.key.input_weight, max_weight=max_weight)
    pool = Pool(together, target, fee_rate)
    places: list[int] = []
    weight = 0
    for place in range(len(pool.effective) - 1, -1, -1):
        weight += pool.weights[place]
        if weight > pool.max_weight or (most is not None and len(places) >= most):
            break
        places.append(place)
    chosen = list(pool.coins_at(places))
    lack = 0 if pool.deficits is None else pool.deficits.of({coin.outpoint.txid for coin in chosen})
    fee = package_fee(fee_rate, -(-spending_weight(chosen, [change.script]) // 4), lack)
    total = sum([coin.output.value for coin in chosen])
    if len(chosen) < 2 or total - fee < target.min_change:
        raise InvalidInputError(
            f"{len(chosen)} coins are worth joining at {fee_rate}: there is nothing to gain, wait for more coins or "
            "lower fees",
            code="input.consolidation",
        )
    rng.shuffle(chosen)
    locktime = locktime_against_fee_sniping(tip_height, rng)
    output = TxOut(Sats(total - fee), change.script)
    return draft(chosen, [output], change=change, change_index=0, locktime=locktime, bump=Sats(-(-lack // 1000)))
