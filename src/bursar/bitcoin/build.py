"""Building transfers and their replacements (BIP-125) as PSBTs ready for review and signing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bursar.bitcoin.coins import MAX_STANDARD_WEIGHT, Coin, CoinSelector, Target
from bursar.bitcoin.draft import (
    BuiltTransfer,
    ChangeKey,
    draft,
    locktime_against_fee_sniping,
    refuse_duplicates,
)
from bursar.bitcoin.script import dust_threshold
from bursar.bitcoin.selection import DefaultSelector
from bursar.bitcoin.timelocks import is_mature
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import MAX_MONEY, FeeRate, Sats, btc_text
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

__all__ = ["INCREMENTAL_RATE", "BuiltTransfer", "ChangeKey", "build_bump", "build_transfer", "minimum_bump_rate"]

INCREMENTAL_RATE = FeeRate(1000)
"""What a replacement pays for its own relay on top of the fees it replaces (BIP-125 rule 4)."""


def build_transfer(
    network: Network,
    coins: Sequence[Coin],
    payments: Sequence[tuple[Address, Sats]],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    selector: CoinSelector | None = None,
    rng: random.Random | None = None,
    send_max: bool = False,
) -> BuiltTransfer:
    """Choose among ``coins`` and pay ``payments``; the rest returns to ``change``.

    Coinbase coins that are not mature at ``tip_height`` are left alone; with ``tip_height=None`` the locktime is 0.
    With ``send_max`` every coin worth its fee is spent, and the one payment whose amount is 0 gets the rest.

    Raises ``InsufficientFundsError``, or ``InvalidInputError`` with one of the codes ``input.payments`` (none),
    ``input.address.network``, ``input.amount.dust``, ``input.amount.range``, ``input.coin.*``,
    ``input.transaction.weight``.
    """
    rng = rng if rng is not None else random.SystemRandom()
    _check_payments(network, payments, send_max=send_max)
    refuse_duplicates(coins)
    usable = [coin for coin in coins if is_mature(coin, tip_height)]
    locktime = locktime_against_fee_sniping(tip_height, rng)
    if send_max:
        return _build_max(usable, payments, fee_rate, locktime, rng)
    target = Target(
        Sats(sum([amount for _, amount in payments])),
        tuple([address.script for address, _ in payments]),
        change.script,
        change.key.input_weight,
    )
    selection = (selector or DefaultSelector(rng)).select(usable, target=target, fee_rate=fee_rate)
    chosen = list(selection.coins)
    rng.shuffle(chosen)
    outputs = [TxOut(Sats(amount), address.script) for address, amount in payments]
    change_index = None
    if selection.change:
        change_index = rng.randrange(len(outputs) + 1)
        outputs.insert(change_index, TxOut(selection.change, change.script))
    built = draft(chosen, outputs, change=change, change_index=change_index, locktime=locktime)
    _check_rate(built, fee_rate)
    return built


def _check_payments(network: Network, payments: Sequence[tuple[Address, Sats]], *, send_max: bool) -> None:
    if not payments:
        raise InvalidInputError("there is nothing to pay: name at least one recipient", code="input.payments")
    for address, amount in payments:
        if address.network != network:
            raise InvalidInputError(
                f"address {address} belongs to {address.network}, not to {network}", code="input.address.network"
            )
        if send_max and amount == 0:
            continue
        least = dust_threshold(address.script)
        if Sats(amount) < least:
            raise InvalidInputError(
                f"paying {amount} sat to {address} is dust that nodes do not relay: pay at least {least} sat",
                code="input.amount.dust",
            )
    if sum([amount for _, amount in payments]) > MAX_MONEY:
        raise InvalidInputError("the payments add up to more than 21 million BTC", code="input.amount.range")
    if send_max and [amount for _, amount in payments].count(Sats(0)) != 1:
        raise InvalidInputError(
            "sending everything needs exactly one payment of amount 0, which gets the rest", code="input.payments"
        )


def _check_rate(built: BuiltTransfer, fee_rate: FeeRate) -> None:
    """Whatever selector was given, its answer pays the rate asked for."""
    if built.fee < fee_rate.fee(built.vsize):
        raise InvalidInputError(
            f"the coin selector left a fee of {built.fee} sat where {fee_rate.fee(built.vsize)} sat were asked for",
            code="input.selector",
        )


def _build_max(
    coins: Sequence[Coin],
    payments: Sequence[tuple[Address, Sats]],
    fee_rate: FeeRate,
    locktime: int,
    rng: random.Random,
) -> BuiltTransfer:
    rate = fee_rate.sat_per_kvb
    chosen = [coin for coin in coins if 4000 * coin.output.value > coin.input_weight * rate]
    rng.shuffle(chosen)
    weight = spending_weight(chosen, [address.script for address, _ in payments])
    if weight > MAX_STANDARD_WEIGHT:
        raise InvalidInputError(
            f"spending {len(chosen)} coins at once is more than nodes relay: send in parts",
            code="input.transaction.weight",
        )
    total = sum([coin.output.value for coin in chosen])
    fee = fee_rate.fee(-(-weight // 4))
    rest = total - fee - sum([amount for _, amount in payments])
    least = next(dust_threshold(address.script) for address, amount in payments if amount == 0)
    if not chosen or rest < max(least, 1):
        needed = total - rest + max(least, 1)
        raise InsufficientFundsError(
            f"{btc_text(needed)} are needed with the fee and {btc_text(total)} are worth their fee at {fee_rate}",
            needed=needed,
            available=total,
        )
    outputs = [TxOut(Sats(amount or rest), address.script) for address, amount in payments]
    return draft(chosen, outputs, change=None, change_index=None, locktime=locktime)


def minimum_bump_rate(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    incremental_rate: FeeRate = INCREMENTAL_RATE,
) -> FeeRate:
    """The lowest rate at which a replacement as large as ``original`` meets BIP-125's rules 3, 4 and 6."""
    vsize = original.vsize
    fee = _fee_of(original, coins)
    least = _least_fee(original, fee, vsize, descendant_fees, incremental_rate)
    return FeeRate(-(-least * 1000 // vsize))


def build_bump(
    original: Transaction,
    coins: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int | None,
    extra_coins: Sequence[Coin] = (),
    descendant_fees: Sats = Sats(0),  # noqa: B008  (immutable)
    incremental_rate: FeeRate = INCREMENTAL_RATE,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """Replace ``original`` (BIP-125): every output but the change is kept as it is, the change pays the higher fee.

    ``change`` is the change key ``original`` was built with: the output to its script shrinks, every other one is kept.
    ``coins`` are all the coins ``original`` spends; ``extra_coins`` are added, largest first, when the change does not
    suffice (only confirmed ones: rule 2). ``descendant_fees`` is what the evicted descendants paid (rule 3).

    Raises ``InvalidInputError`` with ``input.replacement`` (original does not signal or other coins),
    ``input.fee-rate.replacement`` (too low for the rules), or ``InsufficientFundsError``.
    """
    rng = rng if rng is not None else random.SystemRandom()
    if not original.replaceable:
        raise InvalidInputError(
            f"transaction {original.txid} does not signal replacement: its fee cannot be bumped",
            code="input.replacement",
        )
    old_fee = _fee_of(original, coins)
    by_outpoint = {coin.outpoint: coin for coin in coins}
    chosen = [by_outpoint[spending.outpoint] for spending in original.inputs]
    kept = [output for output in original.outputs if output.script != change.script]
    place = next((at for at, output in enumerate(original.outputs) if output.script == change.script), None)
    spare = sorted(
        [
            coin
            for coin in extra_coins
            if coin.height is not None
            and coin.outpoint not in by_outpoint
            and is_mature(coin, tip_height)
            and 4000 * coin.output.value > coin.input_weight * fee_rate.sat_per_kvb
        ],
        key=lambda coin: coin.output.value,
    )
    refuse_duplicates(spare)
    paid = sum([output.value for output in kept])
    least_change = Target(Sats(paid), (), change.script, change.key.input_weight).min_change
    scripts = [output.script for output in kept]
    while True:
        total = sum([coin.output.value for coin in chosen])
        vsize = -(-spending_weight(chosen, [*scripts, change.script]) // 4)
        rest = total - paid - fee_rate.fee(vsize)
        if rest >= least_change:
            break
        vsize = -(-spending_weight(chosen, scripts) // 4) if kept else vsize
        needed = paid + fee_rate.fee(vsize) + (0 if kept else least_change)
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
    fee = total - paid - rest
    _check_replacement(original, old_fee, fee, vsize, fee_rate, descendant_fees, incremental_rate)
    change_index = None
    outputs = kept
    if rest:
        change_index = rng.randrange(len(kept) + 1) if place is None else min(place, len(kept))
        outputs = [*kept[:change_index], TxOut(Sats(rest), change.script), *kept[change_index:]]
    locktime = locktime_against_fee_sniping(tip_height, rng)
    return draft(
        chosen,
        outputs,
        change=change,
        change_index=change_index,
        locktime=locktime,
        version=max(original.version, 2),
    )


def _fee_of(original: Transaction, coins: Sequence[Coin]) -> int:
    refuse_duplicates(coins)
    if {coin.outpoint for coin in coins} != {spending.outpoint for spending in original.inputs}:
        raise InvalidInputError(
            f"the coins given are not those transaction {original.txid} spends: give exactly these",
            code="input.replacement",
        )
    fee = sum([coin.output.value for coin in coins]) - sum([output.value for output in original.outputs])
    return int(Sats(fee))


def _least_fee(original: Transaction, old_fee: int, vsize: int, descendant_fees: int, incremental_rate: FeeRate) -> int:
    """What a replacement of ``vsize`` pays at least: rules 3 and 4, and a higher rate than before (rule 6)."""
    higher = FeeRate(FeeRate.of(old_fee, original.vsize).sat_per_kvb + 1)
    return max(old_fee + descendant_fees + incremental_rate.fee(vsize), higher.fee(vsize))


def _check_replacement(
    original: Transaction,
    old_fee: int,
    fee: int,
    vsize: int,
    fee_rate: FeeRate,
    descendant_fees: int,
    incremental_rate: FeeRate,
) -> None:
    least = _least_fee(original, old_fee, vsize, descendant_fees, incremental_rate)
    if fee < least:
        raise InvalidInputError(
            f"a fee of {fee} sat at {fee_rate} is too low to replace {old_fee} sat: "
            f"ask for at least {FeeRate(-(-least * 1000 // vsize))}",
            code="input.fee-rate.replacement",
        )
