"""A transaction that replaces one already signed, told to a Trezor as such: its human sees the fee grow, not payees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.finalize import extract

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.trezor.abilities import Firmware
    from bursar.backends.trezor.bitcoin_own import OwnInput
    from bursar.bitcoin.psbt import Psbt
    from bursar.bitcoin.transaction import Transaction

_FINAL_WITNESS: Final = b"\x08"
_FINAL_SEQUENCE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Original:
    """The replaced transaction as the device asks for it; ``txid`` in display order."""

    txid: bytes
    tx: Transaction
    inputs: Sequence[Any]
    outputs: Sequence[Any]


class NotExpressibleError(Exception):
    """The device cannot be told of this replacement as one; the message says why."""


def places_in(psbt: Psbt, original: Psbt, own: Sequence[OwnInput | None]) -> tuple[dict[int, int], dict[int, int]]:
    """Which inputs and outputs of ``psbt`` stand in ``original``, and where: by number of the new transaction.

    ``NotExpressibleError`` unless every input of the original is there, in order, every input is ours and of one
    account, the lock time is the same, and every output but change is one of the original's, in order and unchanged.
    """
    if any(one is None for one in own) or len({(one.spend, one.path[:-2]) for one in own if one is not None}) != 1:
        raise NotExpressibleError("its inputs are not all of one account of this device")
    if _locktime(psbt) != _locktime(original):
        raise NotExpressibleError("its lock time is another one")
    old = {spending.outpoint: number for number, spending in enumerate(original.tx.inputs)}
    inputs = {
        number: old[spending.outpoint] for number, spending in enumerate(psbt.tx.inputs) if spending.outpoint in old
    }
    if list(inputs.values()) != list(range(len(old))):
        raise NotExpressibleError("inputs of the original are missing, or in another order")
    outputs: dict[int, int] = {}
    start = 0
    for number, output in enumerate(psbt.tx.outputs):
        at = next(
            (at for at in range(start, len(original.tx.outputs)) if original.tx.outputs[at].script == output.script),
            None,
        )
        if at is not None:
            outputs[number], start = at, at + 1
    return inputs, outputs


def tell(
    messages: Any,
    psbt: Psbt,
    original: Psbt,
    *,
    own: Sequence[OwnInput | None],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    old_outputs: Sequence[Any],
    firmware: Firmware,
) -> Original:
    """Mark ``inputs`` and ``outputs``, the device's of ``psbt``, with their places in the original; the original's own.

    ``old_outputs`` are the device's outputs of the original. ``NotExpressibleError`` as ``places_in``.
    """
    old_inputs, kept = places_in(psbt, original, own)
    if not all(one.is_final for one in original.inputs):
        raise NotExpressibleError("the original is not signed")
    if firmware.legacy and any(one is not None and one.script_type is None for one in own):
        raise NotExpressibleError("this model reads no multisig signatures")
    txid = bytes(extract(original).txid)[::-1]
    for number, message in enumerate(outputs):
        at = kept.get(number)
        same = at is not None and original.tx.outputs[at].value == psbt.tx.outputs[number].value
        if not message.address_n and not same:
            raise NotExpressibleError(f"output {number} is not one of the original's, or of another amount")
        if at is not None and bool(message.address_n) != bool(old_outputs[at].address_n):
            raise NotExpressibleError(f"output {number} is change in one of the two transactions only")
    gone = set(range(len(old_outputs))) - set(kept.values())
    if any(not old_outputs[at].address_n for at in gone):
        raise NotExpressibleError("a payee of the original is gone")
    told = []
    for number, at in old_inputs.items():
        one, message = original.inputs[at], inputs[number]
        told.append(
            messages.TxInput(
                address_n=message.address_n,
                prev_hash=message.prev_hash,
                prev_index=message.prev_index,
                sequence=original.tx.inputs[at].sequence,
                script_type=message.script_type,
                multisig=message.multisig,
                amount=message.amount,
                script_sig=one.final_script_sig,
                witness=one.fields.get(_FINAL_WITNESS),
            )
        )
    for number, at in old_inputs.items():
        inputs[number].orig_hash, inputs[number].orig_index = txid, at
    for number, at in kept.items():
        outputs[number].orig_hash, outputs[number].orig_index = txid, at
    return Original(txid, original.tx, told, old_outputs)


def _locktime(psbt: Psbt) -> int:
    """What the lock time means: nothing where no input lets it."""
    if all(spending.sequence == _FINAL_SEQUENCE for spending in psbt.tx.inputs):
        return 0
    return psbt.tx.locktime
