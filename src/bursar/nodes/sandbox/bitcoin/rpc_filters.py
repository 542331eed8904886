"""JSON-RPC on block filters (BIP-157, BIP-158)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin.filters import GENESIS_PREVIOUS, basic_filter
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.rpc_chain import find_block

if TYPE_CHECKING:
    from bursar.bitcoin.filters import BlockFilter
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain


def getblockfilter(chain: RegtestChain, blockhash: Any, filtertype: Any = "basic") -> Any:
    """The basic filter of a block, and its header on the chain of filter headers."""
    if params.text(filtertype) != "basic":
        raise RpcError(params.ADDRESS_OR_KEY, "Unknown filtertype")
    if not chain.indexed:
        raise RpcError(params.MISC, "Index is not enabled for filtertype basic")
    known = find_block(chain, blockhash)
    if chain.connected(known) is None:
        raise RpcError(params.ADDRESS_OR_KEY, "Filter not found. Block was not connected to active chain.")
    one, header = _committed(chain, known.block.hash)
    return {"filter": one.content.hex(), "header": header[::-1].hex()}


def _committed(chain: RegtestChain, block_hash: bytes) -> tuple[BlockFilter, bytes]:
    """A filter and its header; headers below are made once and kept with the chain."""
    waiting: list[bytes] = []
    at = block_hash
    while at in chain.known and at not in chain.filters:
        waiting.append(at)
        at = chain.known[at].block.header.previous
    for one in reversed(waiting):
        known = chain.known[one]
        connected = chain.connected(known)
        spent = (coin.script for coins in (connected.spent if connected else ()) for coin in coins)
        made = basic_filter(one, known.block.transactions, spent)
        previous = GENESIS_PREVIOUS if known.height == 0 else chain.filters[known.block.header.previous][1]
        chain.filters[one] = made, made.header(previous)
    return chain.filters[block_hash]


METHODS: Final = (getblockfilter,)
