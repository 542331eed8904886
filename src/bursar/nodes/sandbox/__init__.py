"""Chains embedded in this process for trying things out: Bitcoin regtest and an EVM, both behind JSON-RPC."""
