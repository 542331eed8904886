"""Blocks, logs and receipts from a node's JSON-RPC objects (execution API), checked against each other."""

from __future__ import annotations

from typing import Any

from bursar.chain.ethereum_reading import BlockBody, BlockTransaction
from bursar.chain.protocols import BlockRef, Log, LogPlace, Receipt
from bursar.ethereum.transaction import MAX_GAS_LIMIT
from bursar.ethereum.units import Wei
from bursar.nodes.ethrpc.reply import (
    garbled,
    read_address,
    read_data,
    read_hash,
    read_list,
    read_object,
    read_quantity,
    read_wei,
)

MOST_LOGS = 10_000  # of what is only tried
MOST_LOGS_MINED = 200_000  # of one transaction: an event costs 375 gas, and a stranger may write any number beside ours
MOST_TOPICS = 4
MOST_TRANSACTIONS = 50_000
MOST_WITHDRAWALS = 1_024
MAX_UINT64 = (1 << 64) - 1
MOST_STORED = (1 << 63) - 1  # what stores and ranges of blocks count up to; no chain will come near
LAST_SECOND = 253_402_300_799  # of the year 9999: no later one is a date
_GWEI = 10**9


def read_block(value: Any) -> BlockRef:
    """A block by the fields of its header."""
    body = read_object(value, name="the block")
    return BlockRef(
        height=read_quantity(body.get("number"), name="the height", most=MOST_STORED),
        hash=read_hash(body.get("hash"), name="the block's hash"),
        time=read_quantity(body.get("timestamp"), name="the block's time", most=LAST_SECOND),
    )


def read_transaction_hashes(value: Any) -> list[str]:
    """The hashes of a block that was asked for without its transactions."""
    listed = read_list(
        read_object(value, name="the block").get("transactions"), name="the transactions", most=MOST_TRANSACTIONS
    )
    hashes = [read_hash(one, name="a transaction's hash") for one in listed]
    if len(set(hashes)) != len(hashes):
        raise garbled("a block holds a transaction twice")
    return hashes


def read_body(value: Any) -> BlockBody:
    """A block that was asked for with its transactions."""
    block = read_block(value)
    listed = read_list(value.get("transactions"), name="the transactions", most=MOST_TRANSACTIONS)
    transactions = tuple(_transaction(one, block, index) for index, one in enumerate(listed))
    if len({one.tx_hash for one in transactions}) != len(transactions):
        raise garbled("a block holds a transaction twice")
    withdrawals = read_list(value.get("withdrawals") or [], name="the withdrawals", most=MOST_WITHDRAWALS)
    return BlockBody(
        block=block,
        parent=read_hash(value.get("parentHash"), name="the parent's hash"),
        transactions=transactions,
        withdrawals=tuple(_withdrawal(one) for one in withdrawals),
    )


def _transaction(value: Any, block: BlockRef, index: int) -> BlockTransaction:
    body = read_object(value, name="a transaction")
    if (
        read_hash(body.get("blockHash"), name="a transaction's block") != block.hash
        or read_quantity(body.get("transactionIndex"), name="a transaction's index") != index
    ):
        raise garbled("a block's transactions do not stand where they say")
    return BlockTransaction(
        tx_hash=read_hash(body.get("hash"), name="a transaction's hash"),
        sender=read_address(body.get("from"), name="a sender"),
        to=None if body.get("to") is None else read_address(body["to"], name="a recipient"),
        value=read_wei(body.get("value"), name="a value"),
        nonce=read_quantity(body.get("nonce"), name="a nonce", most=MAX_UINT64),
        index=index,
    )


def _withdrawal(value: Any) -> tuple[Any, Wei]:
    body = read_object(value, name="a withdrawal")
    gwei = read_quantity(body.get("amount"), name="a withdrawal's amount", most=MAX_UINT64)
    return read_address(body.get("address"), name="a withdrawal's address"), Wei(gwei * _GWEI)


def read_receipt(value: Any, block: BlockRef, tx_hash: str) -> Receipt:
    """The receipt of a transaction of ``block``."""
    body = read_object(value, name="the receipt")
    if read_hash(body.get("transactionHash"), name="the receipt's transaction") != tx_hash:
        raise garbled("the receipt belongs to another transaction")
    if (
        read_hash(body.get("blockHash"), name="the block's hash") != block.hash
        or read_quantity(body.get("blockNumber"), name="the block's height") != block.height
    ):
        raise garbled("the receipt and its block disagree")
    listed = read_list(body.get("logs"), name="the logs", most=MOST_LOGS_MINED)
    logs = tuple(read_log(one, block) for one in listed)
    places = [one.place for one in logs if one.place is not None]
    if any(one.tx_hash != tx_hash for one in places) or len({one.index for one in places}) != len(places):
        raise garbled("the receipt's logs do not stand where they say")
    return Receipt(
        tx_hash=tx_hash,
        block=block,
        succeeded=read_quantity(body.get("status"), name="the status", most=1) == 1,
        gas_used=read_quantity(body.get("gasUsed"), name="the gas used", most=MAX_GAS_LIMIT),
        effective_gas_price=read_wei(body.get("effectiveGasPrice"), name="the price of gas"),
        logs=logs,
        data_fee=0 if body.get("l1Fee") is None else int(read_wei(body["l1Fee"], name="the fee for data")),
        blob_fee=_blob_fee(body),
    )


def _blob_fee(body: dict[str, Any]) -> int:
    """What the blobs of a transaction cost; nodes say so of type 3 only."""
    if not body.get("blobGasUsed"):
        return 0
    used = read_quantity(body["blobGasUsed"], name="the blobs' gas", most=MAX_GAS_LIMIT)
    return used and used * int(read_wei(body.get("blobGasPrice"), name="the price of blobs"))


def read_log(value: Any, block: BlockRef | None) -> Log:
    """A log of ``block``; of any block when that is ``None``, and then without its place."""
    body = read_object(value, name="a log")
    if body.get("removed") not in (None, False):
        raise garbled("it holds a log of a block that was dropped")
    topics = read_list(body.get("topics"), name="a log's topics", most=MOST_TOPICS)
    place = None
    if block is not None and body.get("logIndex") is not None:
        if read_hash(body.get("blockHash"), name="a log's block") != block.hash:
            raise garbled("a log and its block disagree")
        place = LogPlace(
            block=block,
            tx_hash=read_hash(body.get("transactionHash"), name="a log's transaction"),
            index=read_quantity(body["logIndex"], name="a log's index", most=MOST_STORED),
        )
    return Log(
        address=read_address(body.get("address"), name="a log's contract"),
        topics=tuple(read_data(topic, name="a topic", size=32) for topic in topics),
        data=read_data(body.get("data"), name="a log's data"),
        place=place,
    )
