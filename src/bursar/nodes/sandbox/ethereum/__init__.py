"""An embedded Ethereum chain behind JSON-RPC: py-evm by default, anvil where it is installed."""

from bursar.nodes.sandbox.ethereum.faucet import TokenInfo
from bursar.nodes.sandbox.ethereum.sandbox import CHAIN_ID, EthereumSandbox

__all__ = ["CHAIN_ID", "EthereumSandbox", "TokenInfo"]
