"""Addresses that devices show, compared by script: a test device may print another test network's prefix."""

from __future__ import annotations

from bursar.bitcoin.address import Address
from bursar.bitcoin.network import NETWORKS
from bursar.errors import InvalidInputError


def pays_to(shown: str, script: bytes, *, testnet: bool) -> bool:
    """Whether the address ``shown`` is of a main or a test network, as asked, and pays to ``script``."""
    for network in NETWORKS:
        if network.testnet == testnet:
            try:
                if Address.from_text(shown, network).script == script:
                    return True
            except InvalidInputError:
                continue
    return False
