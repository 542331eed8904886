"""An Electrum server (protocol 1.4) as a source of chain data; nothing it says of the chain is believed unproven."""

from __future__ import annotations

from bursar.nodes.electrum.backend import ElectrumBackend

__all__ = ["ElectrumBackend"]
