"""Names of accounts: ENS (ERC-137), normalised by ENSIP-15, with ENSIP-10 wildcards and ENSIP-11 chains."""

from __future__ import annotations

from bursar.ethereum.ens.names import EnsName
from bursar.ethereum.ens.resolution import REGISTRY, Resolution, resolve, reverse

__all__ = ["REGISTRY", "EnsName", "Resolution", "resolve", "reverse"]
