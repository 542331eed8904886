"""An Electrum server over the sandbox's Bitcoin chain (Electrum protocol 1.4.2)."""

from __future__ import annotations

from bursar.nodes.sandbox.electrum.server import ElectrumServer

__all__ = ["ElectrumServer"]
