"""Blocks, transactions, receipts and logs of the sandbox as JSON-RPC objects (Ethereum execution API)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.ethereum.transaction import LEGACY, SignedTransaction
from bursar.nodes.sandbox.ethereum.words import data_text, quantity

if TYPE_CHECKING:
    from bursar.ethereum.authorization import SignedAuthorization

_NO_UNCLES = data_text(keccak256(b"\xc0"))


def block_json(block: Any, *, full: bool) -> dict[str, Any]:
    """A mined block; transactions as objects when ``full``, as hashes otherwise."""
    header = block.header
    raws = [transaction.encode() for transaction in block.transactions]
    transactions: list[Any] = [data_text(keccak256(raw)) for raw in raws]
    if full:
        transactions = [
            transaction_json(SignedTransaction.parse(raw), header=header, index=index) for index, raw in enumerate(raws)
        ]
    return {
        "number": quantity(header.block_number),
        "hash": data_text(header.hash),
        "parentHash": data_text(header.parent_hash),
        "nonce": data_text(header.nonce),
        "sha3Uncles": _NO_UNCLES,
        "logsBloom": data_text(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": data_text(header.transaction_root),
        "stateRoot": data_text(header.state_root),
        "receiptsRoot": data_text(header.receipt_root),
        "miner": data_text(header.coinbase),
        "difficulty": quantity(header.difficulty),
        "totalDifficulty": "0x0",
        "mixHash": data_text(header.mix_hash),
        "extraData": data_text(header.extra_data),
        "size": quantity(sum(map(len, raws)) + 600),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": data_text(header.withdrawals_root),
        "withdrawals": [],
        "blobGasUsed": quantity(header.blob_gas_used),
        "excessBlobGas": quantity(header.excess_blob_gas),
        "parentBeaconBlockRoot": data_text(header.parent_beacon_block_root),
        "requestsHash": data_text(header.requests_hash),
        "transactions": transactions,
        "uncles": [],
    }


def transaction_json(tx: SignedTransaction, *, header: Any = None, index: int | None = None) -> dict[str, Any]:
    """A transaction, in the block of ``header`` at ``index``, or pending."""
    unsigned = tx.unsigned
    parity = tx.signature.y_parity or 0
    body: dict[str, Any] = {
        "hash": tx.hash,
        "type": quantity(unsigned.type),
        "chainId": quantity(unsigned.chain_id),
        "nonce": quantity(unsigned.nonce),
        "from": str(tx.sender).lower(),
        "to": None if unsigned.to is None else str(unsigned.to).lower(),
        "value": quantity(unsigned.value),
        "gas": quantity(unsigned.gas_limit),
        "input": data_text(unsigned.data),
        "blockHash": None if header is None else data_text(header.hash),
        "blockNumber": None if header is None else quantity(header.block_number),
        "transactionIndex": None if index is None else quantity(index),
        "v": quantity(unsigned.chain_id * 2 + 35 + parity if unsigned.type == LEGACY else parity),
        "r": quantity(tx.signature.r),
        "s": quantity(tx.signature.s),
    }
    price = unsigned.max_gas_price if header is None else effective_price(tx, header.base_fee_per_gas)
    body["gasPrice"] = quantity(price)
    if unsigned.type != LEGACY:
        body["yParity"] = quantity(parity)
        body["accessList"] = [
            {"address": str(entry.address).lower(), "storageKeys": [data_text(key) for key in entry.storage_keys]}
            for entry in unsigned.access_list
        ]
    if unsigned.max_fee_per_gas is not None and unsigned.max_priority_fee_per_gas is not None:
        body["maxFeePerGas"] = quantity(unsigned.max_fee_per_gas)
        body["maxPriorityFeePerGas"] = quantity(unsigned.max_priority_fee_per_gas)
    if unsigned.max_fee_per_blob_gas is not None:
        body["maxFeePerBlobGas"] = quantity(unsigned.max_fee_per_blob_gas)
        body["blobVersionedHashes"] = [data_text(one) for one in unsigned.blob_versioned_hashes]
    if unsigned.authorization_list:
        body["authorizationList"] = [_authorization_json(one) for one in unsigned.authorization_list]
    return body


def _authorization_json(one: SignedAuthorization) -> dict[str, Any]:
    return {
        "chainId": quantity(one.authorization.chain_id),
        "address": str(one.authorization.delegate).lower(),
        "nonce": quantity(one.authorization.nonce),
        "yParity": quantity(one.signature.y_parity or 0),
        "r": quantity(one.signature.r),
        "s": quantity(one.signature.s),
    }


def effective_price(tx: SignedTransaction, base_fee: int) -> int:
    """What one gas cost in a block with this base fee."""
    tip = tx.unsigned.max_priority_fee_per_gas
    if tip is None:
        return tx.unsigned.max_gas_price
    return min(tx.unsigned.max_gas_price, base_fee + tip)


def contract_address(sender: bytes, nonce: int) -> bytes:
    """The address of a contract that ``sender`` creates with a transaction of this nonce."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    return keccak256(rlp.encode([sender, number]))[12:]


def receipt_json(block: Any, receipts: Sequence[Any], index: int) -> dict[str, Any]:
    """The receipt of the transaction at ``index`` of a block."""
    header, receipt = block.header, receipts[index]
    tx = SignedTransaction.parse(block.transactions[index].encode())
    sender = tx.sender
    before = receipts[index - 1].gas_used if index else 0
    created = None if tx.unsigned.to is not None else data_text(contract_address(sender.value, tx.unsigned.nonce))
    return {
        "transactionHash": tx.hash,
        "transactionIndex": quantity(index),
        "blockHash": data_text(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": str(sender).lower(),
        "to": None if tx.unsigned.to is None else str(tx.unsigned.to).lower(),
        "type": quantity(tx.unsigned.type),
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "gasUsed": quantity(receipt.gas_used - before),
        "cumulativeGasUsed": quantity(receipt.gas_used),
        "effectiveGasPrice": quantity(effective_price(tx, header.base_fee_per_gas)),
        "contractAddress": created,
        "logsBloom": data_text(receipt.bloom.to_bytes(256, "big")),
        "logs": logs_json(block, receipts, index),
    }


def logs_json(block: Any, receipts: Sequence[Any], index: int) -> list[dict[str, Any]]:
    """The logs of the transaction at ``index`` of a block."""
    first = sum(len(receipt.logs) for receipt in receipts[:index])
    tx_hash = data_text(keccak256(block.transactions[index].encode()))
    return [
        {
            "address": data_text(log.address),
            "topics": [data_text(topic.to_bytes(32, "big")) for topic in log.topics],
            "data": data_text(log.data),
            "blockNumber": quantity(block.header.block_number),
            "blockHash": data_text(block.header.hash),
            "blockTimestamp": quantity(block.header.timestamp),
            "transactionHash": tx_hash,
            "transactionIndex": quantity(index),
            "logIndex": quantity(first + position),
            "removed": False,
        }
        for position, log in enumerate(receipts[index].logs)
    ]
