"""Amounts as the device writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib.messages import AmountUnit

if TYPE_CHECKING:
    from bursar_devices.trezor.coins import Coin

_MILLI, _MICRO = (5, "m"), (2, "u")


def decimal(value: int, decimals: int) -> str:
    """``value`` with the point ``decimals`` places from the right, without useless zeros, thousands set apart."""
    whole, part = divmod(value, 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole:,}.{fraction}" if fraction else f"{whole:,}"


def amount_text(sats: int, coin: Coin, unit: int | None, *, legacy: bool) -> str:
    """Such as ``0.0012 BTC`` or ``120,000 sat``. A Trezor One takes milli for micro and the other way round."""
    decimals, prefix = 8, ""
    if unit == AmountUnit.SATOSHI:
        suffix = "sat" if coin.shortcut == "BTC" else f"sat {coin.shortcut}"
        return f"{decimal(sats, 0)} {suffix}"
    if unit in (AmountUnit.MILLIBITCOIN, AmountUnit.MICROBITCOIN):
        decimals, prefix = _MILLI if (unit == AmountUnit.MILLIBITCOIN) != legacy else _MICRO
    return f"{decimal(sats, decimals)} {prefix}{coin.shortcut}"
