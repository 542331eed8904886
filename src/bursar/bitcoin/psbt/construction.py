"""The creator and constructor of PSBTs: begin one, add inputs and outputs while that is allowed (BIP-174, 370)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.parts import SEQUENCE_FINAL, OutPoint, TxIn, TxOut
from bursar.bitcoin.psbt import modifiable, version2
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.document import Psbt
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
from bursar.bitcoin.transaction import Transaction
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_LOCKTIME = 0xFFFFFFFF


def create(
    inputs: Iterable[TxIn] = (),
    outputs: Iterable[TxOut] = (),
    *,
    tx_version: int = 2,
    locktime: int = 0,
    version: int = 2,
    modifiable_inputs: bool = False,
    modifiable_outputs: bool = False,
) -> Psbt:
    """A new PSBT. Of version 2, others may add to it where the flags say so; ``locktime`` then stands unless an input
    demands a later one.
    """
    psbt = Psbt(Transaction(tx_version, inputs, outputs, locktime)).to_version(version)
    if modifiable_inputs or modifiable_outputs:
        _check_version(psbt)
        if tx_version < 2:
            raise _refused(f"a transaction of version {tx_version} is not for others to add to: version 2 is")
        modifiable.set_flags(psbt, modifiable.INPUTS * modifiable_inputs | modifiable.OUTPUTS * modifiable_outputs)
    return psbt


def add_input(
    psbt: Psbt,
    outpoint: OutPoint,
    *,
    sequence: int = SEQUENCE_FINAL,
    required_time: int | None = None,
    required_height: int | None = None,
) -> PsbtInput:
    """Add an input behind the others and give back its map, for the updater to fill.

    ``required_time`` (seconds since 1970) and ``required_height`` are the least locktime it can be spent at.
    ``InvalidInputError`` (``input.psbt.construction``) where inputs may not be added, where it is spent already, where
    its demand contradicts another's, and where it would move the locktime that a signature commits to.
    """
    _check_open(psbt, modifiable.INPUTS, "inputs")
    fields = version2.input_fields(outpoint, sequence)
    for key, value in ((r.REQUIRED_TIME, required_time), (r.REQUIRED_HEIGHT, required_height)):
        if value is not None:
            if not 0 <= value <= MOST_LOCKTIME:
                raise _refused(f"a locktime of {value} does not fit 32 bits")
            fields[key] = value.to_bytes(4, "little")
            rule = r.INPUT_RULES_2[key[0]]
            assert rule is not None
            r.check(rule, key, fields[key], "input")
    txid, vout = fields[r.PREVIOUS_TXID], fields[r.OUTPUT_INDEX]
    if any(one.fields[r.PREVIOUS_TXID] == txid and one.fields[r.OUTPUT_INDEX] == vout for one in psbt.inputs):
        raise _refused(f"{outpoint} is spent by it already")
    made = PsbtInput(fields)
    if required_time is not None or required_height is not None:
        wait = version2.locktime(psbt.tx.locktime, [*psbt.inputs, made])
        if wait != psbt.tx.locktime and modifiable.is_signed(psbt):
            raise _refused(f"the input would move the locktime to {wait}, and a signature commits to another")
    psbt.inputs.append(made)
    _changed(psbt)
    return made


def add_output(psbt: Psbt, output: TxOut) -> PsbtOutput:
    """Add an output behind the others and give back its map; ``input.psbt.construction`` where that is not allowed."""
    _check_open(psbt, modifiable.OUTPUTS, "outputs")
    made = PsbtOutput(version2.output_fields(output))
    psbt.outputs.append(made)
    _changed(psbt)
    return made


def set_sequence(psbt: Psbt, index: int, sequence: int) -> None:
    """Set an input's sequence number (an updater's right in version 2) while nothing is signed."""
    _check_version(psbt)
    if modifiable.is_signed(psbt):
        raise _refused("a signature commits to the sequence numbers")
    psbt.inputs[index].fields[r.SEQUENCE] = version2.sequence_bytes(sequence)
    psbt.rebuild()


def close_construction(psbt: Psbt) -> None:
    """Declare that nothing more is added."""
    _check_version(psbt)
    value = modifiable.flags(psbt) & ~(modifiable.INPUTS | modifiable.OUTPUTS)
    if value:
        modifiable.set_flags(psbt, value)
    else:
        psbt.fields.pop(r.GLOBAL_TX_MODIFIABLE, None)


def _changed(psbt: Psbt) -> None:
    version2.write_counts(psbt.fields, len(psbt.inputs), len(psbt.outputs))
    psbt.rebuild()


def _check_open(psbt: Psbt, flag: int, what: str) -> None:
    _check_version(psbt)
    if not modifiable.flags(psbt) & flag:
        raise _refused(f"no {what} may be added to it any more")


def _check_version(psbt: Psbt) -> None:
    if psbt.version != 2:
        raise _refused("version 0 cannot be changed: convert it to version 2 with to_version(2)")


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt is not changed: {reason}", code="input.psbt.construction")
