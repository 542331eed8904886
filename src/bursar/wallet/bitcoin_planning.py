"""Plans of Bitcoin transfers, decided without I/O: coins, change, fee, and the review of the result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.address import Address
from bursar.bitcoin.build import build_bump, build_cancel, build_transfer, minimum_bump_rate, minimum_cancel_rate
from bursar.bitcoin.coins import Selection, Target
from bursar.bitcoin.eligible import one_kind_of_lock
from bursar.bitcoin.script import op_return
from bursar.bitcoin.selection import CoinGrinder, Consolidation, DefaultSelector, OldestFirst, Privacy
from bursar.bitcoin.transaction import OutPoint
from bursar.bitcoin.units import FeeRate, Sats
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.ethereum.units import Wei
from bursar.policy.review import Change, Payment, Review
from bursar.wallet.accounts import native_asset
from bursar.wallet.cautions import Facts, cautions

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.coins import Coin, CoinSelector
    from bursar.bitcoin.draft import BuiltTransfer, ChangeKey
    from bursar.bitcoin.transaction import Transaction
    from bursar.wallet.signature_needs import SignatureNeeds
    from bursar.wallet.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Coins:
    """What may be spent: ``named`` in any case, ``first``, and ``more`` only when that does not suffice."""

    named: tuple[Coin, ...]
    first: tuple[Coin, ...]
    more: tuple[Coin, ...]


def read_payments(account: ScriptAccount, transfer: Transfer) -> list[tuple[Address, Sats]]:
    """The payees, parsed strictly for the account's network; only BTC can be paid, and each payee once."""
    payments: list[tuple[Address, Sats]] = []
    for order in transfer.payments:
        if order.asset.upper() != "BTC":
            raise InvalidInputError(f"{order.asset[:60]!r} is no asset of a bitcoin account", code="input.asset")
        if order.amount == 0 and not transfer.everything:
            raise InvalidInputError(f"the amount for {order.to[:90]} is zero", code="input.amount")
        payments.append((Address.from_text(order.to, account.network), Sats(order.amount)))
    texts = [str(address) for address, _ in payments]
    if len(set(texts)) != len(texts):
        raise InvalidInputError("the same address is paid twice: add the amounts", code="input.address")
    return payments


@dataclass(frozen=True, slots=True)
class Chosen:
    """A selection already made, for ``build_transfer``; it is a ``CoinSelector`` of one answer."""

    selection: Selection

    def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection:
        """The selection, with the coins of the question in place of their sketches."""
        del fee_rate
        return replace(self.selection, coins=(*target.fixed, *coins))


def _selector(transfer: Transfer, rng: random.Random | None) -> CoinSelector:
    match transfer.strategy:
        case "minimum-weight":
            return CoinGrinder()
        case "oldest":
            return OldestFirst()
        case "privacy":
            return Privacy()
        case "consolidation":
            return Consolidation(rng)
    return DefaultSelector(rng)


def choose(
    account: ScriptAccount,
    transfer: Transfer,
    coins: Coins,
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    rng: random.Random | None = None,
) -> Chosen | None:
    """Pick among sketched coins; ``None`` when everything shall be sent. ``InsufficientFundsError`` counts it all."""
    payments = read_payments(account, transfer)
    if transfer.everything:
        return None
    scripts = [address.script for address, _ in payments]
    if transfer.data is not None:
        scripts.append(op_return(transfer.data))
    target = Target(
        Sats(sum(amount for _, amount in payments)),
        tuple(scripts),
        change.script,
        change.key.input_weight,
        fixed=coins.named,
        fee_included=transfer.subtract_fee,
    )
    selector = _selector(transfer, rng)
    try:
        return Chosen(_select(selector, coins.first, target, fee_rate))
    except InsufficientFundsError:
        if not coins.more:
            raise
    return Chosen(_select(selector, (*coins.first, *coins.more), target, fee_rate))


def _select(selector: CoinSelector, free: Sequence[Coin], target: Target, fee_rate: FeeRate) -> Selection:
    """One transaction keeps timelocks by height or by time: of coins of both kinds, one kind is chosen among."""
    fixed = {coin.outpoint for coin in target.fixed}
    groups = one_kind_of_lock([*target.fixed, *free])
    shortest: InsufficientFundsError | None = None
    for together in groups:
        others = [coin for coin in together if coin.outpoint not in fixed]
        if len(others) + len(fixed) > len(together):
            continue
        try:
            return selector.select(others, target=target, fee_rate=fee_rate)
        except InsufficientFundsError as error:
            shortest = error
    if shortest is None:
        return selector.select([], target=target, fee_rate=fee_rate)
    raise shortest


