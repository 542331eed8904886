"""Miniscript (BIP-379) for P2WSH and tapscript: parse, analyse, encode, decode, satisfy."""

from __future__ import annotations

from bursar.bitcoin.miniscript.context import Context
from bursar.bitcoin.miniscript.limits import Limits
from bursar.bitcoin.miniscript.materials import Materials, Satisfaction
from bursar.bitcoin.miniscript.miniscript import Miniscript
from bursar.bitcoin.miniscript.satisfaction import missing, satisfy

__all__ = ["Context", "Limits", "Materials", "Miniscript", "Satisfaction", "missing", "satisfy"]
