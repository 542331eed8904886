"""What a person types to money: amounts, fee rates and fee caps, each with its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from bursar.errors import InvalidInputError
from bursar.wallet.transfer import FeeChoice, PaymentOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.units import FeeRate
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.ethereum.token import Token
    from bursar.wallet.records import AccountRecord

_SMALL_UNITS = frozenset({"wei", "kwei", "mwei", "gwei"})  # of every Ethereum chain's coin
_UNIT = re.compile(r"[0-9.]+\s*(\D\S*)")
_ALL = re.compile(r"all(?:\s+(\S+))?", re.IGNORECASE)


def payment_orders(
    words: Sequence[str], record: AccountRecord, tokens: Sequence[Token], coin: str
) -> tuple[tuple[PaymentOrder, ...], bool]:
    """``ADDRESS AMOUNT …`` as payment orders, and whether the one amount is ``all``.

    A payment URI (``bitcoin:…``) stands for its address, and for its amount where it names one. ``coin`` is what the
    coin of the account's chain is called: BTC, ETH, POL.
    """
    pairs = _pairs(words, record)
    sweep = _ALL.fullmatch(pairs[0][1].strip()) if len(pairs) == 1 else None
    if sweep:
        asset = coin if sweep[1] is None else _asset_ofunit_of(sweep[1], record, tokens, coin)
        return (PaymentOrder(to=pairs[0][0], amount=0, asset=asset),), True
    return tuple(_order(to, amount, record, tokens, coin) for to, amount in pairs), False


def _pairs(words: Sequence[str], record: AccountRecord) -> list[tuple[str, str]]:
    rest = list(words)
    pairs: list[tuple[str, str]] = []
    while rest:
        to = rest.pop(0)
        if is_uri(to) or is_request(to):
            to, amount = _of_uri(to, record)
            if amount is not None:
                if rest and _is_amount(rest[0]):
                    raise InvalidInputError(
                        f"the payment URI asks for {amount}: leave the amount {rest[0]!r} behind it out, or the URI's "
                        "own amount",
                        code="input.usage",
                    )
                pairs.append((to, amount))
                continue
        if not rest:
            break
        pairs.append((to, rest.pop(0)))
    else:
        if pairs:
            return pairs
    raise InvalidInputError("name each payee as ADDRESS AMOUNT", code="input.usage")


def is_uri(text: str) -> bool:
    """Whether a payee was written as a payment URI (BIP-21, BIP-321)."""
    return text[:8].lower() == "bitcoin:"


def is_request(text: str) -> bool:
    """Whether a payee was written as a payment request of Ethereum (ERC-681)."""
    return text[:9].lower() == "ethereum:"


def _of_uri(text: str, record: AccountRecord) -> tuple[str, str | None]:
    from bursar.bitcoin.uri import PaymentUri
    from bursar.wallet.accounts import AnyEthereum

    account = record.account
    if is_request(text):
        raise InvalidInputError("an ethereum: URI is paid from an ethereum account, alone", code="input.usage")
    if record.chain != "bitcoin" or isinstance(account, AnyEthereum):
        raise InvalidInputError("a bitcoin: URI is paid from a bitcoin account", code="input.usage")
    uri = PaymentUri.from_text(text, account.network)
    return str(uri.address), None if uri.amount is None else f"{int(uri.amount)}sat"


def _is_amount(text: str) -> bool:
    from bursar.bitcoin.units import Sats

    if _ALL.fullmatch(text.strip()):
        return True
    try:
        Sats.from_text(text)
    except InvalidInputError:
        return False
    return True


def fee_choice(
    record: AccountRecord,
    coin: str,
    *,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
) -> FeeChoice:
    """``--speed``, ``--fee-rate`` and ``--max-fee`` for the account's chain, whose coin is called ``coin``."""
    if speed and fee_rate:
        raise InvalidInputError("give --speed or --fee-rate, not both", code="input.usage")
    rate = None if fee_rate is None else parse_fee_rate(fee_rate, record)
    cap = None if max_fee is None else coin_amount(max_fee, coin)
    return FeeChoice(speed=speed or "normal", rate=rate, max_fee=cap)


def parse_fee_rate(text: str, record: AccountRecord) -> FeeRate | Eip1559Fees:
    """``12.5sat/vb``; on Ethereum ``30gwei:2gwei`` (at most, tip), or ``30gwei`` to pay just that."""
    if record.chain == "bitcoin":
        from bursar.bitcoin.units import FeeRate

        return FeeRate.from_text(text)
    from bursar.ethereum.fees import Eip1559Fees
    from bursar.ethereum.units import Wei

    most, _, tip = text.partition(":")
    return Eip1559Fees(max_fee_per_gas=Wei.from_text(most), max_priority_fee_per_gas=Wei.from_text(tip or most))


def coin_amount(text: str, coin: str) -> int:
    """An amount of a chain's own coin in base units: ``0.5btc``, ``0.5pol``; ``2gwei`` of any."""
    if coin == "BTC":
        from bursar.bitcoin.units import Sats

        return int(Sats.from_text(text))
    from bursar.ethereum.units import Wei, parse_units

    unit = unit_of(text)
    if coin == "ETH" or unit in _SMALL_UNITS:
        return int(Wei.from_text(text))
    if unit is not None and unit not in _names(coin):
        raise InvalidInputError(
            f"unit {unit!r:.40} is not the coin of this chain: write 0.5{coin.lower()} or 2gwei", code="input.amount"
        )
    return parse_units(text, decimals=18, symbol=coin)


def _order(to: str, amount: str, record: AccountRecord, tokens: Sequence[Token], coin: str) -> PaymentOrder:
    unit = unit_of(amount)
    if record.chain == "bitcoin" or unit is None or names_coin(unit, coin):
        return PaymentOrder(to=to, amount=coin_amount(amount, coin), asset=coin)
    contract = _asset_ofunit_of(unit, record, tokens, coin)
    token = next(token for token in tokens if str(token.contract) == contract)
    return PaymentOrder(to=to, amount=token.parse_amount(amount), asset=contract)


def unit_of(amount: str) -> str | None:
    """The unit of an amount in lower case; ``None`` where there is none."""
    found = _UNIT.fullmatch(amount.strip())
    return None if found is None else found[1].lower()


def names_coin(unit: str, coin: str) -> bool:
    """Whether ``unit``, in lower case, is one of the coin of an Ethereum chain."""
    return unit in _SMALL_UNITS or unit in _names(coin)


def _names(coin: str) -> frozenset[str]:
    """What the coin is called by those who type."""
    return frozenset(("eth", "ether")) if coin == "ETH" else frozenset((coin.lower(),))


def _asset_ofunit_of(unit: str, record: AccountRecord, tokens: Sequence[Token], coin: str) -> str:
    """The contract of the one known token of the account's chain with this symbol, or the chain's own coin."""
    if unit.lower() in _names(coin):
        return coin
    chain_id = getattr(record.account, "chain_id", None)
    here = [token for token in tokens if token.chain_id == chain_id]
    found = [token for token in here if token.symbol.lower() == unit.lower()]
    if len(found) == 1:
        return str(found[0].contract)
    if found:
        raise InvalidInputError(
            f"several tokens call themselves {unit!r}; remove all but the right one", code="input.asset"
        )
    known = ", ".join(sorted(token.symbol for token in here)) or "none yet; see 'bursar account token'"
    raise InvalidInputError(
        f"unit {unit!r} is not known here: the coin is {coin}, tokens known: {known}", code="input.amount.unit"
    )
