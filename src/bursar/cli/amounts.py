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

_ETHER_UNITS = frozenset({"wei", "kwei", "mwei", "gwei", "eth", "ether"})
_UNIT = re.compile(r"[0-9.]+\s*(\D\S*)")
_ALL = re.compile(r"all(?:\s+(\S+))?", re.IGNORECASE)


def payment_orders(
    words: Sequence[str], record: AccountRecord, tokens: Sequence[Token]
) -> tuple[tuple[PaymentOrder, ...], bool]:
    """``ADDRESS AMOUNT …`` as payment orders, and whether the one amount is ``all``.

    A payment URI (``bitcoin:…``) stands for its address, and for its amount where it names one.
    """
    pairs = _pairs(words, record)
    sweep = _ALL.fullmatch(pairs[0][1].strip()) if len(pairs) == 1 else None
    if sweep:
        asset = _native(record) if sweep[1] is None else _asset_of_unit(sweep[1], record, tokens)
        return (PaymentOrder(to=pairs[0][0], amount=0, asset=asset),), True
    return tuple(_order(to, amount, record, tokens) for to, amount in pairs), False


def _pairs(words: Sequence[str], record: AccountRecord) -> list[tuple[str, str]]:
    rest = list(words)
    pairs: list[tuple[str, str]] = []
    while rest:
        to = rest.pop(0)
        if is_uri(to):
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


def _of_uri(text: str, record: AccountRecord) -> tuple[str, str | None]:
    from bursar.bitcoin.uri import PaymentUri
    from bursar.wallet.accounts import AnyEthereum

    account = record.account
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
    *,
    speed: Literal["slow", "normal", "fast"] | None,
    fee_rate: str | None,
    max_fee: str | None,
) -> FeeChoice:
    """``--speed``, ``--fee-rate`` and ``--max-fee`` for the account's chain."""
    if speed and fee_rate:
        raise InvalidInputError("give --speed or --fee-rate, not both", code="input.usage")
    rate = None if fee_rate is None else parse_fee_rate(fee_rate, record)
    cap = None if max_fee is None else _coin_amount(max_fee, record)
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


def _order(to: str, amount: str, record: AccountRecord, tokens: Sequence[Token]) -> PaymentOrder:
    unit = _UNIT.fullmatch(amount.strip())
    if record.chain == "bitcoin" or unit is None or unit[1].lower() in _ETHER_UNITS:
        return PaymentOrder(to=to, amount=_coin_amount(amount, record), asset=_native(record))
    contract = _asset_of_unit(unit[1], record, tokens)
    token = next(token for token in tokens if str(token.contract) == contract)
    return PaymentOrder(to=to, amount=token.parse_amount(amount), asset=contract)


def _coin_amount(text: str, record: AccountRecord) -> int:
    if record.chain == "bitcoin":
        from bursar.bitcoin.units import Sats

        return int(Sats.from_text(text))
    from bursar.ethereum.units import Wei

    return int(Wei.from_text(text))


def _native(record: AccountRecord) -> str:
    return "BTC" if record.chain == "bitcoin" else "ETH"


def _asset_of_unit(unit: str, record: AccountRecord, tokens: Sequence[Token]) -> str:
    """The contract of the one known token of the account's chain with this symbol, or the chain's own coin."""
    if unit.lower() in (_native(record).lower(), "ether"):
        return _native(record)
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
    raise InvalidInputError(f"unit {unit!r} is not known here; tokens known: {known}", code="input.amount.unit")
