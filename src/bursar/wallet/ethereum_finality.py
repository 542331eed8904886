"""Up to which block an Ethereum chain counts as final for crediting, by the chain's own rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.chain.ethereum_chains import FinalityRule

if TYPE_CHECKING:
    from bursar.chain.ethereum_chains import EthereumChains
    from bursar.chain.ethereum_reading import Heads

UNKNOWN_CHAIN: Final = 12  # confirmations asked for on a chain without a file


def final_height(chains: EthereumChains, chain_id: int, *, tip: int, heads: Heads | None) -> int | None:
    """The highest block that is final at ``tip``; ``None`` while none is, or where the node does not give the mark."""
    chain = chains.by_id.get(chain_id)
    rule = FinalityRule.CONFIRMATIONS if chain is None else chain.finality
    if rule is FinalityRule.CONFIRMATIONS:
        height = tip + 1 - (UNKNOWN_CHAIN if chain is None else chain.confirmations)
        return height if height >= 0 else None
    if heads is None:
        return None
    mark = heads.safe if rule is FinalityRule.SAFE else heads.finalized
    return None if mark is None else min(mark.height, tip)
