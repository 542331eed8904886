"""PSBT version 2: the transaction its maps describe, its locktime, conversion to and from version 0 (BIP-370)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.parts import SEQUENCE_FINAL, OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import MAX_MONEY, Sats
from bursar.bitcoin.wire import compact_size, read_compact_size
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VERSION: Final = b"\2\0\0\0"
_IN_FIELDS: Final = frozenset({r.PREVIOUS_TXID, r.OUTPUT_INDEX, r.SEQUENCE, r.REQUIRED_TIME, r.REQUIRED_HEIGHT})
_OUT_FIELDS: Final = frozenset({r.OUT_AMOUNT, r.OUT_SCRIPT})
_GLOBAL_FIELDS: Final = frozenset((*r.VERSION_2_GLOBAL, r.GLOBAL_VERSION))
_REQUIRED: Final = (
    ("transaction version", r.GLOBAL_TX_VERSION),
    ("input count", r.GLOBAL_INPUT_COUNT),
    ("output count", r.GLOBAL_OUTPUT_COUNT),
)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def sequence_bytes(sequence: int) -> bytes:
    """A sequence number as it stands in the field."""
    if not 0 <= sequence <= SEQUENCE_FINAL:
        raise InvalidInputError(f"sequence {sequence} does not fit 32 bits", code="input.psbt.construction")
    return _u32(sequence)


def _number(raw: bytes | None, otherwise: int) -> int:
    return otherwise if raw is None else int.from_bytes(raw, "little")


def _wrong(reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt of version 2 {reason}", code="input.psbt.version")


def _check_amount(amount: int) -> None:
    if not 0 <= amount <= MAX_MONEY:
        raise InvalidInputError(
            f"output amount {amount} sat is out of range: at most 21 million BTC", code="input.amount.range"
        )


def read_maps(data: bytes, at: int, fields: dict[bytes, bytes]) -> tuple[list[PsbtInput], list[PsbtOutput], int]:
    """The input and output maps behind the global map ``fields``, and the offset behind them."""
    if r.GLOBAL_TX in fields:
        raise _wrong("carries an unsigned transaction, which belongs to version 0")
    for name, key in _REQUIRED:
        if key not in fields:
            raise _wrong(f"has no {name}: it is required")
    counts = [read_compact_size(fields[key], 0)[0] for key in (r.GLOBAL_INPUT_COUNT, r.GLOBAL_OUTPUT_COUNT)]
    if sum(counts) > len(data) - at:  # each map ends in a byte of its own
        raise IndexError(at)
    inputs: list[PsbtInput] = []
    outputs: list[PsbtOutput] = []
    for _ in range(counts[0]):
        one, at = r.read_map(data, at, r.INPUT_RULES_2, "input")
        if r.PREVIOUS_TXID not in one or r.OUTPUT_INDEX not in one:
            raise _wrong(f"has an input {len(inputs)} that does not say which output it spends")
        inputs.append(PsbtInput(one))
    for _ in range(counts[1]):
        one, at = r.read_map(data, at, r.OUTPUT_RULES_2, "output")
        if r.OUT_AMOUNT not in one or r.OUT_SCRIPT not in one:
            raise _wrong(f"has an output {len(outputs)} without amount or script")
        outputs.append(PsbtOutput(one))
    return inputs, outputs, at


def locktime(fallback: int, inputs: Iterable[PsbtInput]) -> int:
    """BIP-370's rule: the greatest locktime of the kind that every input with a demand accepts, heights before times.

    ``InvalidInputError`` (``input.psbt.locktime``) if one input demands a height and another a time.
    """
    heights: list[int] = []
    times: list[int] = []
    only = set()
    for one in inputs:
        height, time = one.required_height, one.required_time
        if height is not None:
            heights.append(height)
        if time is not None:
            times.append(time)
        if (height is None) != (time is None):
            only.add("time" if height is None else "height")
    if len(only) == 2:
        raise InvalidInputError(
            "psbt has an input that waits for a height and another that waits for a time: no transaction does both",
            code="input.psbt.locktime",
        )
    if heights and "time" not in only:
        return max(heights)
    return max(times) if times else fallback


def transaction(
    fields: dict[bytes, bytes],
    inputs: Sequence[PsbtInput],
    outputs: Sequence[PsbtOutput],
    *,
    sequence: int | None = None,
) -> Transaction:
    """The unsigned transaction that the maps of version 2 describe; ``sequence`` in place of every input's own."""
    spends = []
    for one in inputs:
        raw = one.fields
        outpoint = OutPoint(Txid(raw[r.PREVIOUS_TXID]), int.from_bytes(raw[r.OUTPUT_INDEX], "little"))
        own = _number(raw.get(r.SEQUENCE), SEQUENCE_FINAL)
        spends.append(TxIn(outpoint, b"", own if sequence is None else sequence))
    pays = []
    for paid in outputs:
        raw = paid.fields
        amount = int.from_bytes(raw[r.OUT_AMOUNT], "little", signed=True)
        _check_amount(amount)
        pays.append(TxOut(Sats(amount), raw[r.OUT_SCRIPT]))
    wait = locktime(_number(fields.get(r.GLOBAL_FALLBACK_LOCKTIME), 0), inputs)
    return Transaction(int.from_bytes(fields[r.GLOBAL_TX_VERSION], "little"), spends, pays, wait)


