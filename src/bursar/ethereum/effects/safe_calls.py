"""Calls of a Safe: its transaction unfolded, batches, code that would run as the Safe, changes of the Safe itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.effects.call import Call, Reading
from bursar.ethereum.effects.model import Caution, Movement
from bursar.ethereum.safe.delegates import MULTI_SENDS, SELF_CALLING, SIGN_MESSAGES
from bursar.ethereum.safe.multisend import MULTI_SEND, decode_multi_send
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.units import MAX_UINT256

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.call import Reader, Scope


__all__ = ["READERS", "SIGN_MESSAGES", "read_delegate_call", "refund"]


def _execution(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:
    to, value, data, operation, safe_gas, base_gas, gas_price, gas_token, receiver, _ = arguments
    if operation not in (Operation.CALL, Operation.DELEGATE_CALL):
        return None
    movements, cautions = refund(
        call.to,
        scope,
        gas=base_gas + max(safe_gas, call.gas),
        price=gas_price,
        token=gas_token,
        receiver=receiver,
        sender=scope.sender,
    )
    return Reading(movements, calls=[_inner(call, to, value, data, operation)], cautions=cautions)


def _from_module(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
    to, value, data, operation = arguments
    if operation not in (Operation.CALL, Operation.DELEGATE_CALL):
        return None
    return Reading(calls=[_inner(call, to, value, data, operation)])


def _inner(call: Call, to: Address, value: int, data: bytes, operation: int) -> Call:
    delegate = operation == Operation.DELEGATE_CALL
    return Call(to, 0 if delegate else value, data, call.to, call.to, delegate, call.gas)


def refund(
    safe: Address,
    scope: Scope,
    *,
    gas: int,
    price: int,
    token: Address,
    receiver: Address,
    sender: Address | None,
) -> tuple[list[Movement], list[Caution]]:
    """What the Safe pays at most for gas; to whoever sends the transaction where no receiver is named."""
    if not price:
        return [], []
    payee = receiver if not receiver.is_zero else sender or receiver
    contract = None if token.is_zero else token
    known = scope.tokens.get(token)
    text = f"the Safe pays {'whoever sends it' if receiver.is_zero else receiver} for the gas, {price} for each"
    return [Movement(payee, min(gas * price, MAX_UINT256), contract, known, scope.owner(safe))], [
        Caution("safe-refund", text)
    ]


def read_delegate_call(call: Call) -> Reading | None:
    """A batch, where one of the MultiSend contracts runs it; ``None``: the code can do anything as the caller."""
    if call.to not in MULTI_SENDS or call.data[:4] != MULTI_SEND:
        return None
    try:
        calls = decode_multi_send(call.data)
    except InvalidInputError:
        return None
    made = []
    for one in calls:
        delegate = one.operation is Operation.DELEGATE_CALL
        value = 0 if delegate else int(one.value)
        to = call.caller if one.to.is_zero and call.to in SELF_CALLING and call.caller is not None else one.to
        made.append(Call(to, value, one.data, call.caller, call.payer, delegate, call.gas))
    return Reading(calls=made)


def _changes(words: str) -> Reader:
    def read(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
        if call.caller != call.to:
            return None  # a Safe obeys itself only
        return Reading(cautions=(Caution("safe-change", f"the Safe {words}"),), understood=False)

    return read


READERS: Final[Mapping[str, Reader]] = {
    "execTransaction(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,"
    "uint256 gasPrice,address gasToken,address refundReceiver,bytes signatures)": _execution,
    "execTransactionFromModule(address to,uint256 value,bytes data,uint8 operation)": _from_module,
    "execTransactionFromModuleReturnData(address to,uint256 value,bytes data,uint8 operation)": _from_module,
    "addOwnerWithThreshold(address owner,uint256 threshold)": _changes("adds an owner"),
    "removeOwner(address prevOwner,address owner,uint256 threshold)": _changes("removes an owner"),
    "swapOwner(address prevOwner,address oldOwner,address newOwner)": _changes("replaces an owner"),
    "changeThreshold(uint256 threshold)": _changes("changes how many owners have to agree"),
    "enableModule(address module)": _changes("enables a module, which can move everything without the owners"),
    "disableModule(address prevModule,address module)": _changes("disables a module"),
    "setGuard(address guard)": _changes("sets a guard, which can block or watch every transaction"),
    "setModuleGuard(address moduleGuard)": _changes("sets a guard of modules"),
    "setFallbackHandler(address handler)": _changes("sets a handler, which can answer and sign in the Safe's name"),
    "changeMasterCopy(address masterCopy)": _changes("replaces the code of the Safe itself"),
}
