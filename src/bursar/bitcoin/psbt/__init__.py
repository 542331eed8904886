"""Partially signed transactions, version 0 (BIP-174, with the taproot fields of BIP-371)."""

from __future__ import annotations

from bursar.bitcoin.psbt.digests import InputDigest, InputDigests
from bursar.bitcoin.psbt.document import Psbt
from bursar.bitcoin.psbt.maps import PsbtInput, PsbtOutput

__all__ = ["InputDigest", "InputDigests", "Psbt", "PsbtInput", "PsbtOutput"]
