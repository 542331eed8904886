"""The cheapest witness for a miniscript that nobody else can change (BIP-379)."""

from __future__ import annotations

from bursar.bitcoin.miniscript.materials import Materials, Satisfaction
from bursar.bitcoin.miniscript.miniscript import Miniscript


def satisfy(ms: Miniscript[bytes], materials: Materials) -> Satisfaction:
    """The witness stack; ``InvalidInputError`` (``input.miniscript.unsatisfied``) names what lacks."""
    raise NotImplementedError
