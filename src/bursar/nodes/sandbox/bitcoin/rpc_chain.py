"""JSON-RPC on the chain: its state, blocks, headers, reorganisation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import InvalidInputError
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.shapes import DIFFICULTY, block_shape, header_shape

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import Known, RegtestChain

BASIC_FILTER: Final = "basic block filter index"
_REFUSALS: Final = {"input.block.invalidated": "duplicate-invalid", "input.block.parent": "prev-blk-not-found"}


def find_block(chain: RegtestChain, value: Any, name: str = "blockhash") -> Known:
    """A known block by display hash."""
    known = chain.known.get(params.hash_bytes(value, name))
    if known is None:
        raise RpcError(params.ADDRESS_OR_KEY, "Block not found")
    return known


def getblockchaininfo(chain: RegtestChain) -> Any:
    """State of the chain."""
    tip = chain.index.tip
    return {
        "chain": "regtest",
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": chain.tip_hash,
        "difficulty": DIFFICULTY,
        "time": tip.block.header.time,
        "mediantime": tip.median_time,
        "verificationprogress": Decimal(1),
        "initialblockdownload": tip.height == 0,  # Core: until a block of today comes
        "chainwork": f"{2 * (tip.height + 1):064x}",
        "size_on_disk": sum(len(known.block.raw) for known in chain.known.values()),
        "pruned": False,
        "warnings": [],
    }


def getblockcount(chain: RegtestChain) -> Any:
    """Height of the tip."""
    return chain.height


def getbestblockhash(chain: RegtestChain) -> Any:
    """Hash of the tip."""
    return chain.tip_hash


def getblockhash(chain: RegtestChain, height: Any) -> Any:
    """Hash of the active block at a height."""
    number = params.whole(height)
    if not 0 <= number <= chain.height:
        raise RpcError(params.PARAMETER, "Block height out of range")
    return chain.index.chain[number].block.hash[::-1].hex()


def getblockheader(chain: RegtestChain, blockhash: Any, verbose: Any = True) -> Any:
    """A block's header, as an object or in hex."""
    known = find_block(chain, blockhash)
    return header_shape(chain, known) if params.flag(verbose) else known.block.raw[:80].hex()


def getblock(chain: RegtestChain, blockhash: Any, verbosity: Any = 1) -> Any:
    """A block: hex (0), with ids (1), with transactions (2), with what they spend (3)."""
    known = find_block(chain, blockhash)
    level = params.verbosity(verbosity)
    return known.block.raw.hex() if level <= 0 else block_shape(chain, known, level)


def getchaintips(chain: RegtestChain) -> Any:
    """The tips of all branches, the active one among them."""
    parents = {known.block.header.previous for known in chain.known.values() if not chain.is_active(known)}
    tips = [
        known
        for block_hash, known in chain.known.items()
        if known.block.hash == chain.index.tip.block.hash or (block_hash not in parents and not chain.is_active(known))
    ]
    return [_tip(chain, known) for known in sorted(tips, key=lambda known: -known.height)]


def _tip(chain: RegtestChain, known: Known) -> dict[str, Any]:
    fork = known
    while not chain.is_active(fork):
        fork = chain.known[fork.block.header.previous]
    status = "active" if fork is known else "invalid" if chain.is_invalid(known.block.hash) else "valid-fork"
    return {
        "height": known.height,
        "hash": known.block.hash[::-1].hex(),
        "branchlen": known.height - fork.height,
        "status": status,
    }


def getdifficulty(chain: RegtestChain) -> Any:  # noqa: ARG001
    """Proof-of-work difficulty; it never changes on regtest."""
    return DIFFICULTY


def invalidateblock(chain: RegtestChain, blockhash: Any) -> Any:
    """Treat a block and what builds on it as invalid."""
    known = find_block(chain, blockhash)
    try:
        chain.invalidate(known.block.hash)
    except InvalidInputError as error:
        raise RpcError(params.MISC, error.message) from error


def reconsiderblock(chain: RegtestChain, blockhash: Any) -> Any:
    """Take back invalidateblock."""
    chain.reconsider(find_block(chain, blockhash).block.hash)


def submitblock(chain: RegtestChain, hexdata: Any, dummy: Any = None) -> Any:  # noqa: ARG001
    """Give the node a block; null when it was accepted, else BIP-22's word for why not."""
    try:
        raw = bytes.fromhex(params.text(hexdata))
    except ValueError as error:
        raise RpcError(params.DECODE, "Block decode failed") from error
    before = len(chain.known)
    try:
        block_hash = chain.submit_block(raw)
    except InvalidInputError as error:
        if error.code == "input.block":
            raise RpcError(params.DECODE, "Block decode failed") from error
        return _REFUSALS.get(error.code, f"rejected, {error.message}")
    if len(chain.known) == before:
        return "duplicate"
    return None if chain.is_active(chain.known[bytes.fromhex(block_hash)[::-1]]) else "inconclusive"


def gettxoutsetinfo(
    chain: RegtestChain,
    hash_type: Any = "none",
    hash_or_height: Any = None,  # noqa: ARG001
    use_index: Any = True,  # noqa: ARG001
) -> Any:
    """Size of the set of unspent outputs; of Core's hashes only "none" is offered."""
    if params.text(hash_type) != "none":
        raise RpcError(params.PARAMETER, f"'{hash_type}' is not offered here, use hash_type none")
    coins = chain.index.coins
    return {
        "height": chain.height,
        "bestblock": chain.tip_hash,
        "txouts": len(coins),
        "bogosize": sum(50 + len(coin.script) for coin in coins.values()),
        "total_amount": Btc(sum(coin.value for coin in coins.values())),
        "transactions": len({outpoint.txid for outpoint in coins}),
        "disk_size": 0,
    }


def getindexinfo(chain: RegtestChain, index_name: Any = "") -> Any:
    """The indexes this node keeps: transactions and, answered from its script index, basic block filters."""
    wanted = params.text(index_name)
    state = {"synced": True, "best_block_height": chain.height}
    if not chain.indexed:
        return {}
    return {name: state for name in ("txindex", BASIC_FILTER) if wanted in ("", name)}


METHODS: Final = (
    getblockchaininfo,
    getblockcount,
    getbestblockhash,
    getblockhash,
    getblockheader,
    getblock,
    getchaintips,
    getdifficulty,
    invalidateblock,
    reconsiderblock,
    submitblock,
    gettxoutsetinfo,
    getindexinfo,
)
