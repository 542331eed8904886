"""What a Safe or a smart account was asked to do by signatures: the call to unfold, and what it pays for gas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from bursar.ethereum.address import ZERO_ADDRESS
from bursar.ethereum.effects.batch_calls import packed_cost, unread_account
from bursar.ethereum.effects.call import Call
from bursar.ethereum.effects.safe_calls import refund
from bursar.ethereum.fees import MAX_TRANSACTION_GAS
from bursar.ethereum.safe.operation import Operation

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.call import Scope
    from bursar.ethereum.effects.model import Caution, Movement

Found: TypeAlias = "tuple[Call, list[Movement], int, list[Caution]]"  # call, refund, fee at most, cautions
_FIELDS: Final = ("initCode", "callData", "accountGasLimits", "preVerificationGas", "gasFees", "paymasterAndData")


def safe_call(safe: Address, message: Mapping[str, Any], scope: Scope) -> Found:
    """The call of a SafeTx (EIP-712), and its refund at most; the sender of the transaction is not known yet."""
    delegate = message["operation"] != Operation.CALL
    gas = message["baseGas"] + max(message["safeTxGas"], MAX_TRANSACTION_GAS)
    movements, cautions = refund(
        safe,
        scope,
        gas=gas,
        price=message["gasPrice"],
        token=message["gasToken"],
        receiver=message["refundReceiver"],
        sender=ZERO_ADDRESS,
    )
    value = 0 if delegate else message["value"]
    return Call(message["to"], value, message["data"], safe, safe, delegate), movements, 0, cautions


def operation_call(account: Address, message: Mapping[str, Any], scope: Scope) -> Found:  # noqa: ARG001
    """The call of a user operation of entry point 0.8, and what the account pays at most for its gas.

    The entry point hands that to whoever sends the operation.
    """
    init_code, data, limits, before, fees, paymaster = (message[name] for name in _FIELDS)
    # entry points before 0.8 take a zero paymaster for none: the account pays
    cost = 0 if any(paymaster[:20]) else packed_cost(limits, before, fees, paymaster)
    cautions: list[Caution] = []
    if init_code:
        cautions += unread_account(account)
    return Call(account, 0, data, account, account), [], cost, cautions
