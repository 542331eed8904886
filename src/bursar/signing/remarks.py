"""What is unusual about a PSBT and no reason to refuse it: said before a signature (BIP-68, BIP-125, BIP-65)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

_TIME = 500_000_000  # a locktime from here on is seconds since 1970, below a height
_FINAL = 0xFFFFFFFF
_RELATIVE_OFF = 1 << 31
_LEAST_RATE = 1000  # sat/kvB: below this, nodes do not relay by default


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a human should know; ``code`` is stable."""

    code: str
    text: str


def remarks(psbt: Psbt, *, vsize: int | None = None, tip_height: int | None = None) -> tuple[Remark, ...]:
    """What a human should see beside payments and fee.

    Codes: ``version`` (neither 1 nor 2), ``locktime`` (cannot be mined before a height or time), ``sequence`` (an
    input that must age first), ``fee-low`` (with ``vsize``: less than nodes relay). A locktime up to ``tip_height`` is
    the usual precaution against fee sniping and is not remarked upon.
    """
    tx = psbt.tx
    found: list[Remark] = []
    if tx.version not in (1, 2):
        found.append(Remark("version", f"the transaction has version {tx.version}: nodes relay 1 and 2"))
    waiting = any(one.sequence != _FINAL for one in tx.inputs)
    if tx.locktime and waiting and (tip_height is None or tx.locktime >= _TIME or tx.locktime > tip_height):
        when = f"second {tx.locktime} since 1970" if tx.locktime >= _TIME else f"block {tx.locktime}"
        found.append(Remark("locktime", f"the transaction cannot be mined before {when}"))
    if tx.version >= 2:
        aging = [
            number for number, one in enumerate(tx.inputs) if not one.sequence & _RELATIVE_OFF and one.sequence & 0xFFFF
        ]
        if aging:
            found.append(Remark("sequence", f"input {aging[0]} must age before the transaction can be mined"))
    if vsize is not None and psbt.fee() * 1000 < _LEAST_RATE * vsize:
        found.append(Remark("fee-low", f"the fee of {psbt.fee()} sat is less than nodes relay by default"))
    return tuple(found)
