"""An Ethereum node spoken to over JSON-RPC, through web3 (extra ``ethereum``)."""

from bursar.nodes.ethrpc.backend import EthRpcBackend

__all__ = ["EthRpcBackend"]
