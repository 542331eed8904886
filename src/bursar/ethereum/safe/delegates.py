"""Delegate calls of a Safe: code that runs as the Safe itself, refused unless the contract is one it may trust."""

from __future__ import annotations

from typing import Final

from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.safe.calls import EXEC_TRANSACTION, decode_execution
from bursar.ethereum.safe.multisend import MULTI_SEND, decode_multi_send
from bursar.ethereum.safe.operation import Operation

# addresses of the deployments that the Safe project publishes (its repository safe-deployments), every chain but zkSync
MULTI_SENDS: Final = frozenset(
    map(
        Address.from_text,
        (
            "0x8D29bE29923b68abfDD21e541b9374737B49cdAD",  # MultiSend 1.1.1
            "0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761",  # MultiSend 1.3.0
            "0x998739BFdAAdde7C933B942a68053933098f9EDa",
            "0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526",  # MultiSend 1.4.1
            "0x218543288004CD07832472D464648173c77D7eB7",  # MultiSend 1.5.0
            "0x40A2aCCbd92BCA938b02010E17A5b8929b49130D",  # MultiSendCallOnly 1.3.0
            "0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B",
            "0x9641d764fc13c8B624c04430C7356C1C7C8102e2",  # MultiSendCallOnly 1.4.1
            "0xA83c336B20401Af773B6219BA5027174338D1836",  # MultiSendCallOnly 1.5.0
        ),
    )
)
# of which a call of the zero address is one of the Safe itself
SELF_CALLING: Final = frozenset(
    map(
        Address.from_text,
        ("0x218543288004CD07832472D464648173c77D7eB7", "0xA83c336B20401Af773B6219BA5027174338D1836"),  # 1.5.0
    )
)
SIGN_MESSAGES: Final = frozenset(
    map(
        Address.from_text,
        (
            "0xA65387F16B013cf2Af4605Ad8aA5ec25a2cbA3a2",  # SignMessageLib 1.3.0
            "0x98FFBBF51bb33A056B08ddf711f289936AafF717",
            "0xd53cd0aB83D845Ac265BE939c57F53AD838012c9",  # 1.4.1
            "0x4FfeF8222648872B3dE295Ba1e49110E61f5b5aa",  # 1.5.0
        ),
    )
)
KNOWN_DELEGATES: Final = MULTI_SENDS | SIGN_MESSAGES
"""The contracts a Safe may run as itself without anybody allowing it: batches, which are looked into, and messages."""

_DEEPEST: Final = 4


def check_delegate_calls(
    to: Address, data: bytes, operation: Operation, *, delegates: frozenset[Address] = KNOWN_DELEGATES
) -> None:
    """Refuse code of other contracts than ``delegates`` that would run as a Safe, at any depth of batches and Safes.

    Such code can do anything: it may replace the Safe's own code and take everything, whatever the transaction looks
    like. ``InvalidInputError`` (``input.safe.delegate-call``) names the contract; a batch that cannot be read is
    refused the same way.
    """
    _check(to, data, operation, delegates, ("the transaction",))


def _check(
    to: Address, data: bytes, operation: Operation, delegates: frozenset[Address], where: tuple[str, ...]
) -> None:
    place = " in ".join(reversed(where))
    if len(where) > _DEEPEST:
        raise _refused(f"{place}: batches lie deeper than {_DEEPEST - 1} in one another")
    if operation is Operation.DELEGATE_CALL and to not in delegates:
        raise _refused(
            f"{place} runs code of {to} as the Safe itself, which can take everything it has: refuse it, or allow that "
            "contract by name if you know its code"
        )
    if operation is Operation.DELEGATE_CALL and (data[:4] == MULTI_SEND or to in MULTI_SENDS):
        try:
            calls = decode_multi_send(data)
        except InvalidInputError as error:
            raise _refused(f"{place} runs a batch that cannot be read: {error.message}") from error
        for number, one in enumerate(calls, 1):
            _check(one.to, one.data, one.operation, delegates, (*where, f"call {number}"))
    elif operation is Operation.CALL and data[:4] == EXEC_TRANSACTION:
        try:
            inner = decode_execution(data)
        except InvalidInputError as error:
            raise _refused(f"{place} executes another Safe's transaction that cannot be read") from error
        _check(inner.to, inner.data, inner.operation, delegates, (*where, f"the transaction of the Safe {to}"))


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.safe.delegate-call")
