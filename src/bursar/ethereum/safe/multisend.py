"""Batches of a Safe: the packed calls of the MultiSend contracts, written and read exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bursar.ethereum.address import Address
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.words import WordReader, padded, safe_error, selector, word
from bursar.ethereum.units import Wei

MULTI_SEND: Final = selector("multiSend(bytes)")
MOST_CALLS: Final = 1000
_NOTHING: Final = Wei(0)
_HEAD: Final = 1 + 20 + 32 + 32


@dataclass(frozen=True, slots=True)
class MultiSendCall:
    """One call of a batch."""

    to: Address
    value: Wei = _NOTHING
    data: bytes = b""
    operation: Operation = Operation.CALL

    def __post_init__(self) -> None:
        if not isinstance(self.to, Address) or not isinstance(self.value, Wei) or type(self.data) is not bytes:
            raise safe_error("a call of a batch has an Address, an amount in Wei and bytes")
        if not isinstance(self.operation, Operation):
            raise safe_error("the operation of a call of a batch is CALL or DELEGATE_CALL")


def encode_multi_send(calls: Sequence[MultiSendCall]) -> bytes:
    """Calldata of ``multiSend``, for a delegate call of a Safe to a MultiSend contract."""
    if not 0 < len(calls) <= MOST_CALLS:
        raise safe_error(f"a batch has 1 to {MOST_CALLS} calls, not {len(calls)}")
    packed = b"".join(
        [bytes((one.operation,)) + one.to.value + word(one.value) + word(len(one.data)) + one.data for one in calls]
    )
    return MULTI_SEND + word(32) + padded(packed)


def decode_multi_send(data: bytes) -> tuple[MultiSendCall, ...]:
    """The calls in calldata of ``multiSend``; ``input.safe`` for anything but the exact encoding of a batch."""
    if data[:4] != MULTI_SEND:
        raise safe_error("this calldata is no batch: it does not call multiSend(bytes)")
    reader = WordReader(data[4:], name="the batch")
    packed, end = reader.tail(0, start=32)
    reader.finish(end)
    calls: list[MultiSendCall] = []
    place = 0
    while place < len(packed):
        if len(calls) == MOST_CALLS:
            raise safe_error(f"the batch has more than {MOST_CALLS} calls")
        head = packed[place : place + _HEAD]
        size = int.from_bytes(head[53:], "big")
        begin = place + _HEAD
        if len(head) != _HEAD or size > len(packed) - begin:
            raise safe_error("the batch ends in the middle of a call")
        if head[0] not in (0, 1):
            raise safe_error(f"the batch has an operation {head[0]}: 0 is a call, 1 a delegate call")
        value = Wei(int.from_bytes(head[21:53], "big"))
        calls.append(MultiSendCall(Address(head[1:21]), value, packed[begin : begin + size], Operation(head[0])))
        place = begin + size
    if not calls:
        raise safe_error("the batch has no calls")
    return tuple(calls)
