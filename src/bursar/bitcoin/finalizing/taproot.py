"""The witness of a taproot input that carries no key-path signature yet: MuSig2's sum, else a leaf (BIP-371, 373)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.wire import sized

if TYPE_CHECKING:
    from bursar.bitcoin.finalizing.signatures import InputSignatures
    from bursar.bitcoin.psbt import Psbt


def script_path(psbt: Psbt, place: int, script: bytes, signatures: InputSignatures) -> bytes:
    """The serialised witness; ``input.psbt.unsigned`` says what lacks."""
    from bursar.bitcoin.finalizing.miniscripts import leaf_witness

    if len(psbt.inputs[place].musig2_partial_sigs):
        from bursar.bitcoin.psbt.musig2 import aggregated

        psbt = aggregated(psbt, place)
        signatures = signatures.of(psbt.inputs[place].fields)
        whole = signatures.key_path(script[2:])
        if whole is not None:
            return b"\x01" + sized(whole)
    return leaf_witness(psbt, place, script, signatures)
