"""What the logs of a simulated transaction say of tokens: ERC-20, ERC-721, ERC-1155 and Permit2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bursar.chain.ethereum_reading import SimulatedApproval, SimulatedTransfer
from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError
from bursar.ethereum.abi import decode
from bursar.ethereum.address import Address

if TYPE_CHECKING:
    from bursar.chain.protocols import Log

ETHER: Final = Address(b"\xee" * 20)
"""Whose logs stand for moves of ether in eth_simulateV1."""

PERMIT2: Final = Address(bytes.fromhex("000000000022d473030f116ddee9f6b43ac78ba3"))


def _topic(event: str) -> bytes:
    return keccak256(event.encode("ascii"))


_TRANSFER = _topic("Transfer(address,address,uint256)")
_SINGLE = _topic("TransferSingle(address,address,address,uint256,uint256)")
_BATCH = _topic("TransferBatch(address,address,address,uint256[],uint256[])")
_APPROVAL = _topic("Approval(address,address,uint256)")
_APPROVAL_FOR_ALL = _topic("ApprovalForAll(address,address,bool)")
_PERMIT2 = (
    _topic("Approval(address,address,address,uint160,uint48)"),
    _topic("Permit(address,address,address,uint160,uint48,uint48)"),
)

Effect = SimulatedTransfer | SimulatedApproval


def effects_of(log: Log) -> Iterator[Effect]:
    """What one log says; nothing where it is of another kind, or not written as its standard says."""
    if not log.topics:
        return
    kind = log.topics[0]
    try:
        # a topic that should be an address and is none, or data of another shape: not the event it looks like
        if kind == _TRANSFER:
            yield from _transfer(log)
        elif kind in (_SINGLE, _BATCH) and len(log.topics) == 4:
            yield from _many(log, batch=kind == _BATCH)
        elif kind == _APPROVAL:
            yield from _approval(log)
        elif kind == _APPROVAL_FOR_ALL and len(log.topics) == 3:
            (granted,) = decode(["bool"], log.data)
            owner, operator = map(_address, log.topics[1:])
            yield SimulatedApproval(log.address, owner, operator, int(granted), everything=True)
        elif kind in _PERMIT2 and log.address == PERMIT2 and len(log.topics) == 4:
            owner, token, spender = map(_address, log.topics[1:])
            yield SimulatedApproval(token, owner, spender, int.from_bytes(log.data[:32], "big"))
    except InvalidInputError:
        return


def _transfer(log: Log) -> Iterator[Effect]:
    contract = None if log.address == ETHER else log.address
    if len(log.topics) == 3:
        (amount,) = decode(["uint256"], log.data)
        sender, recipient = map(_address, log.topics[1:])
        yield SimulatedTransfer(contract, sender, recipient, amount)
    elif len(log.topics) == 4 and contract is not None:
        sender, recipient = map(_address, log.topics[1:3])
        yield SimulatedTransfer(contract, sender, recipient, 1, token_id=int.from_bytes(log.topics[3], "big"))
    elif len(log.topics) == 1 and contract is not None:  # tokens older than the standard index nothing
        sender, recipient, amount = decode(["address", "address", "uint256"], log.data)
        yield SimulatedTransfer(contract, sender, recipient, amount)


def _many(log: Log, *, batch: bool) -> Iterator[Effect]:
    sender, recipient = map(_address, log.topics[2:4])
    numbers, amounts = decode(["uint256[]", "uint256[]"] if batch else ["uint256", "uint256"], log.data)
    if not batch:
        numbers, amounts = [numbers], [amounts]
    if len(numbers) == len(amounts):
        for number, amount in zip(numbers, amounts, strict=True):
            yield SimulatedTransfer(log.address, sender, recipient, amount, token_id=number)


def _approval(log: Log) -> Iterator[Effect]:
    if len(log.topics) == 3:
        (amount,) = decode(["uint256"], log.data)
        owner, spender = map(_address, log.topics[1:])
        yield SimulatedApproval(log.address, owner, spender, amount)
    elif len(log.topics) == 4:
        owner, spender = map(_address, log.topics[1:3])
        number = int.from_bytes(log.topics[3], "big")
        yield SimulatedApproval(log.address, owner, spender, 1, token_id=number)


def _address(topic: bytes) -> Address:
    if any(topic[:12]):
        raise InvalidInputError("a topic is no address")
    return Address(topic[12:])
