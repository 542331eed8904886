"""Ethereum nodes spoken to over JSON-RPC, through web3 (extra ``ethereum``), one or several of a chain."""

from bursar.nodes.ethrpc.backend import EthRpcBackend
from bursar.nodes.ethrpc.quorum import Dissent, QuorumBackend

__all__ = ["Dissent", "EthRpcBackend", "QuorumBackend"]
