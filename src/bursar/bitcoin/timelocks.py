"""When a coin may be spent, and the one locktime of a transaction whose coins each want their own (BIP-65, 68, 113)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.bitcoin.coins import Coin

COINBASE_MATURITY: Final = 100
LOCKTIME_IS_TIME: Final = 500_000_000  # below it a locktime is a height, from it on a time (seconds since 1970)
_SEQUENCE_OFF: Final = 1 << 31
_SEQUENCE_IS_TIME: Final = 1 << 22


def is_mature(coin: Coin, tip_height: int | None) -> bool:
    """Whether consensus lets the next block spend it, as far as heights tell.

    A coinbase output waits 100 blocks, timelocks by height as long as they say; those by time count as passed.
    """
    locktime, sequence = coin.key.locktime, coin.key.sequence
    if not coin.coinbase and not locktime and sequence is None:
        return True
    if locktime and locktime < LOCKTIME_IS_TIME and (tip_height is None or locktime > tip_height):
        return False
    blocks = COINBASE_MATURITY if coin.coinbase else 0
    if sequence is not None and not sequence & (_SEQUENCE_OFF | _SEQUENCE_IS_TIME):
        blocks = max(blocks, sequence & 0xFFFF)
    return not blocks or (coin.height is not None and tip_height is not None and tip_height + 1 - coin.height >= blocks)


def common_locktime(coins: Iterable[Coin], locktime: int) -> int:
    """The least locktime from ``locktime`` on that satisfies every coin.

    A coin locked by time overrules a ``locktime`` that is a height. ``InvalidInputError`` (``input.coin.timelock``)
    where one coin is locked by height and another by time: no transaction can spend both.
    """
    wanted = [(coin.key.locktime, coin) for coin in coins if coin.key.locktime]
    if not wanted:
        return locktime
    by_time = [coin for one, coin in wanted if one >= LOCKTIME_IS_TIME]
    if by_time and len(by_time) < len(wanted):
        other = next(coin for one, coin in wanted if one < LOCKTIME_IS_TIME)
        raise InvalidInputError(
            f"coin {by_time[0].outpoint} is locked by time and coin {other.outpoint} by height: no transaction spends "
            "both, exclude one",
            code="input.coin.timelock",
        )
    least = max([one for one, _ in wanted])
    if (least >= LOCKTIME_IS_TIME) != (locktime >= LOCKTIME_IS_TIME):
        return least
    return max(least, locktime)
