"""Logs of a range of blocks, in halves where a node finds that there are too many of them (eth_getLogs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bursar.chain.protocols import BlockRef, Log
from bursar.errors import ChainError, InvalidInputError
from bursar.nodes.ethrpc.link import dropped_block, refused
from bursar.nodes.ethrpc.reply import Refusal, garbled, read_hash, read_list, read_object, read_quantity
from bursar.nodes.ethrpc.shapes import LAST_SECOND, MAX_UINT64, MOST_STORED, MOST_TOPICS, read_block, read_log

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.nodes.ethrpc.link import Link

MOST_TOTAL = 50_000
_HEADERS_AT_ONCE = 100
Topics = Sequence[bytes | Sequence[bytes] | None]
"""For each place a topic, several of which one has to be there, or any."""

_TOO_MANY = ("results", "block range", "blocks range", "range of blocks", "response size", "query returned")
_PERHAPS = ("too many", "more than", "limit", "range", "too large", "too big", "exceed", "timeout", "timed out")


def ask_logs(
    link: Link, *, addresses: Sequence[Address], topics: Topics, from_block: int, to_block: int
) -> tuple[Log, ...]:
    """The logs of ``addresses`` (none: of all contracts) with these topics from one height to another."""
    if not 0 <= from_block <= to_block <= MAX_UINT64 or len(topics) > MOST_TOPICS or () in topics or [] in topics:
        raise InvalidInputError("logs are asked for from a height to the same or a later one, by at most 4 topics")
    # an empty choice would be read as any
    choices = [None if one is None else (one,) if isinstance(one, bytes) else tuple(one) for one in topics]
    wanted: dict[str, Any] = {
        "topics": [
            None if one is None else "0x" + one[0].hex() if len(one) == 1 else ["0x" + topic.hex() for topic in one]
            for one in choices
        ]
    }
    if addresses:
        wanted["address"] = [str(address) for address in addresses]
    objects: list[dict[str, Any]] = []
    waiting = [(from_block, to_block)]
    while waiting:
        first, last = waiting.pop()
        try:
            some = _ask(link, {**wanted, "fromBlock": hex(first), "toBlock": hex(last)})
        except ChainError as error:
            if not _too_many(error):
                raise
            if first == last:
                raise _crowded(f"block {first} has more logs than the node gives: {error.message}") from error
            middle = (first + last) // 2
            waiting += [(middle + 1, last), (first, middle)]
            continue
        heights = [read_quantity(one.get("blockNumber"), name="a log's height", most=MOST_STORED) for one in some]
        if any(not first <= height <= last for height in heights):
            raise garbled("it holds a log of another block")
        objects += some
        if len(objects) > MOST_TOTAL:
            raise _crowded(
                f"more than {MOST_TOTAL} logs in the blocks {from_block} to {to_block}: ask for fewer blocks"
            )
    blocks = _blocks(link, objects)
    found = tuple(read_log(one, blocks[read_hash(one.get("blockHash"), name="a log's block")]) for one in objects)
    _check(found, addresses, choices)
    return found


def _crowded(message: str) -> ChainError:
    return ChainError(message, code="chain.too-many")


def _ask(link: Link, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    reply = link.attempt("eth_getLogs", wanted)
    if isinstance(reply, Refusal):
        raise refused("eth_getLogs", reply)
    listed = read_list(reply, name="the logs", most=MOST_TOTAL)
    return [read_object(one, name="a log") for one in listed]


def _too_many(error: ChainError) -> bool:
    """Whether a smaller range may be answered; no two providers say it in the same words."""
    words = error.message.lower()
    if error.code == "chain.reply":
        return "longer than" in words
    if any(one in words for one in _TOO_MANY):
        return True  # also where the code is that of a busy node
    return error.code == "chain.refused" and any(one in words for one in _PERHAPS)


def _blocks(link: Link, objects: Sequence[dict[str, Any]]) -> dict[str, BlockRef]:
    """The blocks of logs by hash; a node that does not say their times in the logs is asked for their headers."""
    blocks: dict[str, BlockRef] = {}
    untimed: dict[int, str] = {}
    for one in objects:
        name = read_hash(one.get("blockHash"), name="a log's block")
        height = read_quantity(one.get("blockNumber"), name="a log's height", most=MOST_STORED)
        stamp = one.get("blockTimestamp")
        if stamp is None:
            if untimed.setdefault(height, name) != name:
                raise garbled("its logs name two blocks of one height")
            continue
        block = BlockRef(height, name, read_quantity(stamp, name="a block's time", most=LAST_SECOND))
        if blocks.setdefault(name, block) != block:
            raise garbled("its logs describe one block in two ways")
    if untimed:
        calls: list[tuple[str, list[Any]]] = [("eth_getBlockByHash", [name, False]) for name in untimed.values()]
        for (height, name), reply in zip(untimed.items(), link.ask_all(calls, at_once=_HEADERS_AT_ONCE), strict=True):
            if reply is None:
                raise dropped_block()
            block = read_block(reply)
            if (block.height, block.hash) != (height, name):
                raise garbled("it gave another block than was asked for")
            blocks[name] = block
    heights = {one.height for one in blocks.values()}
    if len(heights) != len(blocks):
        raise garbled("its logs name two blocks of one height")
    return blocks


def _check(found: Sequence[Log], addresses: Sequence[Address], choices: Sequence[tuple[bytes, ...] | None]) -> None:
    contracts = frozenset(addresses)
    allowed = [None if one is None else frozenset(one) for one in choices]
    places = set()
    for log in found:
        if contracts and log.address not in contracts:
            raise garbled("it holds a log of another contract")
        matches = zip(allowed, log.topics, strict=False)
        if len(log.topics) < len(allowed) or any(asked is not None and got not in asked for asked, got in matches):
            raise garbled("it holds a log with other topics")
        if log.place is not None:
            places.add((log.place.block.hash, log.place.index))
    if len(places) != sum(log.place is not None for log in found):
        raise garbled("it holds a log twice")
