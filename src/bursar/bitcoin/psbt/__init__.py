"""Partially signed transactions, versions 0 and 2 (BIP-174, BIP-370; fields of BIP-371 and BIP-373)."""

from __future__ import annotations

from bursar.bitcoin.psbt.combining import combine
from bursar.bitcoin.psbt.construction import add_input, add_output, close_construction, create, set_sequence
from bursar.bitcoin.psbt.digests import InputDigest, InputDigests
from bursar.bitcoin.psbt.document import Psbt
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput
from bursar.bitcoin.psbt.modifiable import note_signature
from bursar.bitcoin.psbt.updating import update_input, update_output

__all__ = [
    "InputDigest",
    "InputDigests",
    "Psbt",
    "PsbtInput",
    "PsbtOutput",
    "add_input",
    "add_output",
    "close_construction",
    "combine",
    "create",
    "note_signature",
    "set_sequence",
    "update_input",
    "update_output",
]
