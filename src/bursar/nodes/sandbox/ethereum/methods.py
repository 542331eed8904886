"""The JSON-RPC methods of the sandbox's Ethereum node, for clients written for go-ethereum or anvil."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bursar.crypto.hashes import keccak256
from bursar.ethereum.transaction import BLOB, SignedTransaction
from bursar.ethereum.transaction.kinds import GAS_PER_BLOB
from bursar.nodes.sandbox.ethereum import replies
from bursar.nodes.sandbox.ethereum.arguments import (
    BlockTag,
    at_most,
    block_or_hash,
    read_address,
    read_block,
    read_bool,
    read_bytes,
    read_filter,
    read_hash,
    read_message,
    read_percentiles,
    read_quantity,
    read_tracer,
)
from bursar.nodes.sandbox.ethereum.words import RpcError, data_text, method_not_found, quantity

if TYPE_CHECKING:
    from bursar.nodes.sandbox.ethereum.node import EvmNode

CLIENT_VERSION = "bursar-sandbox/py-evm"
SUGGESTED_TIP = 10**9
EPOCH = 32
_MOST_HISTORY = 1024


class Methods:
    """One call at a time: the caller holds a lock."""

    def __init__(self, node: EvmNode) -> None:
        self._node = node
        self._chain = node.chain
        self._table: dict[str, Callable[[Sequence[Any]], Any]] = {
            "web3_clientVersion": self._constant(CLIENT_VERSION),
            "web3_sha3": lambda _params: data_text(keccak256(read_bytes(_params, 0))),
            "net_version": self._constant(str(node.chain_id)),
            "net_listening": self._constant(False),
            "eth_chainId": self._constant(quantity(node.chain_id)),
            "eth_syncing": self._constant(False),
            "eth_accounts": self._constant([]),
            "eth_blockNumber": lambda _params: quantity(self._chain.head.block_number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getBalance": self._balance,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage,
            "eth_gasPrice": lambda _params: quantity(self._chain.next_base_fee + SUGGESTED_TIP),
            "eth_maxPriorityFeePerGas": self._constant(quantity(SUGGESTED_TIP)),
            "eth_blobBaseFee": lambda _params: quantity(self._chain.next_blob_fee),
            "eth_feeHistory": self._fee_history,
            "eth_estimateGas": self._estimate_gas,
            "eth_createAccessList": self._access_list,
            "eth_call": self._call,
            "eth_sendRawTransaction": lambda _params: data_text(node.send(read_bytes(_params, 0))),
            "eth_getTransactionByHash": self._transaction,
            "eth_getRawTransactionByHash": self._raw_transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "debug_traceBlockByHash": self._trace_block,
            "debug_traceBlockByNumber": self._trace_block,
            "debug_traceCall": self._trace_call,
            "txpool_status": self._pool_status,
            "evm_mine": self._mine_one,
            "anvil_mine": self._mine,
            "hardhat_mine": self._mine,
            "anvil_rollback": self._rollback,
            "anvil_reorg": self._reorg,
            "evm_setAutomine": self._set_automine,
            "evm_increaseTime": self._increase_time,
        }

    def call(self, method: str, params: Sequence[Any]) -> Any:
        """The result of one method; :class:`RpcError` when it fails."""
        found = self._table.get(method)
        if found is None:
            raise method_not_found(method)
        return found(params)

    @staticmethod
    def _constant(value: Any) -> Callable[[Sequence[Any]], Any]:
        return lambda _params: value

    def _number(self, tag: BlockTag) -> int | None:
        """The height a block tag names; ``None`` when there is no such block yet."""
        head = int(self._chain.head.block_number)
        if isinstance(tag, bytes):
            return self._chain.number_of(tag)
        if isinstance(tag, int):
            return tag if tag <= head else None
        # an epoch and two behind the head, as anvil has it
        behind = {"earliest": head, "safe": EPOCH, "finalized": 2 * EPOCH}
        return max(head - behind.get(tag, 0), 0)

    def _known(self, tag: BlockTag) -> int:
        number = self._number(tag)
        if number is None:
            raise RpcError("header not found")
        return number

    def _state(self, params: Sequence[Any], position: int) -> Any:
        tag = read_block(params, position)
        return self._node.state(self._known(tag), pending=tag == "pending")

    def _block_by_number(self, params: Sequence[Any]) -> Any:
        number = self._number(read_block(params, 0))
        full = read_bool(params, 1)
        return None if number is None else replies.block_json(self._chain.block(number), full=full)

    def _block_by_hash(self, params: Sequence[Any]) -> Any:
        number = self._chain.number_of(read_hash(params, 0))
        full = read_bool(params, 1)
        return None if number is None else replies.block_json(self._chain.block(number), full=full)

    def _block_receipts(self, params: Sequence[Any]) -> Any:
        number = self._number(block_or_hash(params))
        if number is None:
            return None
        block = self._chain.block(number)
        receipts = self._chain.receipts(block)
        return [self._receipt_json(block, receipts, index) for index in range(len(receipts))]

    def _balance(self, params: Sequence[Any]) -> Any:
        return quantity(self._state(params, 1).get_balance(read_address(params, 0)))

    def _transaction_count(self, params: Sequence[Any]) -> Any:
        address = read_address(params, 0)
        if read_block(params, 1) == "pending":
            return quantity(self._node.pool.next_nonce(address))
        return quantity(self._state(params, 1).get_nonce(address))

    def _code(self, params: Sequence[Any]) -> Any:
        return data_text(self._state(params, 1).get_code(read_address(params, 0)))

    def _storage(self, params: Sequence[Any]) -> Any:
        slot = int.from_bytes(read_hash(params, 1, short=True), "big")
        value: int = self._state(params, 2).get_storage(read_address(params, 0), slot)
        return data_text(value.to_bytes(32, "big"))

    def _call(self, params: Sequence[Any]) -> Any:
        number = self._known(read_block(params, 1))
        return data_text(self._chain.call(read_message(params), number=number))

    def _estimate_gas(self, params: Sequence[Any]) -> Any:
        number = self._known(read_block(params, 1))
        return quantity(self._chain.estimate_gas(read_message(params), number=number))

    def _access_list(self, params: Sequence[Any]) -> Any:
        number = self._known(read_block(params, 1))
        touched, used, error = self._chain.touched(read_message(params), number=number)
        entries = [
            {
                "address": data_text(one),
                "storageKeys": [data_text(slot.to_bytes(32, "big")) for slot in sorted(touched[one])],
            }
            for one in sorted(touched)
        ]
        reply: dict[str, Any] = {"accessList": entries, "gasUsed": quantity(used)}
        return reply if error is None else {**reply, "error": error}

    def _trace_call(self, params: Sequence[Any]) -> Any:
        number = self._known(read_block(params, 1))
        return self._chain.trace_call(read_message(params), logs=read_tracer(params, 2), number=number)

    def _trace_block(self, params: Sequence[Any]) -> Any:
        logs = read_tracer(params, 1)
        number = self._known(block_or_hash(params))
        hashes = [data_text(keccak256(one.encode())) for one in self._chain.block(number).transactions]
        frames = self._chain.trace_block(number, logs=logs)
        return [{"txHash": one, "result": frame} for one, frame in zip(hashes, frames, strict=True)]

    def _transaction(self, params: Sequence[Any]) -> Any:
        tx_hash = read_hash(params, 0)
        waiting = self._node.pool.get(tx_hash)
        if waiting is not None:
            return replies.transaction_json(waiting.tx)
        place = self._chain.find(tx_hash)
        if place is None:
            return None
        block = self._chain.block(place[0])
        tx = SignedTransaction.parse(block.transactions[place[1]].encode())
        return replies.transaction_json(tx, header=block.header, index=place[1])

    def _raw_transaction(self, params: Sequence[Any]) -> Any:
        tx_hash = read_hash(params, 0)
        waiting = self._node.pool.get(tx_hash)
        if waiting is not None:
            return data_text(waiting.raw)
        place = self._chain.find(tx_hash)
        return None if place is None else data_text(self._chain.block(place[0]).transactions[place[1]].encode())

    def _receipt(self, params: Sequence[Any]) -> Any:
        place = self._chain.find(read_hash(params, 0))
        if place is None:
            return None
        block = self._chain.block(place[0])
        return self._receipt_json(block, self._chain.receipts(block), place[1])

    def _receipt_json(self, block: Any, receipts: Sequence[Any], index: int) -> dict[str, Any]:
        body = replies.receipt_json(block, receipts, index)
        if body["type"] == quantity(BLOB):
            blobs = len(block.transactions[index].blob_versioned_hashes)
            price = self._chain.blob_fee(int(block.header.block_number))
            body |= {"blobGasUsed": quantity(blobs * GAS_PER_BLOB), "blobGasPrice": quantity(price)}
        return body

    def _logs(self, params: Sequence[Any]) -> Any:
        wanted = read_filter(params)
        if wanted.block_hash is not None:
            first = last = self._known(wanted.block_hash)
        else:
            first, last = self._known(wanted.first), self._known("latest")
            if isinstance(wanted.last, int):
                last = min(last, wanted.last)
        found: list[Any] = []
        for number in range(first, last + 1):
            block = self._chain.block(number)
            if not block.header.bloom:
                continue
            receipts = self._chain.receipts(block)
            for index in range(len(receipts)):
                found += [log for log in replies.logs_json(block, receipts, index) if wanted.matches(log)]
        return found

    def _fee_history(self, params: Sequence[Any]) -> Any:
        newest = self._known(read_block(params, 1))
        count = min(read_quantity(params, 0), _MOST_HISTORY, newest + 1)
        percentiles = read_percentiles(params, 2)
        numbers = range(newest - count + 1, newest + 1)
        headers = [self._chain.header(number) for number in numbers]
        after, head = self._chain.next_base_fee, int(self._chain.head.block_number)
        if newest < head:
            after = self._chain.header(newest + 1).base_fee_per_gas
        reply: dict[str, Any] = {
            "oldestBlock": quantity(max(newest - count + 1, 0)),
            "baseFeePerGas": [quantity(header.base_fee_per_gas) for header in headers] + [quantity(after)],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
            "baseFeePerBlobGas": [quantity(self._chain.blob_fee(number)) for number in numbers]
            + [quantity(self._chain.blob_fee(newest + 1) if newest < head else self._chain.next_blob_fee)],
        }
        if percentiles:
            reply["reward"] = [self._rewards(number, percentiles) for number in numbers]
        return reply

    def _rewards(self, number: int, percentiles: Sequence[float]) -> list[str]:
        block = self._chain.block(number)
        receipts = self._chain.receipts(block)
        base_fee = block.header.base_fee_per_gas
        before = 0
        paid: list[tuple[int, int]] = []
        for transaction, receipt in zip(block.transactions, receipts, strict=True):
            tx = SignedTransaction.parse(transaction.encode())
            paid.append((replies.effective_price(tx, base_fee) - base_fee, receipt.gas_used - before))
            before = receipt.gas_used
        return [quantity(at_most(sorted(paid), percentile)) for percentile in percentiles]

    def _pool_status(self, _params: Sequence[Any]) -> Any:
        ready = len(self._node.pool.executable())
        return {"pending": quantity(ready), "queued": quantity(len(self._node.pool) - ready)}

    def _mine_one(self, _params: Sequence[Any]) -> Any:
        self._node.mine(1)
        return "0x0"

    def _mine(self, params: Sequence[Any]) -> Any:
        self._node.mine(read_quantity(params, 0) if params else 1)

    def _rollback(self, params: Sequence[Any]) -> Any:
        self._node.rewind(read_quantity(params, 0) if params else 1)

    def _reorg(self, params: Sequence[Any]) -> Any:
        depth = read_quantity(params, 0)
        if params[1:] not in ([], [[]]):
            raise RpcError("new blocks of a reorganisation take what waits in the pool, no list", code=-32602)
        self._node.rewind(depth)
        self._node.mine(depth)

    def _set_automine(self, params: Sequence[Any]) -> Any:
        self._node.automine = read_bool(params, 0)
        return self._node.automine

    def _increase_time(self, params: Sequence[Any]) -> Any:
        return self._node.increase_time(read_quantity(params, 0))
