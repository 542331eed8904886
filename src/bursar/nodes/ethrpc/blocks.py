"""Heads, whole blocks and their receipts from one node (Ethereum execution API)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from bursar.chain.ethereum_reading import BlockBody, Heads
from bursar.errors import InvalidInputError
from bursar.nodes.ethrpc.link import dropped_block, refused, unknown_block
from bursar.nodes.ethrpc.reply import Refusal, garbled, read_list
from bursar.nodes.ethrpc.shapes import (
    MAX_UINT64,
    MOST_TRANSACTIONS,
    read_block,
    read_body,
    read_receipt,
    read_transaction_hashes,
)

if TYPE_CHECKING:
    from bursar.chain.protocols import BlockRef, Receipt
    from bursar.nodes.ethrpc.link import Link

LARGEST_BLOCK = 64 * 1024 * 1024
_RECEIPTS_AT_ONCE = 50


def ask_heads(link: Link) -> Heads:
    """The marks of the chain; one the node does not know is ``None``."""
    # the newest is asked last: a block that arrives meanwhile cannot make a mark stand above it
    names = ("finalized", "safe", "latest")
    marks = []
    for name, reply in zip(
        names, link.ask_many([("eth_getBlockByNumber", [name, False]) for name in names]), strict=True
    ):
        if name == "latest":
            if reply is None:
                raise unknown_block()
            if isinstance(reply, Refusal):
                raise refused("eth_getBlockByNumber", reply)
        marks.append(None if reply is None or isinstance(reply, Refusal) else read_block(reply))
    finalized, safe, latest = marks
    assert latest is not None
    heights = [one.height for one in marks if one is not None]
    if heights != sorted(heights):
        raise garbled("its safe and finalized blocks do not stand below its last one")
    return Heads(latest=latest, safe=safe, finalized=finalized)


def ask_block_at(link: Link, height: int) -> BlockRef | None:
    """The block at a height, ``None`` beyond the tip."""
    reply = link.ask("eth_getBlockByNumber", hex(_checked(height)), False)
    return None if reply is None else _at(read_block(reply), height)


def ask_block_body(link: Link, height: int) -> BlockBody:
    """The block at a height with its transactions."""
    reply = link.ask_all([("eth_getBlockByNumber", [hex(_checked(height)), True])], most=LARGEST_BLOCK)[0]
    if reply is None:
        raise unknown_block()
    body = read_body(reply)
    _at(body.block, height)
    return body


def ask_block_receipts(link: Link, block: BlockRef) -> tuple[Receipt, ...]:
    """Every receipt of a block, as many and in the order of its transactions."""
    calls: list[tuple[str, list[Any]]] = [
        ("eth_getBlockByHash", [block.hash, False]),
        ("eth_getBlockReceipts", [block.hash]),
    ]
    header, reply = link.ask_many(calls, most=LARGEST_BLOCK)
    if isinstance(header, Refusal):
        raise refused("eth_getBlockByHash", header)
    if header is None:
        raise dropped_block()
    if read_block(header) != block:
        raise garbled("it gave another block than was asked for")
    hashes = read_transaction_hashes(header)
    if reply is None or isinstance(reply, Refusal):
        singly = [("eth_getTransactionReceipt", [one]) for one in hashes]
        reply = link.ask_all(singly, at_once=_RECEIPTS_AT_ONCE, most=LARGEST_BLOCK) if singly else []
    listed = read_list(reply, name="the receipts", most=MOST_TRANSACTIONS)
    if len(listed) != len(hashes):
        raise garbled(f"a block of {len(hashes)} transactions has {len(listed)} receipts")
    receipts = tuple(read_receipt(one, block, tx_hash) for one, tx_hash in zip(listed, hashes, strict=True))
    indexes = [log.place.index for one in receipts for log in one.logs if log.place is not None]
    if any(later <= earlier for earlier, later in itertools.pairwise(indexes)):
        raise garbled("the logs of a block do not stand in their order")
    return receipts


def _checked(height: int) -> int:
    if type(height) is not int or not 0 <= height <= MAX_UINT64:
        raise InvalidInputError(f"{height!r:.40} is no height of a block")
    return height


def _at(block: BlockRef, height: int) -> BlockRef:
    if block.height != height:
        raise garbled("it gave another block than was asked for")
    return block
