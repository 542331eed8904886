"""A message to sign, or one whose signature was found good, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trezorlib import messages

from bursar_devices.device import Page
from bursar_devices.trezor.one_screen import address_rows, dialog
from bursar_devices.trezor.spending.layout import wrap
from bursar_devices.trezor.workflow import Screen

if TYPE_CHECKING:
    from bursar_devices.trezor.board import Board

_Code = messages.ButtonRequestType
_ROWS, _TEXT_ROW, _HEX_ROW = 4, 18, 8


def _printable(data: bytes) -> bool:
    return all(0x20 <= byte <= 0x7E for byte in data)


def signer(address: str) -> Page:
    """Whose message it is, on a Trezor One."""
    return Page("Confirm address?", ("Message signed by:", *address_rows(address)))


def _legacy_pages(title: str, binary_title: str, data: bytes) -> list[Page]:
    text = _printable(data)
    row = _TEXT_ROW if text else _HEX_ROW
    pages = []
    rest = data
    while True:
        part, rest = rest[: row * _ROWS], rest[row * _ROWS :]
        rows = [part[start : start + row] for start in range(0, len(part), row)]
        lines = tuple(one.decode() if text else one.hex().upper() for one in rows)
        pages.append(Page(title if text else binary_title, lines))
        if not rest:
            return pages


def signing(board: Board, address: str, data: bytes) -> tuple[Screen, ...]:
    """The address, then the message."""
    return _both(board, address, data, "sign_message", ("Confirm address", "Confirm message"), "Sign")


def verified(board: Board, address: str, data: bytes) -> tuple[Screen, ...]:
    """The same for a good signature, and that it is good."""
    screens = _both(board, address, data, "verify_message", ("Verify address", "Confirm message"), "Verified")
    text = "The signature is valid." if board.legacy else "Signature is valid."
    code = _Code.Other if board.legacy else _Code.Success
    page = dialog(text) if board.legacy else Page("", (text,))
    last = Screen(code, "" if board.legacy else "verify_message", (page,), confirm_only=True)
    return (*screens, last)


def _both(board: Board, address: str, data: bytes, name: str, titles: tuple[str, str], verb: str) -> tuple[Screen, ...]:
    if board.legacy:
        pages = [signer(address)]
        pages += _legacy_pages(f"{verb} message?", f"{verb} binary message?", data)
        return tuple(Screen(_Code.Other, "", (page,)) for page in pages)
    text = data.decode() if _printable(data) else "0x" + data.hex()
    return (
        Screen(_Code.Other, name, (Page(titles[0], wrap(address, 17)),)),
        Screen(_Code.Other, name, (Page(titles[1], wrap(text, 18)),)),
    )
