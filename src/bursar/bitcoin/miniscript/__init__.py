"""Miniscript (BIP-379) for P2WSH and tapscript: parse, analyse, encode, decode, satisfy; each room loads on use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.bitcoin.miniscript.context import Context
    from bursar.bitcoin.miniscript.limits import Limits
    from bursar.bitcoin.miniscript.materials import Materials, Satisfaction
    from bursar.bitcoin.miniscript.miniscript import Miniscript
    from bursar.bitcoin.miniscript.satisfaction import missing, satisfy

__all__ = ["Context", "Limits", "Materials", "Miniscript", "Satisfaction", "missing", "satisfy"]

_HOMES = {
    "Context": "context",
    "Limits": "limits",
    "Materials": "materials",
    "Miniscript": "miniscript",
    "Satisfaction": "materials",
    "missing": "satisfaction",
    "satisfy": "satisfaction",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
