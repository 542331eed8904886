"""Networks the app knows by name, those that matter for tests: chain id -> name, ticker."""

from __future__ import annotations

from typing import Final

NETWORKS: Final = {
    1: ("Ethereum", "ETH"),
    5: ("Goerli", "ETH"),
    10: ("OP Mainnet", "ETH"),
    56: ("BSC", "BNB"),
    61: ("Ethereum Classic", "ETC"),
    100: ("Gnosis", "xDAI"),
    137: ("Polygon", "POL"),
    250: ("Fantom", "FTM"),
    324: ("ZKsync Era", "ETH"),
    5000: ("Mantle", "MNT"),
    8453: ("Base", "ETH"),
    17000: ("Holesky", "ETH"),
    42161: ("Arbitrum", "ETH"),
    42220: ("Celo", "CELO"),
    43114: ("Avalanche", "AVAX"),
    59144: ("Linea", "ETH"),
    81457: ("Blast", "ETH"),
    84532: ("Base Sepolia", "ETH"),
    421614: ("Arbitrum Sepolia", "ETH"),
    534352: ("Scroll", "ETH"),
    11155111: ("Sepolia", "ETH"),
    11155420: ("OP Sepolia", "ETH"),
}


def network_name(chain_id: int) -> str:
    """Its name, or the number of one that is not known."""
    return NETWORKS[chain_id][0] if chain_id in NETWORKS else str(chain_id)


def ticker(chain_id: int) -> str:
    """Its coin, or three question marks."""
    return NETWORKS[chain_id][1] if chain_id in NETWORKS else "???"
