"""Which paths are Ethereum's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar_devices.trezor.bitcoin_keys import forbidden_path, path_warning
from bursar_devices.trezor.coins import HARDENED, matches
from bursar_devices.trezor.workflow import Workflow, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.ether.definitions import EthereumNetwork

_PATTERNS = (
    "44h/coin h/account h/change/index",
    "44h/coin h/account h",
    "44h/coin h/0h/account",
    "45h/coin/account/change/index",
)


def parse_address(text: str) -> bytes | None:
    """The 20 bytes of an address with or without 0x, or ``None``."""
    digits = text[2:] if len(text) == 42 and text[:2].lower() == "0x" else text
    if len(digits) != 40 or not digits.isascii() or not digits.isalnum():
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def coin_type_of(path: Sequence[int]) -> int | None:
    """The coin type a path names."""
    return path[1] & ~HARDENED if len(path) > 1 else None


def _coin_types(network: EthereumNetwork, *, legacy: bool) -> tuple[int, ...]:
    if not network.known:
        return (60, 1)
    if network.coin_type == 60:
        return (60, 1) if legacy else (60,)
    if network.coin_type == 1 and not legacy:
        return (1,)
    return (network.coin_type, 60)


def check_path(board: Board, path: Sequence[int], network: EthereumNetwork) -> Workflow[None]:
    """Refuse a path of another coin while safety checks are strict, else warn of it."""
    allowed = _coin_types(network, legacy=board.legacy)
    if any(matches(pattern, coin_type, path) for pattern in _PATTERNS for coin_type in allowed):
        return
    if board.strict:
        raise forbidden_path()
    yield from show(path_warning(board, path))
