"""Replacing an unconfirmed transaction of one's own: a higher fee for the same payees, or a cancellation (BIP-125)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.coins import MAX_STANDARD_WEIGHT, Target
from bursar.bitcoin.draft import BuiltTransfer, ChangeKey, draft
from bursar.bitcoin.eligible import refuse_duplicates
from bursar.bitcoin.package import lack_of, package_fee
from bursar.bitcoin.script import dust_threshold
from bursar.bitcoin.timelocks import is_mature
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import FeeRate, Sats, btc_text
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.coins import Coin

INCREMENTAL_RATE: Final = FeeRate(1000)
"""What a replacement pays for its own relay on top of the fees it replaces (BIP-125 rule 4)."""
MOST_EVICTED: Final = 100
"""A replacement may throw at most this many transactions out of the mempool, descendants counted (rule 5)."""


@dataclass(frozen=True, slots=True)
class _Replaced:
    """What the rules compare a replacement with."""

    original: Transaction
    coins: tuple[Coin, ...]  # in the order of its inputs
    fee: int
    descendant_fees: int
    incremental_rate: FeeRate

    def least_fee(self, vsize: int) -> int:
        """What a replacement of ``vsize`` pays at least: rules 3 and 4, and a higher rate than before (rule 6)."""
        higher = FeeRate(FeeRate.of(self.fee, self.original.vsize).sat_per_kvb + 1)
        return max(self.fee + self.descendant_fees + self.incremental_rate.fee(vsize), higher.fee(vsize))

    def least_rate(self, vsize: int) -> FeeRate:
        return FeeRate(-(-self.least_fee(vsize) * 1000 // vsize))


def _replaced(
    original: Transaction,
    coins: Sequence[Coin],
    descendant_fees: Sats,
    descendants: int,
    incremental_rate: FeeRate,
) -> _Replaced:
    refuse_duplicates(coins)
    by_outpoint = {coin.outpoint: coin for coin in coins}
    if by_outpoint.keys() != {spending.outpoint for spending in original.inputs}:
        raise InvalidInputError(
            f"the coins given are not those transaction {original.txid} spends: give exactly these",
            code="input.replacement",
        )
    if descendants + 1 > MOST_EVICTED:
        raise InvalidInputError(
            f"replacing {original.txid} throws out {descendants + 1} transactions, nodes allow {MOST_EVICTED}: wait, "
            "or speed up the last of the chain by a child of its own",
            code="input.replacement",
        )
    fee = sum([coin.output.value for coin in coins]) - sum([output.value for output in original.outputs])
    if fee < 0:
        raise InvalidInputError(
            f"transaction {original.txid} pays {-fee} sat more than the coins given hold: fetch them again",
            code="input.replacement",
        )
    ordered = tuple([by_outpoint[spending.outpoint] for spending in original.inputs])
    return _Replaced(original, ordered, fee, int(descendant_fees), incremental_rate)


def minimum_bump_rate(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    incremental_rate: FeeRate = INCREMENTAL_RATE,
) -> FeeRate:
    """The lowest rate at which a replacement as large as ``original`` meets BIP-125's rules 3, 4 and 6."""
    return _replaced(original, coins, descendant_fees, 0, incremental_rate).least_rate(original.vsize)


