"""Amounts, rates, percentages and windows as a policy text writes them: a number never stands without its unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.policy.review import Asset

_NUMBER_AND_UNIT = re.compile(r"(\d{1,30}(?:\.\d{1,78})?) ?([A-Za-z][A-Za-z0-9]{0,15})", re.ASCII)
_WINDOW = re.compile(r"([1-9]\d{0,5})(m|h|d|w)", re.ASCII)
_PERCENT = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?%", re.ASCII)
_MINUTES = {"m": 1, "h": 60, "d": 60 * 24, "w": 60 * 24 * 7}
_LONGEST_WINDOW = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Token:
    """An ERC-20 token the policy names: ``symbol`` is the policy's own word for ``contract`` on ``network``."""

    symbol: str
    network: str
    contract: str  # lower case hexadecimal
    decimals: int


@dataclass(frozen=True, slots=True)
class AssetScope:
    """Which assets a rule speaks of: a chain's own coin on every network, or one token on its network."""

    chain: str
    network: str | None
    contract: str | None
    symbol: str
    decimals: int

    def covers(self, asset: Asset) -> bool:
        """Whether ``asset`` is meant; its symbol plays no part, for anyone may name a token anything."""
        if asset.chain != self.chain or (self.network is not None and asset.network != self.network):
            return False
        if self.contract is None or asset.contract is None:
            return self.contract is asset.contract
        return asset.contract.lower() == self.contract

    def format(self, value: int) -> str:
        """``value`` base units in words: "0.5 BTC"; what nobody has is "unlimited"."""
        if value >= _UNLIMITED:
            return f"unlimited {self.symbol}"
        return f"{format_units(value, self.decimals)} {self.symbol}"


_UNLIMITED = 1 << 255  # more than there is of anything

COINS = {
    "BTC": AssetScope("bitcoin", None, None, "BTC", 8),
    "ETH": AssetScope("ethereum", None, None, "ETH", 18),
}
RESERVED_SYMBOLS = frozenset({"btc", "sat", "sats", "eth", "gwei", "wei"})


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of an asset, in base units."""

    asset: AssetScope
    value: int


@dataclass(frozen=True, slots=True)
class Percentage:
    """A percentage in ten-thousandths of a percent: "2.5%" is 25,000."""

    parts: int

    def __str__(self) -> str:
        whole, rest = divmod(self.parts, 10_000)
        return f"{whole}.{rest:04}".rstrip("0").rstrip(".") + "%"

    def exceeded_by(self, part: int, whole: int) -> bool:
        return part * 1_000_000 > self.parts * whole


@dataclass(frozen=True, slots=True)
class Rate:
    """A fee rate of one chain: satoshis per 1,000 virtual bytes, or wei per gas; ``text`` is how it was written."""

    chain: str
    value: int
    text: str


def format_units(value: int, decimals: int) -> str:
    """``value`` base units as an exact decimal number without needless zeros."""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :].rstrip("0")
    return ("-" if value < 0 else "") + whole + ("." + fraction if fraction else "")


def _unknown_asset(name: str, tokens: Mapping[str, Token]) -> InvalidInputError:
    known = ", ".join([*COINS, *tokens])
    return InvalidInputError(f"unknown asset {name!r}: name one of {known}, or describe the token in a [[token]] table")


def asset_scope(name: str, tokens: Mapping[str, Token]) -> AssetScope:
    """The asset called ``name``: "BTC", "ETH" in any case, or a token of the policy by its exact symbol."""
    token = tokens.get(name)
    if token is not None:
        return AssetScope("ethereum", token.network, token.contract, token.symbol, token.decimals)
    coin = COINS.get(name.upper())
    if coin is None:
        raise _unknown_asset(name, tokens)
    return coin


def parse_amount(text: str, tokens: Mapping[str, Token]) -> Amount:
    """ "0.5btc", "2 gwei" or "1000 TUSD" as an amount; a bare number, a sign or an unknown unit is refused."""
    from bursar.bitcoin.units import Sats
    from bursar.ethereum.units import Wei, parse_units

    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise InvalidInputError(f'{text!r} is no amount: write a number and its unit, such as "0.5btc" or "2eth"')
    number, unit = match.groups()
    token = tokens.get(unit)
    if token is not None:
        return Amount(asset_scope(unit, tokens), parse_units(f"{number} {unit}", decimals=token.decimals, symbol=unit))
    spelling = number + unit.lower()
    match unit.lower():
        case "btc" | "sat":
            return Amount(COINS["BTC"], int(Sats.from_text(spelling)))
        case "eth" | "gwei" | "wei":
            return Amount(COINS["ETH"], int(Wei.from_text(spelling)))
    raise _unknown_asset(unit, tokens)


def parse_percentage(text: str) -> Percentage:
    """ "2.5%" with up to four places, at most 100 %."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise InvalidInputError(f'{text!r} is no percentage: write it as "2.5%", with at most four decimal places')
    parts = int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0"))
    if parts > 1_000_000:
        raise InvalidInputError(f"{text!r} is more than the whole: a fee cap is at most 100%")
    return Percentage(parts)


def parse_window(text: str) -> timedelta:
    """ "30m", "24h", "7d" or "2w", at most 366 days."""
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise InvalidInputError(f'{text!r} is no span of time: write it as "30m", "24h", "7d" or "2w"')
    window = timedelta(minutes=int(match[1]) * _MINUTES[match[2]])
    if window > _LONGEST_WINDOW:
        raise InvalidInputError(f"{text!r} is too long: a rolling window is at most 366 days")
    return window


def parse_rate(text: str) -> Rate:
    """ "200sat/vb" (Bitcoin) or "100gwei" (Ethereum, per gas)."""
    from bursar.bitcoin.units import FeeRate
    from bursar.ethereum.units import Wei

    spelling = text.lower()
    if spelling.endswith("sat/vb"):
        return Rate("bitcoin", FeeRate.from_text(spelling).sat_per_kvb, text)
    if spelling.endswith("wei"):
        return Rate("ethereum", int(Wei.from_text(spelling)), text)
    raise InvalidInputError(f'{text!r} is no fee rate: write it as "200sat/vb" or "100gwei"')


def reviewed_rate(chain: str, text: str) -> int | None:
    """The rate a review states ("12.5 sat/vB"; "2 gwei + 1 gwei tip", summed), ``None`` where it cannot be read."""
    try:
        rates = [parse_rate(term.strip().removesuffix(" tip")) for term in text.split("+")]
    except InvalidInputError:
        return None
    if any(rate.chain != chain for rate in rates) or (chain == "bitcoin" and len(rates) != 1):
        return None
    return sum(rate.value for rate in rates)