def build(
    account: ScriptAccount,
    transfer: Transfer,
    coins: Sequence[Coin],
    *,
    chosen: Chosen | None,
    change: ChangeKey,
    fee_rate: FeeRate,
    tip_height: int,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """The transfer that spends exactly ``coins``, completed."""
    payments = read_payments(account, transfer)
    return build_transfer(
        account.network,
        coins,
        payments,
        change=change,
        fee_rate=fee_rate,
        tip_height=tip_height,
        selector=chosen,
        rng=rng,
        send_max=transfer.everything,
        subtract_fee=range(len(payments)) if transfer.subtract_fee else (),
        data=transfer.data,
        fixed=[OutPoint.from_text(text) for text in transfer.coins],
    )


def build_replacement(
    original: Transaction,
    spent: Sequence[Coin],
    *,
    change: ChangeKey,
    fee_rate: FeeRate,
    exact: bool,
    extra: Sequence[Coin],
    tip_height: int,
    cancel: bool,
    rng: random.Random | None = None,
) -> BuiltTransfer:
    """A replacement of ``original`` (BIP-125): the same payees, or with ``cancel`` only ourselves.

    A rate below what the rules ask is raised to the least that replaces, unless it is ``exact``: then it is refused.
    """
    if cancel:
        least = minimum_cancel_rate(original, spent, change=change)
        return build_cancel(
            original,
            spent,
            change=change,
            fee_rate=fee_rate if exact else max(least, fee_rate),
            tip_height=tip_height,
            extra_coins=extra,
            rng=rng,
        )
    return build_bump(
        original,
        spent,
        change=change,
        fee_rate=fee_rate if exact else max(minimum_bump_rate(original, spent), fee_rate),
        tip_height=tip_height,
        extra_coins=extra,
        rng=rng,
    )


def check_cap(fee: int, cap: int | None, unit: str) -> None:
    """The hard cap of the fee choice; ``InvalidInputError`` (``input.fee.cap``)."""
    if cap is not None and fee > cap:
        most, limit = (Wei(one).to_eth_text() if unit == "wei" else f"{one} {unit}" for one in (fee, cap))
        raise InvalidInputError(
            f"the fee may reach {most}, over the cap of {limit}: raise the cap or wait", code="input.fee.cap"
        )


def review_of(
    account: ScriptAccount,
    name: str,
    built: BuiltTransfer,
    *,
    change_path: tuple[bytes, str] | None,
    facts: Facts,
    replaces: str | None,
    needs: SignatureNeeds | None = None,
) -> Review:
    """Every output of ``built`` in words: payments, and the one that provably returns by ``change_path``."""
    asset = native_asset(account)
    payments: list[Payment] = []
    change: list[Change] = []
    data: str | None = None
    for number, output in enumerate(built.psbt.tx.outputs):
        if output.script[:1] == b"\x6a":
            data = output.script.hex()
            continue
        address = str(Address.from_script(output.script, account.network))
        if number == built.change_index and change_path is not None and output.script == change_path[0]:
            change.append(Change(address, int(output.value), change_path[1]))
        else:
            payments.append(Payment(asset, address, int(output.value), facts.labels.get(address)))
    fee = int(built.fee)
    unconfirmed = sum(1 for coin in built.coins if coin.height is None)
    unverified = list(facts.unverified)
    if unconfirmed:
        unverified.append(f"spends {unconfirmed} coin{'s' if unconfirmed > 1 else ''} of our own not yet in a block")
    extra: dict[str, Any] = {
        "coins": len(built.coins),
        "virtual size": built.vsize,
        "locktime": built.psbt.tx.locktime,
    }
    if needs is not None:
        extra["signatures"] = str(needs)
    if data is not None:
        extra["data"] = data
    if built.bump:
        extra["fee for ancestors"] = int(built.bump)
    facts = replace(facts, unverified=unverified)
    return Review(
        chain="bitcoin",
        network=account.network.name,
        account=name,
        payments=tuple(payments),
        change=tuple(change),
        fee=fee,
        max_fee=fee,
        fee_asset=asset,
        fee_rate=str(FeeRate.of(fee, built.vsize)),
        warnings=cautions(payments, fee=fee, facts=facts),
        replaces=replaces,
        extra=extra,
    )
