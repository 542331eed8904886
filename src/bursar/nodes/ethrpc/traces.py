"""Ether moved inside contracts, from a node's traces: OpenEthereum's flat ones, or go-ethereum's nested ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bursar.chain.ethereum_reading import InternalTransfer
from bursar.ethereum.address import Address
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc.link import dropped_block, missing
from bursar.nodes.ethrpc.reply import (
    Refusal,
    garbled,
    read_address,
    read_hash,
    read_list,
    read_object,
    read_wei,
)
from bursar.nodes.ethrpc.shapes import MOST_TRANSACTIONS, read_block, read_transaction_hashes

if TYPE_CHECKING:
    from bursar.chain.protocols import BlockRef
    from bursar.nodes.ethrpc.link import Link

LARGEST_TRACE = 64 * 1024 * 1024
DEEPEST_TRACE = 700  # a call is an object in a list: 350 calls in one another
MOST_CALLS = 1_000_000
_DEEPEST_CALL = 1_024  # EVM
_NESTED = {"tracer": "callTracer", "timeout": "60s"}
_FLAT = {"tracer": "flatCallTracer", "timeout": "60s"}
_MOVING = ("CALL", "CREATE", "CREATE2", "SELFDESTRUCT")

Move = tuple[Address, Address, Wei]
"""Sender, recipient and an amount above zero."""


def ask_internal_transfers(link: Link, block: BlockRef) -> tuple[InternalTransfer, ...] | None:
    """The ether that contracts moved in a block; ``None`` where the node traces no such block."""
    header = link.ask("eth_getBlockByHash", block.hash, False)
    if header is None:
        raise dropped_block()
    if read_block(header) != block:
        raise garbled("it gave another block than was asked for")
    hashes = read_transaction_hashes(header)
    if not hashes:
        return ()
    # flat ones first: a contract chooses how deep its calls nest, and a parser has a limit
    ways: tuple[tuple[str, str, list[Any], Callable[[Any, list[str], BlockRef], list[list[Move]]]], ...] = (
        ("trace_block", "trace_block", [hex(block.height)], _of_trace_block),
        ("flat traces", "debug_traceBlockByHash", [block.hash, _FLAT], _of_flat_tracer),
        ("traces", "debug_traceBlockByHash", [block.hash, _NESTED], _of_call_tracer),
    )
    for name, method, params, read in ways:
        if name in link.lacking:
            continue
        reply = link.ask_many([(method, params)], most=LARGEST_TRACE, deepest=DEEPEST_TRACE)[0]
        if reply is None or isinstance(reply, Refusal):
            if isinstance(reply, Refusal) and (missing(reply) or "tracer" in reply.reason.lower()):
                link.lacking.add(name)
            continue
        if isinstance(reply, list) and any(isinstance(one, dict) and one.get("result") == {} for one in reply):
            link.lacking.add(name)  # what some say instead of refusing a tracer they do not have
            continue
        return tuple(
            InternalTransfer(tx_hash, position, *move)
            for tx_hash, moves in zip(hashes, read(reply, hashes, block), strict=True)
            for position, move in enumerate(moves)
        )
    return None


def _of_trace_block(reply: Any, hashes: list[str], block: BlockRef) -> list[list[Move]]:
    frames: dict[str, list[Any]] = {one: [] for one in hashes}
    for value in read_list(reply, name="the traces", most=MOST_CALLS):
        frame = read_object(value, name="a trace")
        if frame.get("type") == "reward":
            continue
        if read_hash(frame.get("blockHash"), name="a trace's block") != block.hash:
            raise garbled("it traced another block than was asked for")
        of = frames.get(read_hash(frame.get("transactionHash"), name="a trace's transaction"))
        if of is None:
            raise garbled("it traced a transaction that is not in the block")
        of.append(frame)
    return [flat_moves(frames[one]) for one in hashes]


def _of_flat_tracer(reply: Any, hashes: list[str], _block: BlockRef) -> list[list[Move]]:
    return [flat_moves(read_list(one, name="the traces", most=MOST_CALLS)) for one in _results(reply, hashes)]


def _of_call_tracer(reply: Any, hashes: list[str], _block: BlockRef) -> list[list[Move]]:
    return [list(nested_moves(one)) for one in _results(reply, hashes)]


def _results(reply: Any, hashes: list[str]) -> Iterator[Any]:
    listed = read_list(reply, name="the traces", most=MOST_TRANSACTIONS)
    if len(listed) != len(hashes):
        raise garbled(f"a block of {len(hashes)} transactions has {len(listed)} traces")
    for value, tx_hash in zip(listed, hashes, strict=True):
        body = read_object(value, name="a trace")
        if read_hash(body.get("txHash", tx_hash), name="a trace's transaction") != tx_hash:
            raise garbled("it traced another transaction than was asked for")
        if "result" not in body:
            raise garbled("it could not trace a transaction of the block")
        yield body["result"]


def flat_moves(frames: list[Any]) -> list[Move]:
    """What the calls inside one transaction moved; calls that failed moved nothing, nor did those inside them."""
    if not frames:
        raise garbled("a transaction without a trace")
    moves: list[Move] = []
    failed: tuple[Any, ...] | None = None
    for value in frames:
        frame = read_object(value, name="a trace")
        at = tuple(read_list(frame.get("traceAddress"), name="a trace's address", most=_DEEPEST_CALL))
        if failed is not None and at[: len(failed)] == failed:
            continue
        failed = at if frame.get("error") is not None else None
        if failed is None and at:
            moves += _flat_move(frame)
    return moves


def _flat_move(frame: dict[str, Any]) -> Iterator[Move]:
    action = read_object(frame.get("action"), name="a trace's action")
    kind = frame.get("type")
    if kind == "suicide":
        yield from _moved(action.get("address"), action.get("refundAddress"), action.get("balance"))
    elif kind == "create":
        created = read_object(frame.get("result"), name="a trace's result")
        yield from _moved(action.get("from"), created.get("address"), action.get("value"))
    elif kind == "call":
        if action.get("callType", "call") == "call":
            yield from _moved(action.get("from"), action.get("to"), action.get("value"))
    else:
        raise garbled("a trace of a kind nobody knows")


def nested_moves(top: Any, *, with_top: bool = False) -> Iterator[Move]:
    """What the calls inside one transaction moved, and the transaction itself too where that is wanted."""
    waiting = [(read_object(top, name="a trace"), with_top)]
    while waiting:
        frame, counted = waiting.pop()
        if frame.get("error") is not None:
            continue
        if counted and frame.get("type") in _MOVING:
            yield from _moved(frame.get("from"), frame.get("to"), frame.get("value", "0x0"))
        calls = read_list(frame.get("calls") or [], name="the calls", most=MOST_CALLS)
        waiting += [(read_object(one, name="a trace"), True) for one in reversed(calls)]


def _moved(sender: Any, recipient: Any, value: Any) -> Iterator[Move]:
    amount = read_wei(value, name="a call's value")
    if not amount:
        return
    move = (read_address(sender, name="a call's sender"), read_address(recipient, name="a call's recipient"), amount)
    if move[0] != move[1]:  # to itself: nothing moves
        yield move
