"""The calls of a Safe's contract that others send: execTransaction and approveHash, written and read exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.words import WordReader, padded, safe_error, selector, word
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

EXEC_TRANSACTION: Final = selector(
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
)
_APPROVE_HASH: Final = selector("approveHash(bytes32)")
_HEAD: Final = 10 * 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SafeExecution:
    """What calldata of execTransaction holds: a SafeTx without its Safe and its nonce, and the owners' signatures."""

    to: Address
    value: Wei
    data: bytes
    operation: Operation
    safe_tx_gas: int
    base_gas: int
    gas_price: int
    gas_token: Address
    refund_receiver: Address
    signatures: bytes


def encode_execution(execution: SafeExecution) -> bytes:
    """Calldata of execTransaction."""
    data = padded(execution.data)
    head = (
        word(execution.to)
        + word(execution.value)
        + word(_HEAD)
        + word(execution.operation)
        + word(execution.safe_tx_gas)
        + word(execution.base_gas)
        + word(execution.gas_price)
        + word(execution.gas_token)
        + word(execution.refund_receiver)
        + word(_HEAD + len(data))
    )
    return EXEC_TRANSACTION + head + data + padded(execution.signatures)


def decode_execution(data: bytes) -> SafeExecution:
    """The execution in calldata; ``input.safe`` for any other call and any other than its exact encoding."""
    if data[:4] != EXEC_TRANSACTION:
        raise safe_error("this calldata does not execute a Safe's transaction")
    reader = WordReader(data[4:], name="the execution of a Safe's transaction")
    inner, end = reader.tail(2, start=_HEAD)
    signatures, end = reader.tail(9, start=end)
    reader.finish(end)
    return SafeExecution(
        to=reader.address(0),
        value=Wei(reader.integer(1)),
        data=inner,
        operation=Operation(reader.integer(3, most=1)),
        safe_tx_gas=reader.integer(4),
        base_gas=reader.integer(5),
        gas_price=reader.integer(6),
        gas_token=reader.address(7),
        refund_receiver=reader.address(8),
        signatures=signatures,
    )


def encode_approve_hash(digest: bytes) -> bytes:
    """Calldata by which an owner approves a safeTxHash in a transaction of its own, instead of by a signature."""
    if type(digest) is not bytes or len(digest) != 32:
        raise safe_error("a hash to approve is 32 bytes")
    return _APPROVE_HASH + digest
