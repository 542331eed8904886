"""A Bitcoin Core node as a source of chain data."""

from bursar.nodes.bitcoind.backend import BitcoindBackend

__all__ = ["BitcoindBackend"]
