"""TX_MODIFIABLE of PSBT version 2: what may still be added, and how signatures end it (BIP-370)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.sighash import ANYONECANPAY, NONE, SINGLE

if TYPE_CHECKING:
    from bursar.bitcoin.psbt.document import Psbt

INPUTS: Final = 1
OUTPUTS: Final = 2
HAS_SINGLE: Final = 4


def flags(psbt: Psbt) -> int:
    """The flags of a PSBT of version 2; 0 where it has none, and in version 0."""
    raw = psbt.fields.get(r.GLOBAL_TX_MODIFIABLE)
    return raw[0] if raw else 0


def set_flags(psbt: Psbt, value: int) -> None:
    """Write the flags."""
    psbt.fields[r.GLOBAL_TX_MODIFIABLE] = bytes((value,))


def after_signature(value: int, sighash: int) -> int:
    """The flags after a signature with hash type ``sighash`` (0 is taproot's DEFAULT): it must stay valid."""
    if not sighash & ANYONECANPAY:
        value &= ~INPUTS
    if sighash & 3 != NONE:
        value &= ~OUTPUTS
    if sighash & 3 == SINGLE:
        value |= HAS_SINGLE
    return value


def note_signature(psbt: Psbt, sighash: int) -> None:
    """Bring the flags up to date after a signature was added; without flags nothing was open."""
    raw = psbt.fields.get(r.GLOBAL_TX_MODIFIABLE)
    if raw is not None:
        set_flags(psbt, after_signature(raw[0], sighash))


def signature_types(psbt: Psbt, index: int) -> list[int]:
    """The hash types of the signatures that input ``index`` carries; a final input counts as signed with ALL."""
    one = psbt.inputs[index]
    if one.is_final:
        return [1]
    found = []
    for key, value in one.fields.items():
        if key[0] == r.PARTIAL_SIG[0]:
            found.append(value[-1])
        elif key[0] in (r.TAP_KEY_SIG[0], r.TAP_SCRIPT_SIG[0]):
            found.append(value[64] if len(value) == 65 else 0)
        elif key[0] == r.MUSIG2_PARTIAL_SIG[0]:
            found.append((one.sighash_type or 0) & 0xFF)
    return found


def is_signed(psbt: Psbt) -> bool:
    """Whether any input carries a signature."""
    return any(signature_types(psbt, index) for index in range(len(psbt.inputs)))
