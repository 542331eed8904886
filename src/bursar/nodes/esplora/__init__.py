"""An Esplora server (REST) as a source of chain data."""

from bursar.nodes.esplora.backend import EsploraBackend

__all__ = ["EsploraBackend"]
