"""An Ethereum node over JSON-RPC as a source of chain data (implements ``bursar.chain.protocols.EthereumBackend``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bursar.crypto.hashes import keccak256
from bursar.errors import BroadcastRejectedError, InvalidInputError, WrongChainError
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.transaction import MAX_GAS_LIMIT, SignedTransaction, UnsignedTransaction
from bursar.nodes.ethrpc.access_lists import ask_access_list
from bursar.nodes.ethrpc.balances import ask_balances, ask_nonces
from bursar.nodes.ethrpc.blocks import LARGEST_BLOCK, ask_block_at, ask_block_body, ask_block_receipts, ask_heads
from bursar.nodes.ethrpc.fees import ask_blob_fee, ask_fees
from bursar.nodes.ethrpc.link import Link, unknown_block
from bursar.nodes.ethrpc.logs import Topics, ask_logs
from bursar.nodes.ethrpc.rebuild import rebuild_raw
from bursar.nodes.ethrpc.reply import (
    Refusal,
    check_hash_text,
    garbled,
    read_data,
    read_hash,
    read_object,
    read_quantity,
    read_wei,
)
from bursar.nodes.ethrpc.shapes import MOST_STORED, read_block, read_receipt
from bursar.nodes.ethrpc.simulation import ask_simulation, call_object
from bursar.nodes.ethrpc.traces import ask_internal_transfers
from bursar.nodes.ethrpc.wire import Wire

if TYPE_CHECKING:
    from bursar.chain.ethereum_reading import BlockBody, Heads, InternalTransfer, Simulation
    from bursar.chain.protocols import BlockRef, FeeQuote, Log, Receipt
    from bursar.ethereum.access_list import AccessListEntry
    from bursar.ethereum.address import Address
    from bursar.ethereum.units import Wei


class EthRpcBackend:
    """One node at ``url`` (http or https), trusted for nothing that can be checked.

    ``timeout`` bounds each request in seconds. The node's chain id is compared before its first answer is used and
    again before every broadcast.
    """

    def __init__(self, url: str, *, chain_id: int, timeout: float = 30.0) -> None:
        self._chain_id = check_chain_id(chain_id)
        self._link = Link(Wire(url, timeout=timeout), chain_id=self._chain_id)

    @property
    def chain_id(self) -> int:
        """The chain this backend insists on."""
        return self._chain_id

    def check_chain(self) -> BlockRef:
        """The last block; WrongChainError unless the node answers with this chain's id."""
        self._link.check_chain_id()
        return self._block("eth_getBlockByNumber", "latest")

    def genesis_hash(self) -> str:
        """The hash of block 0."""
        return self._block("eth_getBlockByNumber", "0x0").hash

    def balance(self, address: Address, *, pending: bool = False) -> Wei:
        """The balance in wei after the last block, or with the node's mempool when ``pending``."""
        return read_wei(self._link.ask("eth_getBalance", str(address), _tag(pending)), name="the balance")

    def nonce(self, address: Address, *, pending: bool = False) -> int:
        """The next nonce after the last block, or after the node's mempool when ``pending``."""
        count = self._link.ask("eth_getTransactionCount", str(address), _tag(pending))
        return read_quantity(count, name="the nonce", most=MOST_STORED)

    def fees(self) -> FeeQuote:
        """Base fee of the next block and tips that recent blocks took; a base fee of 0 where the chain has none."""
        return ask_fees(self._link)

    def blob_base_fee(self) -> Wei | None:
        """What one gas of blobs costs in the next block; ``None`` where the node knows of no blobs."""
        return ask_blob_fee(self._link)

    def estimate_gas(self, sender: Address, tx: UnsignedTransaction) -> int:
        """The gas ``tx`` would use now; ChainError (``chain.reverted``) with the reason when a contract refuses it."""
        call = call_object(sender, tx)
        return read_quantity(self._link.ask("eth_estimateGas", call), name="the gas estimate", most=MAX_GAS_LIMIT)

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        """What a contract answers to calldata now; ChainError (``chain.reverted``) when it refuses."""
        call = {"to": str(to), "data": "0x" + data.hex()}
        if sender is not None:
            call["from"] = str(sender)
        return read_data(self._link.ask("eth_call", call, "latest"), name="the contract's answer")

    def code(self, address: Address) -> bytes:
        """The code at an address, empty for an account without."""
        return read_data(self._link.ask("eth_getCode", str(address), "latest"), name="the code")

    def broadcast(self, raw: bytes) -> str:
        """Send a signed transaction and give its hash; that the node knows it already is success.

        BroadcastRejectedError carries the node's words. After ChainUnavailableError nobody can say whether it was
        taken: send the same bytes again.
        """
        signed = SignedTransaction.parse(raw)
        if signed.unsigned.chain_id != self._chain_id:
            raise WrongChainError(
                f"the transaction is for chain {signed.unsigned.chain_id}, the node for {self._chain_id}"
            )
        self._link.check_chain_id()
        reply = self._link.wire.ask("eth_sendRawTransaction", ["0x" + raw.hex()])
        if isinstance(reply, Refusal):
            if self._knows(signed.hash):
                return signed.hash
            message = f"the node refused the transaction: {reply.reason}"
            raise BroadcastRejectedError(message, node_code=reply.code, reason=reply.reason)
        if read_hash(reply, name="the transaction's hash") != signed.hash:
            raise garbled("it accepted another transaction than was sent")
        return signed.hash

    def _knows(self, tx_hash: str) -> bool:
        reply = self._link.wire.ask("eth_getTransactionByHash", [tx_hash])
        if reply is None or isinstance(reply, Refusal):
            return False
        return read_hash(read_object(reply, name="the transaction").get("hash"), name="its hash") == tx_hash

    def receipt(self, tx_hash: str) -> Receipt | None:
        """The outcome of a mined transaction, ``None`` while there is none."""
        asked = check_hash_text(tx_hash)
        reply = self._link.ask_all([("eth_getTransactionReceipt", [asked])], most=LARGEST_BLOCK)[0]
        if reply is None:
            return None
        body = read_object(reply, name="the receipt")
        name = read_hash(body.get("blockHash"), name="the block's hash")
        return read_receipt(body, self._block("eth_getBlockByHash", name), asked)

    def transaction(self, tx_hash: str) -> bytes | None:
        """The raw bytes of a transaction in the chain or the mempool, checked against its hash; ``None`` if unknown."""
        asked = check_hash_text(tx_hash)
        reply = self._link.attempt("eth_getRawTransactionByHash", asked)
        if isinstance(reply, Refusal) or reply in (None, "0x"):
            found = self._link.ask("eth_getTransactionByHash", asked)
            if found is None:
                return None
            raw = rebuild_raw(read_object(found, name="the transaction"), chain_id=self._chain_id)
        else:
            raw = _without_blobs(read_data(reply, name="the raw transaction"))
        if "0x" + keccak256(raw).hex() != asked:
            raise garbled("the transaction's bytes do not have its hash")
        return raw

    def logs(self, *, addresses: Sequence[Address], topics: Topics, from_block: int, to_block: int) -> tuple[Log, ...]:
        """The logs of ``addresses`` (none: of all) with these topics from one height to another, both included.

        A topic is ``None`` where any will do, or several of which one has to be there. A range of which the node
        finds too many is asked for in parts.
        """
        return ask_logs(self._link, addresses=addresses, topics=topics, from_block=from_block, to_block=to_block)

    def heads(self) -> Heads:
        """The last block, and the last ones that the node calls safe and finalized."""
        return ask_heads(self._link)

    def block_at(self, height: int) -> BlockRef | None:
        """The block at a height, ``None`` beyond the tip."""
        return ask_block_at(self._link, height)

    def block_body(self, height: int) -> BlockBody:
        """The block at a height with its transactions and withdrawals."""
        return ask_block_body(self._link, height)

    def block_receipts(self, block: BlockRef) -> tuple[Receipt, ...]:
        """Every receipt of a block, in the order of its transactions."""
        return ask_block_receipts(self._link, block)

    def internal_transfers(self, block: BlockRef) -> tuple[InternalTransfer, ...] | None:
        """The ether contracts moved in a block, ``None`` where the node traces no such block."""
        return ask_internal_transfers(self._link, block)

    def balances(
        self, owners: Sequence[Address], contracts: Sequence[Address]
    ) -> tuple[BlockRef, Mapping[tuple[Address, Address | None], int | None]]:
        """Ether (``None``) and tokens of every owner after the last block, and which block that is."""
        return ask_balances(self._link, owners, contracts)

    def nonces(self, owners: Sequence[Address]) -> Mapping[Address, int]:
        """The next nonce of every owner after the last block."""
        return ask_nonces(self._link, owners)

    def simulate(self, sender: Address, tx: UnsignedTransaction) -> Simulation:
        """What ``tx`` would do now: what moves, what is allowed, whether and why it fails."""
        return ask_simulation(self._link, sender, tx)

    def access_list(self, sender: Address, tx: UnsignedTransaction) -> tuple[AccessListEntry, ...] | None:
        """The accounts and slots that ``tx`` would touch now (eth_createAccessList); ``None`` where it is not offered.

        ChainError (``chain.reverted``) when a contract refuses it.
        """
        return ask_access_list(self._link, sender, tx)

    def close(self) -> None:
        """Hang up; idempotent."""
        self._link.wire.close()

    def _block(self, method: str, which: str) -> BlockRef:
        reply = self._link.ask(method, which, False)
        if reply is None:
            raise unknown_block()
        block = read_block(reply)
        if (which == "0x0" and block.height != 0) or (method == "eth_getBlockByHash" and block.hash != which):
            raise garbled("it gave another block than was asked for")
        return block


def _without_blobs(raw: bytes) -> bytes:
    """A transaction from a mempool may come with its blobs, which are not hashed."""
    if raw[:1] != b"\x03":
        return raw
    try:
        return SignedTransaction.parse(raw).serialize()
    except InvalidInputError as error:
        raise garbled(f"it holds no valid transaction: {error.message}") from error


def _tag(pending: bool) -> str:
    return "pending" if pending else "latest"
