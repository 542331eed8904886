"""An Esplora server over the sandbox's Bitcoin chain."""

from bursar.nodes.sandbox.esplora.server import EsploraServer

__all__ = ["EsploraServer"]
