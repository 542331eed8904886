"""What gas costs now: by the fee history (EIP-1559), else by the node's advice, also on chains without a base fee."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.chain.protocols import FeeQuote
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc.reply import Refusal, garbled, read_list, read_object, read_quantity, read_wei

if TYPE_CHECKING:
    from bursar.nodes.ethrpc.link import Link

_BLOCKS: Final = 20
_PERCENTILES: Final = (10, 50, 90)
_ABSURD: Final = 10**15  # a million gwei for one gas: no fee market was ever within a factor of fifty of it


def ask_fees(link: Link) -> FeeQuote:
    """Base fee of the next block and tips that recent blocks took (medians of their 10, 50 and 90 percentiles)."""
    reply = link.attempt("eth_feeHistory", hex(_BLOCKS), "latest", list(_PERCENTILES))
    if isinstance(reply, Refusal):
        return _without_history(link)
    history = read_object(reply, name="the fee history")
    if history.get("baseFeePerGas") is None:
        return _without_history(link)
    bases = read_list(history["baseFeePerGas"], name="baseFeePerGas", most=_BLOCKS + 1)
    ratios = read_list(history.get("gasUsedRatio"), name="gasUsedRatio", most=_BLOCKS)
    rewards = read_list(history.get("reward") or [], name="reward", most=_BLOCKS)
    if not bases or len(rewards) not in (0, len(ratios)):
        raise garbled("its fee history is incomplete")
    rows = [
        [read_quantity(tip, name="a tip", most=_ABSURD) for tip in read_list(row, name="reward", most=3)]
        for row, ratio in zip(rewards, ratios, strict=False)
        if ratio
    ]
    if any(len(row) != 3 for row in rows):
        raise garbled("its fee history is incomplete")
    base_fee = read_wei(bases[-1], name="the base fee", most=_ABSURD)
    if not rows:
        return _advised(link, base_fee) if base_fee else _without_base_fee(link)
    slow, normal, fast = (max(_median([row[column] for row in rows]), 1) for column in range(3))
    return FeeQuote(base_fee=base_fee, slow=Wei(slow), normal=Wei(max(slow, normal)), fast=Wei(max(slow, normal, fast)))


def ask_blob_fee(link: Link) -> Wei | None:
    """What one gas of blobs costs in the next block, in wei; ``None`` where the node knows of no blobs."""
    reply = link.attempt("eth_blobBaseFee")
    if not isinstance(reply, Refusal):
        return None if reply is None else read_wei(reply, name="the price of blobs", most=_ABSURD)
    reply = link.attempt("eth_feeHistory", "0x1", "latest", [])
    if isinstance(reply, Refusal):
        return None
    prices = read_object(reply, name="the fee history").get("baseFeePerBlobGas")
    if not prices:
        return None
    return read_wei(read_list(prices, name="baseFeePerBlobGas", most=2)[-1], name="the price of blobs", most=_ABSURD)


def _without_history(link: Link) -> FeeQuote:
    block = read_object(link.ask("eth_getBlockByNumber", "latest", False), name="the block")
    if block.get("baseFeePerGas") is None:
        return _without_base_fee(link)
    base_fee = read_quantity(block["baseFeePerGas"], name="the base fee", most=_ABSURD)
    return _advised(link, Wei(base_fee + base_fee // 8))


def _advised(link: Link, base_fee: Wei) -> FeeQuote:
    tip = max(read_wei(link.ask("eth_maxPriorityFeePerGas"), name="the tip", most=_ABSURD), Wei(1))
    return FeeQuote(base_fee=base_fee, slow=tip, normal=tip, fast=Wei(tip + tip // 2))


def _without_base_fee(link: Link) -> FeeQuote:
    """A chain of one price for gas: all of it is paid as a tip is elsewhere."""
    price = max(read_wei(link.ask("eth_gasPrice"), name="the price of gas", most=_ABSURD), Wei(1))
    return FeeQuote(base_fee=Wei(0), slow=price, normal=price, fast=Wei(price + price // 4))


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]
