"""Numbers in the formats of ERC-7730: units with prefixes, dates, durations; exact, no float."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_PREFIXES: Final = {
    30: "Q", 27: "R", 24: "Y", 21: "Z", 18: "E", 15: "P", 12: "T", 9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "µ",
    -9: "n", -12: "p", -15: "f", -18: "a", -21: "z", -24: "y", -27: "r", -30: "q",
}  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999


def decimal_text(value: int, decimals: int) -> str:
    """``value / 10**decimals``, exactly, without zeros at the end."""
    sign, digits = ("-" if value < 0 else ""), str(abs(value))
    if decimals <= 0:
        return sign + digits + ("0" * -decimals if value else "")
    digits = digits.zfill(decimals + 1)
    fraction = digits[-decimals:].rstrip("0")
    return sign + digits[:-decimals] + ("." + fraction if fraction else "")


def unit_text(value: int, *, base: str, decimals: int, prefix: bool) -> str:
    """A number with its unit, ``1.5d``; with ``prefix`` by an SI prefix, ``36ks``."""
    if not prefix or not value:
        return decimal_text(value, decimals) + base
    exponent = len(str(abs(value))) - 1 - decimals  # of the first digit
    step = min(30, max(-30, exponent // 3 * 3))
    return decimal_text(value, decimals + step) + _PREFIXES[step] + base


def date_text(seconds: int) -> str | None:
    """``2026-01-09 14:27:15Z``; ``None`` for what is no date before the year 10000."""
    if not 0 <= seconds <= _LAST_SECOND:
        return None
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%SZ")


def duration_text(seconds: int) -> str:
    """``02:17:30``."""
    minutes, second = divmod(abs(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else ''}{hours:02}:{minute:02}:{second:02}"
