"""Signatures taken over from a PSBT that other software wrote, and nothing else from it (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt, PsbtInput

_SIGNATURES: Final = frozenset({0x02, 0x13, 0x14})  # PSBT_IN_PARTIAL_SIG, TAP_KEY_SIG, TAP_SCRIPT_SIG
_KEY_SIZES: Final = (33, 65)


def adopt_signatures(question: Psbt, answer: Psbt) -> Psbt:
    """A copy of ``question`` with the signatures of ``answer``; the final inputs of single keys are taken apart.

    Other programs drop, add and reorder fields, which is not for a signer to do. An answer about another transaction
    is given back as it is, so that the check of answers says so. Nothing is verified here.
    """
    if answer.tx.serialize() != question.tx.serialize() or len(answer.inputs) != len(question.inputs):
        return answer
    signed = question.copy()
    for mine, theirs in zip(signed.inputs, answer.inputs, strict=True):
        found = {key: value for key, value in theirs.fields.items() if key[0] in _SIGNATURES}
        for key, value in (found or _from_final(mine, theirs)).items():
            mine.fields[key] = value
    return signed


def _from_final(mine: PsbtInput, theirs: PsbtInput) -> dict[bytes, bytes]:
    """The signature inside a final input, where it can only be that of one key the question names."""
    if mine.is_final:
        return {}
    items = theirs.final_witness or _pushes(theirs.final_script_sig or b"")
    if len(items) == 1 and mine.tap_bip32_derivations:
        return {b"\x13": items[0]}
    if len(items) == 2 and len(items[1]) in _KEY_SIZES and items[1] in mine.bip32_derivations:
        return {b"\x02" + items[1]: items[0]}
    return {}


def _pushes(script: bytes) -> tuple[bytes, ...]:
    """What a script of plain pushes of up to 75 bytes pushes; nothing for any other script."""
    items: list[bytes] = []
    while script:
        size = script[0]
        if not 1 <= size <= 75 or len(script) <= size:
            return ()
        items.append(script[1 : 1 + size])
        script = script[1 + size :]
    return tuple(items)
