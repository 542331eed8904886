"""Building transfers as PSBTs ready for review and signing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from bursar.bitcoin.child import build_cpfp
from bursar.bitcoin.coins import MAX_STANDARD_WEIGHT, Coin, CoinSelector, Selection, Target
from bursar.bitcoin.consolidate import build_consolidation
from bursar.bitcoin.draft import BuiltTransfer, ChangeKey, draft, locktime_against_fee_sniping
from bursar.bitcoin.eligible import one_kind_of_lock, refuse_duplicates, spendable
from bursar.bitcoin.package import lack_of, package_fee, refuse_long_chain
from bursar.bitcoin.replacement import (
    INCREMENTAL_RATE,
    build_bump,
    build_cancel,
    minimum_bump_rate,
    minimum_cancel_rate,
)
from bursar.bitcoin.script import dust_threshold, op_return
from bursar.bitcoin.selection import DefaultSelector
from bursar.bitcoin.selection.pool import Pool
from bursar.bitcoin.transaction import OutPoint, TxOut
from bursar.bitcoin.units import MAX_MONEY, FeeRate, Sats, btc_text
from bursar.bitcoin.weight import spending_weight
from bursar.errors import InsufficientFundsError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

__all__ = [
    "INCREMENTAL_RATE",
    "BuiltTransfer",
    "ChangeKey",
    "build_bump",
    "build_cancel",
    "build_consolidation",
    "build_cpfp",
    "build_transfer",
    "minimum_bump_rate",
    "minimum_cancel_rate",
]


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
    subtract_fee: Sequence[int] = (),
    data: bytes | None = None,
    locktime: int | None = None,
    fixed: Collection[OutPoint] = (),
    exclude: Collection[OutPoint] = (),
    min_confirmations: int = 0,
    max_weight: int = MAX_STANDARD_WEIGHT,
) -> BuiltTransfer:
    """Choose among ``coins`` and pay ``payments``; the rest returns to ``change``.

    Coins that are not mature at ``tip_height`` are left alone; with ``tip_height=None`` the locktime is 0. A given
    ``locktime`` is kept as it is, and coins it does not unlock are left alone. ``fixed`` coins are spent in any case,
    ``exclude`` ones never; the others need ``min_confirmations``. ``data`` adds an OP_RETURN output.
    With ``send_max`` every coin worth its fee is spent, and the one payment whose amount is 0 gets the rest. The
    payments whose places are in ``subtract_fee`` share the fee, the first of them what cannot be shared.

    Raises ``InsufficientFundsError``, or ``InvalidInputError`` with one of the codes ``input.payments`` (none),
    ``input.address.network``, ``input.amount.dust``, ``input.amount.range``, ``input.coin.*``, ``input.confirmations``,
    ``input.selection``, ``input.transaction.weight``, ``input.transaction`` (locktime).
    """
    rng = rng if rng is not None else random.SystemRandom()
    _check_payments(network, payments, send_max=send_max, data=data)
    _check_sharing(payments, subtract_fee, send_max=send_max)
    refuse_duplicates(coins)
    must, free = spendable(
        coins,
        tip_height=tip_height,
        locktime=locktime,
        fixed=fixed,
        exclude=exclude,
        min_confirmations=min_confirmations,
    )
    outputs = [TxOut(Sats(amount), address.script) for address, amount in payments]
    if data is not None:
        outputs.append(TxOut(Sats(0), op_return(data)))
    target = Target(
        Sats(sum([amount for _, amount in payments])),
        tuple([output.script for output in outputs]),
        change.script,
        change.key.input_weight,
        must,
        bool(subtract_fee),
        max_weight,
    )
    when = locktime_against_fee_sniping(tip_height, rng) if locktime is None else locktime
    if send_max:
        return _build_max(free, outputs, target, fee_rate, when, rng)
    selection = _select(selector or DefaultSelector(rng), free, target, fee_rate)
    chosen = list(selection.coins)
    _check_choice(chosen, target)
    rng.shuffle(chosen)
    if subtract_fee:
        outputs = _shared(outputs, subtract_fee, selection, fee_rate)
    change_index = None
    if selection.change:
        change_index = rng.randrange(len(outputs) + 1)
        outputs.insert(change_index, TxOut(selection.change, change.script))
    lack = lack_of(chosen, fee_rate)
    built = draft(
        chosen,
        outputs,
        change=change,
        change_index=change_index,
        locktime=when,
        bump=Sats(-(-lack // 1000)),
    )
    _check_rate(built, package_fee(fee_rate, built.vsize, lack))
    return built


def _check_payments(
    network: Network, payments: Sequence[tuple[Address, Sats]], *, send_max: bool, data: bytes | None
) -> None:
    if not payments and data is None:
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


def _check_sharing(payments: Sequence[object], subtract_fee: Sequence[int], *, send_max: bool) -> None:
    if not subtract_fee:
        return
    if send_max:
        raise InvalidInputError(
            "when everything is sent the fee comes out of it already: leave out one of the two", code="input.payments"
        )
    if len(set(subtract_fee)) != len(subtract_fee) or not set(subtract_fee) <= set(range(len(payments))):
        raise InvalidInputError(
            f"the fee cannot be taken from payments {list(subtract_fee)} of {len(payments)}: name each by its place, "
            "from 0, once",
            code="input.payments",
        )


def _select(selector: CoinSelector, free: Sequence[Coin], target: Target, fee_rate: FeeRate) -> Selection:
    """One transaction cannot keep timelocks by height and by time: where both occur, heights are tried first."""
    fixed = {coin.outpoint for coin in target.fixed}
    shortest: InsufficientFundsError | None = None
    for together in one_kind_of_lock([*target.fixed, *free]) if target.fixed else one_kind_of_lock(free):
        others = [coin for coin in together if coin.outpoint not in fixed] if fixed else together
        if len(others) + len(fixed) > len(together):
            continue  # a fixed coin is of the other kind
        try:
            return selector.select(others, target=target, fee_rate=fee_rate)
        except InsufficientFundsError as error:
            if shortest is None or error.available > shortest.available:
                shortest = error
    if shortest is None:
        return selector.select([], target=target, fee_rate=fee_rate)
    raise shortest


def _check_choice(chosen: Sequence[Coin], target: Target) -> None:
    """Whatever selector was given, each coin is spent once and the fixed ones are."""
    outpoints = {coin.outpoint for coin in chosen}
    if len(outpoints) != len(chosen) or not {coin.outpoint for coin in target.fixed} <= outpoints:
        raise InvalidInputError(
            "the coin selector spends a coin twice or leaves out one that must be spent", code="input.selector"
        )


def _shared(outputs: list[TxOut], subtract_fee: Sequence[int], selection: Selection, fee_rate: FeeRate) -> list[TxOut]:
    """The outputs less the fee."""
    paid = sum([output.value for output in outputs])
    missing = paid + selection.fee + selection.change - sum([coin.output.value for coin in selection.coins])
    share, rest = divmod(missing, len(subtract_fee))
    result = list(outputs)
    for number, place in enumerate(subtract_fee):
        value, script = outputs[place]
        left = value - share - (rest if number == 0 else 0)
        least = dust_threshold(script)
        if left < least:
            raise InvalidInputError(
                f"a payment of {value} sat does not cover its share of the fee of {selection.fee} sat at {fee_rate}: "
                f"pay at least {value - left + least} sat, or the fee on top",
                code="input.amount.dust",
            )
        result[place] = TxOut(Sats(left), script)
    return result


def _check_rate(built: BuiltTransfer, least: Sats) -> None:
    """Whatever selector was given, its answer pays the rate asked for."""
    if built.fee < least:
        raise InvalidInputError(
            f"the coin selector left a fee of {built.fee} sat where {least} sat were asked for", code="input.selector"
        )


def _build_max(
    free: Sequence[Coin], outputs: list[TxOut], target: Target, fee_rate: FeeRate, locktime: int, rng: random.Random
) -> BuiltTransfer:
    free = max(one_kind_of_lock(free), key=lambda some: sum([coin.output.value for coin in some]))
    pool = Pool(free, target, fee_rate)
    chosen = list(pool.coins_at(range(len(pool.effective))))
    rng.shuffle(chosen)
    weight = spending_weight(chosen, target.outputs)
    if weight > target.max_weight:
        raise InvalidInputError(
            f"spending {len(chosen)} coins at once is more than nodes relay: send in parts",
            code="input.transaction.weight",
        )
    lack = lack_of(chosen, fee_rate)
    refuse_long_chain(chosen, fee_rate, -(-weight // 4), "wait until some are mined")
    total = sum([coin.output.value for coin in chosen])
    rest = total - package_fee(fee_rate, -(-weight // 4), lack) - target.amount
    place = next(at for at, output in enumerate(outputs) if output.value == 0)
    least = max(dust_threshold(outputs[place].script), 1)
    if not chosen or rest < least:
        needed = total - rest + least
        raise InsufficientFundsError(
            f"{btc_text(needed)} are needed with the fee and {btc_text(total)} are worth their fee at {fee_rate}",
            needed=needed,
            available=total,
        )
    outputs[place] = TxOut(Sats(rest), outputs[place].script)
    return draft(chosen, outputs, change=None, change_index=None, locktime=locktime, bump=Sats(-(-lack // 1000)))
