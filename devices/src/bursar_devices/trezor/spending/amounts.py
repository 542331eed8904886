"""Amounts as the device writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib.messages import AmountUnit

if TYPE_CHECKING:
    from bursar_devices.trezor.coins import Coin

_UNITS = {
    AmountUnit.BITCOIN: (8, ""),
    AmountUnit.MILLIBITCOIN: (5, "m"),
    AmountUnit.MICROBITCOIN: (2, "μ"),
    AmountUnit.SATOSHI: (0, "sat"),
}


def decimal(value: int, decimals: int) -> str:
    """``value`` with the point ``decimals`` places from the right, without useless zeros."""
    whole, part = divmod(value, 10**decimals)
    fraction = f"{part:0{decimals}d}".rstrip("0") if decimals else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def amount_text(sats: int, coin: Coin, unit: int | None) -> str:
    """Such as ``0.0012 BTC`` or ``120000 sat``."""
    decimals, prefix = _UNITS[AmountUnit.BITCOIN if unit is None else AmountUnit(unit)]
    if prefix == "sat":
        suffix = "sat" if coin.shortcut == "BTC" else f"sat {coin.shortcut}"
    else:
        suffix = prefix + coin.shortcut
    return f"{decimal(sats, decimals)} {suffix}"
