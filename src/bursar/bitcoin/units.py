"""Amounts in satoshi and fee rates: whole numbers only, units always named (BIP-176 is not used)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bursar.errors import InvalidInputError

COIN: Final = 100_000_000
MAX_MONEY: Final = 21_000_000 * COIN

_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s?([A-Za-z]+)?")
_RATE = re.compile(r"([0-9]+)(?:\.([0-9]+))?\s?(sat/vb|sat/kvb|sats/vb)?", re.IGNORECASE)
_UNITS = {"btc": 8, "mbtc": 5, "sat": 0, "sats": 0}


class Sats(int):
    """An amount in satoshi, 0 to 21 million BTC. Sums and differences are plain ``int``: wrap them to check them."""

    __slots__ = ()

    def __new__(cls, value: int) -> Sats:
        """Raises ``InvalidInputError`` (``input.amount``) for a float, a bool, a negative or too large amount."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidInputError(
                f"amount {value!r} is not a whole number of satoshi: give an integer", code="input.amount"
            )
        if not 0 <= value <= MAX_MONEY:
            raise InvalidInputError(
                f"amount {int(value)} sat is out of range: it must be 0 to {MAX_MONEY} sat (21 million BTC)",
                code="input.amount.range",
            )
        return int.__new__(cls, value)

    @classmethod
    def from_text(cls, text: str) -> Sats:
        """``"0.1btc"``, ``"1.5 mBTC"`` or ``"15000sat"``; a bare number is refused (``input.amount.unit``)."""
        match = _AMOUNT.fullmatch(text.strip()) if len(text) <= 64 and text.isascii() else None
        if match is None:
            raise InvalidInputError(
                f"amount {text[:64]!r} is not understood: write it like 0.1btc or 15000sat", code="input.amount"
            )
        whole, fraction, unit = match[1], match[2] or "", match[3]
        if unit is None:
            raise InvalidInputError(
                f"amount {text!r} has no unit: write {text.strip()}btc or {text.strip()}sat", code="input.amount.unit"
            )
        places = _UNITS.get(unit.lower())
        if places is None:
            raise InvalidInputError(
                f"amount {text!r} has an unknown unit: use btc, mbtc or sat", code="input.amount.unit"
            )
        if len(fraction) > places:
            raise InvalidInputError(
                f"amount {text!r} is finer than one satoshi: at most {places} decimals", code="input.amount.precision"
            )
        return cls(int(whole) * 10**places + int((fraction or "0").ljust(places, "0")))

    def to_btc_text(self) -> str:
        """Eight decimals and the unit: ``"0.00015000 BTC"``."""
        return btc_text(self)


def btc_text(satoshi: int) -> str:
    """The same for a sum that may be above 21 million BTC, as in an error about it; zero or more."""
    return f"{satoshi // COIN}.{satoshi % COIN:08d} BTC"


@dataclass(frozen=True, slots=True, order=True)
class FeeRate:
    """A fee rate in satoshi per 1,000 virtual bytes (so 1.234 sat/vB is 1234)."""

    sat_per_kvb: int

    def __post_init__(self) -> None:
        rate = self.sat_per_kvb
        if not isinstance(rate, int) or isinstance(rate, bool) or not 0 <= rate <= COIN * 1000:
            raise InvalidInputError(
                f"fee rate {rate!r} sat/kvB is out of range: it must be a whole number from 0 to {COIN * 1000}",
                code="input.fee-rate",
            )

    @classmethod
    def from_text(cls, text: str) -> FeeRate:
        """``"12.5sat/vb"`` or ``"12500 sat/kvb"``; a bare number is refused (``input.fee-rate.unit``)."""
        match = _RATE.fullmatch(text.strip()) if len(text) <= 64 and text.isascii() else None
        if match is None:
            raise InvalidInputError(
                f"fee rate {text[:64]!r} is not understood: write it like 12.5sat/vb", code="input.fee-rate"
            )
        whole, fraction, unit = match[1], match[2] or "", match[3]
        if unit is None:
            raise InvalidInputError(
                f"fee rate {text!r} has no unit: write {text.strip()}sat/vb", code="input.fee-rate.unit"
            )
        places = 0 if unit.lower() == "sat/kvb" else 3
        if len(fraction) > places:
            raise InvalidInputError(
                f"fee rate {text!r} is finer than 0.001 sat/vB: at most {places} decimals",
                code="input.fee-rate.precision",
            )
        return cls(int(whole) * 10**places + int((fraction or "0").ljust(places, "0")))

    @classmethod
    def of(cls, fee: int, vsize: int) -> FeeRate:
        """The rate a transaction of ``vsize`` virtual bytes pays with ``fee`` satoshi, rounded down."""
        return cls(fee * 1000 // vsize)

    def fee(self, vsize: int) -> Sats:
        """The fee of ``vsize`` virtual bytes, rounded up to a whole satoshi."""
        return Sats(-(-vsize * self.sat_per_kvb // 1000))

    def __str__(self) -> str:
        whole, rest = divmod(self.sat_per_kvb, 1000)
        return f"{whole}.{rest:03d}".rstrip("0").rstrip(".") + " sat/vB"
