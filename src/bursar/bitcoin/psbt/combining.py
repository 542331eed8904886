"""The combiner of PSBTs: the fields of several for one transaction, nothing decided by who came last (BIP-174, 370)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import modifiable, version2
from bursar.bitcoin.psbt import rules as r
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.bitcoin.psbt.document import Psbt


def combine(psbts: Sequence[Psbt]) -> Psbt:
    """One PSBT with the fields of all, of version 2 if one of them is.

    ``InvalidInputError`` (``input.psbt.combine``) for another transaction, a field with two values, and signatures
    over another sequence or locktime than the result has.
    """
    if not psbts:
        raise _refused("there is no psbt to combine")
    version = max(psbt.version for psbt in psbts)
    base = next(place for place, psbt in enumerate(psbts) if psbt.version == version)
    result = psbts[base].copy()
    for given in (*psbts[:base], *psbts[base + 1 :]):
        other = given if given.version == version else given.to_version(version)
        _check_same(result, other)
        if other is not given:  # the whole locktime became the fallback, which says nothing of what was demanded
            other.fields.pop(r.GLOBAL_FALLBACK_LOCKTIME)
        if version == 2:
            _merge_flags(result, other)
        _merge(result.fields, other.fields, "global map")
        for place, (mine, theirs) in enumerate(zip(result.inputs, other.inputs, strict=True)):
            _merge(mine.fields, theirs.fields, f"input {place}")
        for place, (ours, paid) in enumerate(zip(result.outputs, other.outputs, strict=True)):
            _merge(ours.fields, paid.fields, f"output {place}")
    if version == 2:
        result.rebuild()
        for given in psbts:
            if given.tx != result.tx and modifiable.is_signed(given):
                raise _refused("a signature commits to another sequence or locktime than the psbts together have")
    return result


def identity(psbt: Psbt) -> bytes:
    """BIP-370's name of a PSBT: the id of its transaction with every sequence 0, which updaters may change."""
    converted = psbt if psbt.version == 2 else psbt.to_version(2)
    return bytes(version2.transaction(converted.fields, converted.inputs, converted.outputs, sequence=0).txid)


def _check_same(result: Psbt, other: Psbt) -> None:
    same = other.tx == result.tx if result.version == 0 else identity(result) == identity(other)
    if not same:
        raise _refused(f"psbts of different transactions ({result.tx.txid}, {other.tx.txid}) do not combine")


def _merge_flags(result: Psbt, other: Psbt) -> None:
    """May add only what both allow; one signature with SINGLE is enough. Bits nobody defined must agree."""
    mine, theirs = modifiable.flags(result), modifiable.flags(other)
    known = modifiable.INPUTS | modifiable.OUTPUTS | modifiable.HAS_SINGLE
    if r.GLOBAL_TX_MODIFIABLE not in result.fields and r.GLOBAL_TX_MODIFIABLE not in other.fields:
        return
    if (mine ^ theirs) & ~known & 0xFF:
        raise _refused("psbts disagree on the flags for what may be added")
    modifiable.set_flags(result, mine & theirs & ~modifiable.HAS_SINGLE | (mine | theirs) & modifiable.HAS_SINGLE)


def _merge(into: dict[bytes, bytes], fields: dict[bytes, bytes], where: str) -> None:
    for key, value in fields.items():
        if into.setdefault(key, value) != value and (key != r.GLOBAL_TX_MODIFIABLE or where != "global map"):
            raise _refused(f"psbts disagree on {where}, field type 0x{key[0]:02x}: one of them is wrong")


def _refused(reason: str) -> InvalidInputError:
    return InvalidInputError(reason, code="input.psbt.combine")
