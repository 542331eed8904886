"""The bitcoin coins a Trezor knows by name, and the paths it takes for each script type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType

from bursar.bitcoin.network import Network
from bursar_devices.trezor.workflow import data_error

if TYPE_CHECKING:
    from collections.abc import Sequence

HARDENED = 0x80000000
MAX_CHANGE = 1
MAX_INDEX = 1_000_000
_MAX_ACCOUNT = 100
_NUMBERS = {"account": (0, _MAX_ACCOUNT), "change": (0, MAX_CHANGE), "index": (0, MAX_INDEX)}


@dataclass(frozen=True, slots=True)
class Coin:
    """One coin; ``max_fee_kb`` is the fee per 1000 vB from which the device warns, the rest are xpub versions."""

    name: str
    shortcut: str
    network: Network
    max_fee_kb: int
    xpub: int
    xpub_p2sh: int
    xpub_segwit: int


_COINS = {
    coin.name: coin
    for coin in (
        Coin("Bitcoin", "BTC", Network.MAIN, 2_000_000, 0x0488B21E, 0x049D7CB2, 0x04B24746),
        Coin("Testnet", "TEST", Network.TESTNET, 10_000_000, 0x043587CF, 0x044A5262, 0x045F1CF6),
        Coin("Regtest", "REGTEST", Network.REGTEST, 10_000_000, 0x043587CF, 0x044A5262, 0x045F1CF6),
    )
}


def coin_named(name: str | None, *, legacy: bool) -> Coin:
    """The coin a message names; there is no Signet."""
    coin = _COINS.get(name or "Bitcoin")
    if coin is None:
        raise data_error("Invalid coin name" if legacy else "Unsupported coin type")
    return coin


_BIP44 = "44h/coin h/account h/change/index"
_BIP45 = "45h/0-100/change/index"
_BIP49 = "49h/coin h/account h/change/index"
_BIP84 = "84h/coin h/account h/change/index"
_BIP86 = "86h/coin h/account h/change/index"
_BIP48 = tuple(f"48h/coin h/account h/{kind}h/change/index" for kind in range(3))
_BIP48_SHORT = "48h/coin h/account h/change/index"
_CASA = "45h/coin/account/change/index"
_CASA_49 = "49/coin/account/change/index"
_UNCHAINED = ("45h/coin h/account h/0-1000000/change/index", "45h/coin/account/0-1000000/change/index")
_GREEN = ("1,4/index", "3h/1-100h/1,4/index")
_GREEN_SIGN = ("1195487518", "1195487518/6/index")
_T1_FIRMWARE = "10026h/826421588h/2h/0h"

Interval = tuple[int, int]


@lru_cache(maxsize=512)
def _schema(pattern: str, coin_type: int) -> tuple[tuple[Interval, ...], ...]:
    steps: list[tuple[Interval, ...]] = []
    for step in pattern.split("/"):
        hard = HARDENED if step.endswith("h") else 0
        word = step.removesuffix("h").strip()
        if word == "coin":
            ranges = [(coin_type, coin_type)]
        elif word in _NUMBERS:
            ranges = [_NUMBERS[word]]
        elif "-" in word:
            low, high = word.split("-")
            ranges = [(int(low), int(high))]
        else:
            ranges = [(int(one), int(one)) for one in word.split(",")]
        steps.append(tuple((low | hard, high | hard) for low, high in ranges))
    return tuple(steps)


def matches(pattern: str, coin_type: int, path: Sequence[int]) -> bool:
    """Whether the path has exactly that pattern's steps."""
    steps = _schema(pattern, coin_type)
    return len(steps) == len(path) and all(
        any(low <= number <= high for low, high in step) for step, number in zip(steps, path, strict=True)
    )


def path_known(coin: Coin, path: Sequence[int], *, legacy: bool) -> bool:
    """Whether the path is one of the coin at all: with strict safety checks every other one is forbidden."""
    mainnet = coin.network.coin_type == 0
    patterns = [_BIP44, _CASA, _CASA_49, _BIP49, _BIP84, *_BIP48, _BIP86, *_UNCHAINED]
    if legacy:
        patterns.append(_BIP48_SHORT)
    if mainnet:
        patterns += [_BIP45, *_GREEN, *_GREEN_SIGN]
        if not legacy:
            patterns.append(_T1_FIRMWARE)
    return any(matches(pattern, coin.network.coin_type, path) for pattern in patterns)


def path_fits(coin: Coin, path: Sequence[int], kind: int | None, *, multisig: bool, legacy: bool) -> bool:
    """Whether the path is also the usual one of the script type: otherwise the device warns."""
    mainnet = coin.network.coin_type == 0
    patterns: list[str] = []
    if kind in (InputScriptType.SPENDADDRESS, InputScriptType.SPENDMULTISIG):
        if multisig:
            patterns += [_BIP48[0], *_UNCHAINED]
            if mainnet:
                patterns.append(_BIP45)
            if legacy:
                patterns.append(_CASA)
                if kind == InputScriptType.SPENDMULTISIG:
                    patterns.append(_BIP48_SHORT)
        elif kind == InputScriptType.SPENDADDRESS:
            patterns.append(_BIP44)
    elif kind == InputScriptType.SPENDP2SHWITNESS:
        patterns += [_BIP49, _CASA_49]
        if not legacy:
            patterns.append(_CASA)
        if multisig:
            patterns.append(_BIP48[1])
    elif kind == InputScriptType.SPENDWITNESS:
        patterns.append(_BIP84)
        if multisig:
            patterns += [_BIP48[2], *_UNCHAINED]
    elif kind == InputScriptType.SPENDTAPROOT and not multisig:
        patterns.append(_BIP86)
    if mainnet and kind != InputScriptType.SPENDTAPROOT:
        patterns += _GREEN
    return any(matches(pattern, coin.network.coin_type, path) for pattern in patterns)


def path_text(path: Sequence[int]) -> str:
    """The path as the device writes it."""
    return "/".join(["m", *(f"{number & ~HARDENED}'" if number & HARDENED else str(number) for number in path)])
