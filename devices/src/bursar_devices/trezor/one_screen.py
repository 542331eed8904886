"""How a Trezor One (firmware 1.14.1) puts things on its small screen: the rows it breaks texts into."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar_devices.device import Page
from bursar_devices.trezor.coins import HARDENED, MAX_CHANGE, MAX_INDEX, path_text

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS, WIDTH = 4, 21
QR_CODE = Page("")
_HEX_ROW = 16
_HEX_BYTES = 32
_SHORT_ADDRESS = 42
_LONG_ADDRESS = 63
_LONGEST_PATH = 8
_ACCOUNT_STEPS = 5
_MOST_ACCOUNTS = 100
_KINDS = {44: "Legacy", 49: "L.SegWit", 84: "SegWit", 86: "Taproot"}
_COINS = {0: "BTC", 1: "TEST"}
_OTHERS = {40: "EXP", 43: "NEM", 60: "ETH", 61: "ETC", 108: "UBQ", 137: "RSK", 37310: "tRSK"}
_XPUB_PART = 81


def dialog(*lines: str) -> Page:
    """One page; the line on top is its title, empty lines are left out."""
    title, *rest = [line for line in lines if line] or [""]
    return Page(title, tuple(rest))


def rows(text: str, width: int = WIDTH) -> tuple[str, ...]:
    """At most four rows; what is too long ends in dots."""
    if len(text) > ROWS * width:
        text = text[: ROWS * width - 3] + "..."
    return tuple(text[start : start + width] for start in range(0, len(text), width))


def hex_rows(data: bytes, width: int = _HEX_ROW) -> tuple[str, ...]:
    """At most 32 bytes in capital letters."""
    text = data[:_HEX_BYTES].hex().upper()
    if len(data) > _HEX_BYTES:
        text = text[:-2] + ".."
    return rows(text, width)


def address_rows(address: str, *, most: int = 3) -> tuple[str, ...]:
    """An address in equal parts: two, three, or where there is room (``most``) four."""
    parts = 2 if len(address) <= _SHORT_ADDRESS else 3 if len(address) <= _LONG_ADDRESS else most
    return rows(address, min(WIDTH, (len(address) - 1) // parts + 1))


def drawn(text: str) -> tuple[str, ...]:
    """Typed text as it is drawn, three rows: what is not ASCII has no letter of its own."""
    data = text.encode()
    parts = [data[start : start + WIDTH] for start in range(0, len(data), WIDTH)][:3]
    return tuple(
        "".join(chr(byte) if byte < 0x80 else "\x7f" for byte in part if byte & 0xC0 != 0x80) for part in parts
    )


def ordinal(number: int) -> str:
    """Such as ``21st``; up to 24 words."""
    ending = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def xpub_page(title: str, text: str, part: int) -> Page:
    """The first or second (0, 1) page of an extended public key."""
    return Page(title, rows(text[part * _XPUB_PART :]))


def own_text(path: Sequence[int], *, address_number: bool = False) -> str:
    """Which account (of Ethereum: which address) a path is, or the path where it is no usual one."""
    if len(path) > _LONGEST_PATH:
        return "Unknown long path"
    name = _account(path, address_number=address_number) if len(path) == _ACCOUNT_STEPS else None
    return name or f"Path: {path_text(path)}"


def _account(path: Sequence[int], *, address_number: bool) -> str | None:
    purpose, coin_type, account = (step - HARDENED for step in path[:3])
    usual = coin_type >= 0 and account >= 0 and path[3] <= MAX_CHANGE and path[4] <= MAX_INDEX
    kind = _KINDS.get(purpose)
    number = (path[4] if address_number else account) % HARDENED + 1
    if not usual or kind is None or number >= _MOST_ACCOUNTS:
        return None
    what = "address" if address_number else "account"
    if coin_type in _COINS:
        return f"{_COINS[coin_type]} {kind} {what} #{number}"
    if purpose == 44 and coin_type in _OTHERS:
        return f"{_OTHERS[coin_type]} {what} #{number}"
    return None
