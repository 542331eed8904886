"""Consensus rules a transaction must meet before a block can hold it: amounts, maturity, locktime, BIP-68, BIP-113."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from bursar.bitcoin.transaction import NULL_OUTPOINT, SEQUENCE_FINAL, Transaction
from bursar.bitcoin.units import COIN, MAX_MONEY
from bursar.errors import BroadcastRejectedError
from bursar.nodes.sandbox.bitcoin.blocks import MATURITY

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.index import Unspent

MAX_BLOCK_WEIGHT: Final = 4_000_000
REJECTED: Final = -26
MISSING: Final = -25
LOCKTIME_THRESHOLD: Final = 500_000_000
_DISABLED: Final = 1 << 31
_TIME_BASED: Final = 1 << 22


def reject(reason: str, detail: str = "", *, node_code: int = REJECTED) -> NoReturn:
    """Refuse a transaction with Core's reason and, behind a comma, its detail."""
    raise BroadcastRejectedError(f"{reason}, {detail}" if detail else reason, node_code=node_code, reason=reason)


def btc(amount: int) -> str:
    """An amount as Core's messages print it: at least two decimals, no unit."""
    whole, rest = divmod(abs(amount), COIN)
    digits = f"{rest:08d}"
    return f"{'-' if amount < 0 else ''}{whole}.{digits[:2]}{digits[2:].rstrip('0')}"


def check_alone(tx: Transaction) -> None:
    """What needs no chain: something in, something out, amounts in range, no coin twice, not a coinbase."""
    if not tx.inputs:
        reject("bad-txns-vin-empty")
    if not tx.outputs:
        reject("bad-txns-vout-empty")
    if 4 * len(tx.serialize(witness=False)) > MAX_BLOCK_WEIGHT:
        reject("bad-txns-oversize")
    for output in tx.outputs:
        if output.value >= 1 << 63:  # what a signed amount below nothing looks like
            reject("bad-txns-vout-negative")
        if output.value > MAX_MONEY:
            reject("bad-txns-vout-toolarge")
    if sum(output.value for output in tx.outputs) > MAX_MONEY:
        reject("bad-txns-txouttotal-toolarge")
    if len({source.outpoint for source in tx.inputs}) != len(tx.inputs):
        reject("bad-txns-inputs-duplicate")
    if tx.is_coinbase:
        reject("coinbase")
    if any(source.outpoint == NULL_OUTPOINT for source in tx.inputs):
        reject("bad-txns-prevout-null")


def is_final(tx: Transaction, height: int, median_time: int) -> bool:
    """Whether a block at ``height`` on a tip with this median time may hold it (BIP-113)."""
    if tx.locktime < (height if tx.locktime < LOCKTIME_THRESHOLD else median_time):
        return True
    return tx.locktime == 0 or all(source.sequence == SEQUENCE_FINAL for source in tx.inputs)


def relative_locks_met(
    tx: Transaction, spent: Sequence[Unspent], height: int, median_time: Callable[[int], int]
) -> bool:
    """Whether every relative locktime (BIP-68) has passed for a block at ``height``.

    ``median_time`` gives the median time past of the active block at a height; unconfirmed coins carry ``height``.
    """
    if tx.version < 2:
        return True
    for source, coin in zip(tx.inputs, spent, strict=True):
        if source.sequence & _DISABLED:
            continue
        value = source.sequence & 0xFFFF
        if source.sequence & _TIME_BASED:
            if median_time(max(coin.height - 1, 0)) + (value << 9) > median_time(height - 1):
                return False
        elif coin.height + value > height:
            return False
    return True


def check_inputs(tx: Transaction, spent: Sequence[Unspent], height: int) -> int:
    """The fee in satoshi, after the rules on maturity and amounts for a block at ``height``."""
    for coin in spent:
        if coin.coinbase and height - coin.height < MATURITY:
            reject("bad-txns-premature-spend-of-coinbase", f"tried to spend coinbase at depth {height - coin.height}")
    total_in = sum(coin.value for coin in spent)
    total_out = sum(output.value for output in tx.outputs)
    if total_in > MAX_MONEY:
        reject("bad-txns-inputvalues-outofrange")
    if total_in < total_out:
        reject("bad-txns-in-belowout", f"value in ({btc(total_in)}) < value out ({btc(total_out)})")
    return total_in - total_out
