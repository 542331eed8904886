"""Output descriptors: parsing, canonical text, scripts and addresses (BIP-379 to 387, 389, 390)."""

from __future__ import annotations

from bursar.bitcoin.descriptor_checksum import add_checksum, checksum, strip_checksum
from bursar.bitcoin.descriptors.analysis import describe
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import Key, KeyExpression, MusigExpression
from bursar.bitcoin.descriptors.plan import Assets, SpendPlan
from bursar.bitcoin.descriptors.spending import LeafSpend, Spending

__all__ = [
    "Assets",
    "Descriptor",
    "Key",
    "KeyExpression",
    "LeafSpend",
    "MusigExpression",
    "SpendPlan",
    "Spending",
    "add_checksum",
    "checksum",
    "describe",
    "strip_checksum",
]