def minimum_cancel_rate(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    incremental_rate: FeeRate = INCREMENTAL_RATE,
) -> FeeRate:
    """The lowest rate at which ``build_cancel`` meets the rules: higher than for a bump where it is smaller."""
    vsize = -(-spending_weight(coins, [change.script]) // 4)
    return _replaced(original, coins, descendant_fees, 0, incremental_rate).least_rate(vsize)


def build_bump(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    extra_coins: Sequence[Coin] = (),
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    descendants: int = 0,
    incremental_rate: FeeRate = INCREMENTAL_RATE,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """Replace ``original`` (BIP-125): every output but the change is kept as it is, the change pays the higher fee.

    ``change`` is the change key ``original`` was built with: the output to its script shrinks, every other one is kept.
    ``coins`` are all the coins ``original`` spends; ``extra_coins`` are added, largest first, when the change does not
    suffice (only confirmed ones: rule 2). ``descendant_fees`` is what the evicted ``descendants`` paid (rules 3, 5).
    ``fee_rate`` counts unconfirmed ancestors of the coins too, where their packages are known.

    Raises ``InvalidInputError`` with ``input.replacement`` (original does not signal, other coins, too many evicted),
    ``input.fee-rate.replacement`` (too low for the rules), ``input.transaction.weight``, or ``InsufficientFundsError``.
    """
    rng = rng if rng is not None else random.SystemRandom()
    replaced = _replaced(original, coins, descendant_fees, descendants, incremental_rate)
    place = next((at for at, output in enumerate(original.outputs) if output.script == change.script), None)
    kept = [output for at, output in enumerate(original.outputs) if at != place]
    return _replace(replaced, kept, place, change, fee_rate, tip_height, extra_coins, rng)


def build_cancel(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    extra_coins: Sequence[Coin] = (),
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    descendants: int = 0,
    incremental_rate: FeeRate = INCREMENTAL_RATE,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """Replace ``original`` by a transaction that pays nobody: all of its coins return to ``change``.

    Options and errors are those of ``build_bump``. Until it is mined either transaction may be.
    """
    rng = rng if rng is not None else random.SystemRandom()
    replaced = _replaced(original, coins, descendant_fees, descendants, incremental_rate)
    return _replace(replaced, [], 0, change, fee_rate, tip_height, extra_coins, rng)


def _replace(
    replaced: _Replaced,
    kept: list[TxOut],
    place: int | None,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    extra_coins: Sequence[Coin],
    rng: random.Random,
) -> BuiltTransfer:
    original = replaced.original
    if not original.replaceable:
        raise InvalidInputError(
            f"transaction {original.txid} does not signal replacement: its fee stays, speed it up by a child",
            code="input.replacement",
        )
    chosen = list(replaced.coins)
    spare = _spare(replaced, extra_coins, fee_rate, tip_height)
    paid = sum([output.value for output in kept])
    least_change = Target(Sats(paid), (), change.script, change.key.input_weight).min_change
    if not kept:
        least_change = dust_threshold(change.script)
    scripts = [output.script for output in kept]
    lack = lack_of(chosen, fee_rate)
    while True:
        total = sum([coin.output.value for coin in chosen])
        weight = spending_weight(chosen, [*scripts, change.script])
        rest = total - paid - package_fee(fee_rate, -(-weight // 4), lack)
        if rest >= least_change:
            break
        weight = spending_weight(chosen, scripts) if kept else weight
        needed = paid + package_fee(fee_rate, -(-weight // 4), lack) + (0 if kept else least_change)
        if total >= needed:
            rest = 0
            break
        if not spare:
            raise InsufficientFundsError(
                f"the replacement needs {btc_text(needed)} with its fee, {btc_text(total)} are "
                "available: add confirmed coins",
                needed=needed,
                available=total,
            )
        chosen.append(spare.pop())
    if weight > MAX_STANDARD_WEIGHT:
        raise InvalidInputError(
            f"the replacement spends {len(chosen)} coins, more than nodes relay at once: give larger extra coins",
            code="input.transaction.weight",
        )
    fee, vsize = total - paid - rest, -(-weight // 4)
    if fee < replaced.least_fee(vsize):
        raise InvalidInputError(
            f"a fee of {fee} sat at {fee_rate} is too low to replace {replaced.fee} sat: "
            f"ask for at least {replaced.least_rate(vsize)}",
            code="input.fee-rate.replacement",
        )
    change_index = None
    outputs = kept
    if rest:
        change_index = rng.randrange(len(kept) + 1) if place is None else min(place, len(kept))
        outputs = [*kept[:change_index], TxOut(Sats(rest), change.script), *kept[change_index:]]
    return draft(
        chosen,
        outputs,
        change=change,
        change_index=change_index,
        locktime=original.locktime,  # no payment gets through earlier; signers with a screen take no other
        version=max(original.version, 2),
        bump=Sats(-(-lack // 1000)),
    )


def _spare(replaced: _Replaced, extra_coins: Sequence[Coin], fee_rate: FeeRate, tip_height: int | None) -> list[Coin]:
    """The extra coins that may be added and are worth their fee, ascending by value."""
    taken = {coin.outpoint for coin in replaced.coins}
    spare = [
        coin
        for coin in extra_coins
        if coin.height is not None
        and coin.outpoint not in taken
        and is_mature(coin, tip_height)
        and 4000 * coin.output.value > (coin.input_weight + 1) * fee_rate.sat_per_kvb
    ]
    refuse_duplicates(spare)
    return sorted(spare, key=lambda coin: coin.output.value)
