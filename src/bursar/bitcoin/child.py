"""Child pays for parent: spending an unconfirmed coin of our own so that all it stands on is mined with it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.bitcoin.draft import BuiltTransfer, ChangeKey, draft, locktime_against_fee_sniping
from bursar.bitcoin.eligible import refuse_duplicates
from bursar.bitcoin.package import AncestorPackage, lack_of, package_fee, refuse_long_chain
from bursar.bitcoin.script import dust_threshold
from bursar.bitcoin.timelocks import is_mature
from bursar.bitcoin.transaction import TxOut
from bursar.bitcoin.units import FeeRate, Sats, btc_text
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin
    from bursar.bitcoin.package import Unconfirmed


def build_cpfp(
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    parents: Sequence[Unconfirmed] = (),
    extra_coins: Sequence[Coin] = (),
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """Spend ``coins``, outputs of stuck transactions, to ``change`` so that the whole package pays ``fee_rate``.

    ``parents`` are the stuck transactions with all their unconfirmed ancestors, in any order; without them each coin
    carries its ``package``. The stuck ones may pay us or be our own. ``extra_coins`` (confirmed) are added, largest
    first, when ``coins`` do not pay for it all.

    Raises ``InvalidInputError`` with ``input.cpfp`` (nothing to speed up, or it pays that rate already),
    ``input.coin.package`` (fees unknown, chain too long), or ``InsufficientFundsError``.
    """
    rng = rng if rng is not None else random.SystemRandom()
    refuse_duplicates(coins)
    if not coins:
        raise InvalidInputError("no coin of a stuck transaction is given: name one that pays us", code="input.cpfp")
    chosen = [_stuck(coin, parents) for coin in coins]
    lack = lack_of(chosen, fee_rate)
    if lack <= 0:
        raise InvalidInputError(
            f"the transactions of these coins pay {fee_rate} already: ask for a higher rate, or wait", code="input.cpfp"
        )
    taken = {coin.outpoint for coin in coins}
    spare = sorted(
        [
            coin
            for coin in extra_coins
            if coin.height is not None and coin.outpoint not in taken and is_mature(coin, tip_height)
        ],
        key=lambda coin: coin.output.value,
    )
    refuse_duplicates(spare)
    least = dust_threshold(change.script)
    while True:
        total = sum([coin.output.value for coin in chosen])
        vsize = -(-spending_weight(chosen, [change.script]) // 4)
        fee = package_fee(fee_rate, vsize, lack)
        if total - fee >= least:
            break
        if not spare:
            raise InsufficientFundsError(
                f"lifting the package to {fee_rate} takes a fee of {btc_text(fee)}, the coins hold {btc_text(total)}: "
                "ask for a lower rate, or add confirmed coins",
                needed=fee + least,
                available=total,
            )
        chosen.append(spare.pop())
    refuse_long_chain(chosen, fee_rate, vsize, "replace the first of them instead")
    locktime = locktime_against_fee_sniping(tip_height, rng)
    output = TxOut(Sats(total - fee), change.script)
    return draft(chosen, [output], change=change, change_index=0, locktime=locktime, bump=Sats(-(-lack // 1000)))


def _stuck(coin: Coin, parents: Sequence[Unconfirmed]) -> Coin:
    if coin.height is not None:
        raise InvalidInputError(
            f"coin {coin.outpoint} is confirmed: there is nothing left to speed up", code="input.cpfp"
        )
    if parents:
        return replace(coin, package=AncestorPackage.of(coin.outpoint.txid, parents))
    if coin.package is None:
        raise InvalidInputError(
            f"what transaction {coin.outpoint.txid} and its ancestors pay is not known: ask the node for it",
            code="input.coin.package",
        )
    return coin
