"""Output descriptors: parsing, canonical text, scripts and addresses (BIP-379 to 387, 389, 390)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.descriptor_checksum import add_checksum, checksum, strip_checksum
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.keys import Key, KeyExpression, MusigExpression
from bursar.bitcoin.descriptors.spending import LeafSpend, Spending

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.analysis import describe
    from bursar.bitcoin.descriptors.plan import Assets, SpendPlan

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

_LATE = {"Assets": "plan", "SpendPlan": "plan", "describe": "analysis"}  # what only spenders need


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = value
    return value