def write_counts(fields: dict[bytes, bytes], inputs: int, outputs: int) -> None:
    """Set both counts of the global map."""
    fields[r.GLOBAL_INPUT_COUNT] = compact_size(inputs)
    fields[r.GLOBAL_OUTPUT_COUNT] = compact_size(outputs)


def global_fields(tx_version: int, fallback: int, inputs: int, outputs: int) -> dict[bytes, bytes]:
    """A global map of version 2 with nothing but what it needs."""
    fields = {r.GLOBAL_TX_VERSION: _u32(tx_version), r.GLOBAL_FALLBACK_LOCKTIME: _u32(fallback)}
    write_counts(fields, inputs, outputs)
    fields[r.GLOBAL_VERSION] = VERSION
    return fields


def input_fields(outpoint: OutPoint, sequence: int) -> dict[bytes, bytes]:
    """What an input of version 2 says of itself; a final sequence is left out, as it is the default."""
    fields = {r.PREVIOUS_TXID: bytes(outpoint.txid), r.OUTPUT_INDEX: _u32(outpoint.vout)}
    if sequence != SEQUENCE_FINAL:
        fields[r.SEQUENCE] = sequence_bytes(sequence)
    return fields


def output_fields(output: TxOut) -> dict[bytes, bytes]:
    """What an output of version 2 says of itself."""
    _check_amount(output.value)
    return {r.OUT_AMOUNT: output.value.to_bytes(8, "little", signed=True), r.OUT_SCRIPT: output.script}


def upgraded(
    tx: Transaction, fields: dict[bytes, bytes], inputs: Sequence[PsbtInput], outputs: Sequence[PsbtOutput]
) -> tuple[dict[bytes, bytes], list[PsbtInput], list[PsbtOutput]]:
    """The maps of version 2 that say what ``tx`` and the maps of version 0 say. Nothing may be added to it."""
    made = global_fields(tx.version, tx.locktime, len(inputs), len(outputs))
    made.update({key: value for key, value in fields.items() if key not in (r.GLOBAL_TX, r.GLOBAL_VERSION)})
    spends = [
        one.replaced({**one.fields, **input_fields(spent.outpoint, spent.sequence)})
        for one, spent in zip(inputs, tx.inputs, strict=True)
    ]
    pays = [PsbtOutput({**one.fields, **output_fields(paid)}) for one, paid in zip(outputs, tx.outputs, strict=True)]
    return made, spends, pays


def downgraded(
    tx: Transaction, fields: dict[bytes, bytes], inputs: Sequence[PsbtInput], outputs: Sequence[PsbtOutput]
) -> tuple[dict[bytes, bytes], list[PsbtInput], list[PsbtOutput]]:
    """The maps of version 0 for ``tx``; what only version 2 can say (demanded locktimes, flags) is settled in it."""
    made = {r.GLOBAL_TX: tx.serialize(witness=False)}
    made.update({key: value for key, value in fields.items() if key not in _GLOBAL_FIELDS})
    spends = [
        one.replaced({key: value for key, value in one.fields.items() if key not in _IN_FIELDS}) for one in inputs
    ]
    pays = [PsbtOutput({key: value for key, value in one.fields.items() if key not in _OUT_FIELDS}) for one in outputs]
    return made, spends, pays
