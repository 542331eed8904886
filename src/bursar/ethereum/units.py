"""Amounts: wei and token units, parsed from text with a unit and printed exactly; no float anywhere."""

from __future__ import annotations

import re
from typing import Self

from bursar.errors import InvalidInputError

MAX_UINT256 = (1 << 256) - 1
MAX_DECIMALS = 77  # 10**77 is the largest power of ten below 2**256

_UNITS = {"wei": 0, "kwei": 3, "mwei": 6, "gwei": 9, "eth": 18, "ether": 18}
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,77})(?:\.([0-9]{1,77}))?(?: ?([^\s\d.]\S{0,31})| (\S{1,32}))", re.ASCII)
_BARE = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)

_new_integer = int.__new__


def _amount_error(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.amount")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:60] + "…")


def _scaled(text: str, whole: str, fraction: str, decimals: int, unit: str) -> int:
    """``whole.fraction`` as an integer of ``10**-decimals``; never rounds."""
    if len(fraction) > decimals:
        if decimals == 0:
            raise _amount_error(f"{_shown(text)}: {unit} has no decimal places, give a whole number")
        raise _amount_error(f"{_shown(text)}: {unit} has {decimals} decimal places, {len(fraction)} were given")
    value = int(whole + fraction.ljust(decimals, "0"))
    if value > MAX_UINT256:
        raise _amount_error(f"{_shown(text)} is more than 2^256-1 base units, no account can hold it")
    return value


def _split(text: str, example: str) -> tuple[str, str, str]:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        if _BARE.fullmatch(text):
            raise _amount_error(f"{_shown(text)} has no unit: write for example {example}")
        raise _amount_error(f"{_shown(text)} is not an amount: write for example {example}")
    return match[1], match[2] or "", match[3] or match[4]


def _plain(amount: int, decimals: int) -> str:
    whole, fraction = divmod(amount, 10**decimals)
    if not fraction:
        return str(whole)
    return f"{whole}.{str(fraction).zfill(decimals).rstrip('0')}"


class Wei(int):
    """An amount of ether in wei, 0 to 2^256-1."""

    __slots__ = ()

    def __new__(cls, amount: int) -> Self:
        if type(amount) is int and 0 <= amount <= MAX_UINT256:
            return _new_integer(cls, amount)
        if type(amount) is bool or not isinstance(amount, int):
            raise _amount_error(f"wei are whole numbers, not {type(amount).__name__}")
        if not 0 <= amount <= MAX_UINT256:
            raise _amount_error(f"{'negative' if amount < 0 else 'more than 2^256-1'} wei cannot be")
        return _new_integer(cls, amount)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``"0.5eth"``, ``"2gwei"``, ``"10 wei"``; a bare number is refused."""
        whole, fraction, unit = _split(text, "0.5eth, 2gwei or 10wei")
        decimals = _UNITS.get(unit.lower())
        if decimals is None:
            raise _amount_error(f"{_shown(text)}: unknown unit {_shown(unit)}, use eth, gwei or wei")
        return cls(_scaled(text, whole, fraction, decimals, unit.lower()))

    def to_eth_text(self) -> str:
        """The exact amount in ether with its unit, ``"0.5 ETH"``; :meth:`from_text` reads it back."""
        return f"{_plain(self, 18)} ETH"

    def to_gwei_text(self) -> str:
        """The exact amount in gwei with its unit, ``"1.25 gwei"``, the usual words for a price of gas."""
        return f"{_plain(self, 9)} gwei"

    def __repr__(self) -> str:
        return f"Wei({int(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)


def parse_units(text: str, *, decimals: int, symbol: str) -> int:
    """Parse an amount of a token, ``"12.5usdc"`` with 6 decimals, into its base units; the symbol is required."""
    _check_decimals(decimals)
    whole, fraction, unit = _split(text, f"12.5 {symbol}")
    if unit.lower() != symbol.lower():
        raise _amount_error(f"{_shown(text)}: the unit is {_shown(unit)}, this token is {symbol}")
    return _scaled(text, whole, fraction, decimals, symbol)


def format_units(amount: int, *, decimals: int, symbol: str) -> str:
    """The exact amount in whole tokens with the symbol, ``"12.5 USDC"``; :func:`parse_units` reads it back."""
    _check_decimals(decimals)
    if not 0 <= amount <= MAX_UINT256:
        raise _amount_error("a token amount is between 0 and 2^256-1 base units")
    return f"{_plain(amount, decimals)} {symbol}"


def _check_decimals(decimals: int) -> None:
    if type(decimals) is bool or not isinstance(decimals, int) or not 0 <= decimals <= MAX_DECIMALS:
        raise InvalidInputError(f"token decimals must be 0 to {MAX_DECIMALS}, not {decimals!r}", code="input.token")
