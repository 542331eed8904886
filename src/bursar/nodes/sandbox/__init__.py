"""Chains embedded in this process for trying things out: Bitcoin regtest and an EVM, both behind JSON-RPC."""

from __future__ import annotations

from bursar.nodes.sandbox.facade import CHAIN_ID, Sandbox
from bursar.nodes.sandbox.state import SandboxState, read, running, stop

__all__ = ["CHAIN_ID", "Sandbox", "SandboxState", "read", "running", "stop"]
