"""Which target a block must meet and when it may be dated: each network's retarget rules (BIP-94 for testnet4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from bursar.bitcoin.headers.header import bits_of, target_of
from bursar.bitcoin.network import Network

PERIOD: Final = 2016
SPACING: Final = 600
TIMESPAN: Final = PERIOD * SPACING
MEDIAN_OVER: Final = 11
MAX_AHEAD: Final = 7200  # seconds a block may be dated past the clock
MAX_BACK: Final = 600  # seconds the first block of a period may be dated before its parent (BIP-94)


class HeaderView(Protocol):
    """What the rules look up in the chain below the block in question."""

    def bits(self, height: int) -> int: ...

    def time(self, height: int) -> int: ...


@dataclass(frozen=True, slots=True)
class PowRules:
    """``limit`` is the easiest compact target; ``lenient`` lets a late block use it; ``steady`` never retargets."""

    limit: int
    lenient: bool = False
    steady: bool = False
    bip94: bool = False


RULES: Final[dict[Network, PowRules]] = {
    Network.MAIN: PowRules(0x1D00FFFF),
    Network.TESTNET: PowRules(0x1D00FFFF, lenient=True),
    Network.TESTNET4: PowRules(0x1D00FFFF, lenient=True, bip94=True),
    Network.SIGNET: PowRules(0x1E0377AE),
    Network.REGTEST: PowRules(0x207FFFFF, lenient=True, steady=True),
}


def expected_bits(rules: PowRules, height: int, time: int, view: HeaderView) -> int:
    """The compact target that the block at ``height`` (above 0), dated ``time``, must state."""
    last = height - 1
    if rules.steady:
        return rules.limit
    if height % PERIOD:
        if not rules.lenient:
            return view.bits(last)
        if time > view.time(last) + 2 * SPACING:
            return rules.limit
        while last % PERIOD and view.bits(last) == rules.limit:
            last -= 1
        return view.bits(last)
    first = height - PERIOD
    start = view.bits(first if rules.bip94 else last)
    return retarget(rules, start, view.time(last) - view.time(first))


def retarget(rules: PowRules, bits: int, taken: int) -> int:
    """The next period's compact target, after one of ``bits`` that took so many seconds."""
    bounded = min(max(taken, TIMESPAN // 4), TIMESPAN * 4)
    return bits_of(min(target_of(bits) * bounded // TIMESPAN, target_of(rules.limit)))
