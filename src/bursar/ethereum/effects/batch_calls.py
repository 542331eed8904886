"""Calls that make other calls: multicall, Multicall2 and 3, and smart accounts (ERC-4337, ERC-7579)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.abi import decode
from bursar.ethereum.address import Address
from bursar.ethereum.effects.call import Call, Reading
from bursar.ethereum.effects.model import Caution, Movement
from bursar.ethereum.units import MAX_UINT256

if TYPE_CHECKING:
    from bursar.ethereum.effects.call import Reader, Scope

MULTICALLS: Final = frozenset(
    map(
        Address.from_text,
        (
            "0xcA11bde05977b3631167028862bE2a173976CA11",  # Multicall3, the same on most chains
            "0x5BA1e12693Dc8F9c48aAD8770482f4739bEeD696",  # Multicall2 on the main network
            "0xeefBa1e63905eF1D7ACbA5a8513c70307C1cE441",  # Multicall on the main network
        ),
    )
)
"""Contracts known to pass on what they are told, and nothing else: ether sent to them is what their calls spend."""

_SINGLE, _BATCH, _DELEGATE = 0x00, 0x01, 0xFF
_BATCHES: Final = bytes.fromhex("78210001")  # ERC-7821; its batches of batches (…0002) are not read
_CALLS: Final = "(address,uint256,bytes)[]"


def _multicall(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    """The contract calls itself in the caller's name."""
    return Reading(calls=[Call(call.to, 0, data, call.caller, call.caller) for data in arguments[-1]])


def _aggregate(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return _made(call, [(to, 0, data) for to, data in arguments[-1]])


def _aggregate3(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return _made(call, [(to, 0, data) for to, _, data in arguments[0]])


def _aggregate3_value(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    # what a call that may fail does not take stays behind, for anybody
    safe = not any(failing and value for _, failing, value, _ in arguments[0])
    return _made(call, [(to, value, data) for to, _, value, data in arguments[0]], forwards=safe)


def _execute(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return _made(call, [tuple(arguments)])


def _execute_batch(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:  # noqa: ARG001
    return _made(call, arguments[0])


def _execute_lists(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
    targets, datas = arguments[0], arguments[-1]
    values = arguments[1] if len(arguments) == 3 and arguments[1] else (0,) * len(targets)
    if not len(targets) == len(values) == len(datas):
        return None
    return _made(call, list(zip(targets, values, datas, strict=True)))


def _execute_mode(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading | None:  # noqa: ARG001
    """ERC-7579: the first byte of the mode says what the rest is."""
    mode, data = arguments
    if mode[1] > 1 or mode[6:10] not in (bytes(4), _BATCHES):
        return None
    if mode[0] == _BATCH:
        try:
            return _made(call, decode([_CALLS], data)[0])
        except InvalidInputError:
            return None
    if mode[0] == _SINGLE and len(data) >= 52:
        return _made(call, [(Address(data[:20]), int.from_bytes(data[20:52], "big"), data[52:])])
    if mode[0] == _DELEGATE and len(data) >= 20:
        inner = Call(Address(data[:20]), 0, data[20:], call.to, call.to, delegate=True)
        return Reading(calls=[inner])
    return None


def _made(call: Call, calls: Sequence[Sequence[Any]], *, forwards: bool = True) -> Reading:
    """Calls that the contract makes itself; ``forwards`` is false where it may keep the ether meant for them."""
    known = forwards and call.to in MULTICALLS
    spent = sum(value for _, value, _ in calls)
    forwards = known and spent <= call.value
    payer = call.payer if forwards else call.to
    return Reading(calls=[Call(to, value, data, call.to, payer) for to, value, data in calls], forwards=forwards)


def _handle_operations(call: Call, arguments: Sequence[Any], scope: Scope) -> Reading:
    """Operations of other accounts; the entry point makes each account run its calldata and pay for its gas."""
    operations, beneficiary = arguments
    movements, calls = [], []
    cautions: list[Caution] = []
    understood = True
    for one in operations:
        account, _, init_code, data = one[:4]
        cost, payer = (_cost_packed if len(one) == 9 else _cost)(one)
        if not any(payer[:20]) and cost:  # entry points before 0.8 take a zero paymaster for none
            movements.append(Movement(beneficiary, cost, owner=scope.owner(account)))
        if init_code:
            understood = False
            cautions += unread_account(account)
        calls.append(Call(account, 0, data, call.to, account))
    return Reading(movements, calls=calls, cautions=cautions, understood=understood)


def unread_account(account: Address) -> tuple[Caution, Caution]:
    """Code nobody read makes ``account``, or lends it code: what its functions do is not known either."""
    return (
        Caution("creation", f"runs code that makes the account {account}, or lends it code"),
        Caution("opaque-call", f"calls {account}, whose code is made by code that is not read here"),
    )


def _cost(one: Sequence[Any]) -> tuple[int, bytes]:
    return min((one[4] + one[5] * (3 if any(one[9][:20]) else 1) + one[6]) * one[7], MAX_UINT256), one[9]


def _cost_packed(one: Sequence[Any]) -> tuple[int, bytes]:
    return packed_cost(one[4], one[5], one[6], one[7]), one[7]


def packed_cost(limits: bytes, before: int, fees: bytes, paymaster: bytes) -> int:
    """What a packed user operation costs at most, in wei, by its fields of 32 bytes and its gas before verification."""
    gas = int.from_bytes(limits[:16], "big") + int.from_bytes(limits[16:], "big") + before
    gas += int.from_bytes(paymaster[20:36], "big") + int.from_bytes(paymaster[36:52], "big")
    return min(gas * int.from_bytes(fees[16:], "big"), MAX_UINT256)


def _variants() -> Iterator[tuple[str, Reader]]:
    calls = "(address target,bytes callData)[] calls"
    yield "multicall(bytes[] data)", _multicall
    yield "multicall(uint256 deadline,bytes[] data)", _multicall
    yield "multicall(bytes32 previousBlockhash,bytes[] data)", _multicall
    yield f"aggregate({calls})", _aggregate
    yield f"tryAggregate(bool requireSuccess,{calls})", _aggregate
    yield f"blockAndAggregate({calls})", _aggregate
    yield f"tryBlockAndAggregate(bool requireSuccess,{calls})", _aggregate
    yield "aggregate3((address target,bool allowFailure,bytes callData)[] calls)", _aggregate3
    yield "aggregate3Value((address target,bool allowFailure,uint256 value,bytes callData)[] calls)", _aggregate3_value
    yield "execute(address dest,uint256 value,bytes func)", _execute
    yield "executeBatch((address target,uint256 value,bytes data)[] calls)", _execute_batch
    yield "executeBatch(address[] dest,bytes[] func)", _execute_lists
    yield "executeBatch(address[] dest,uint256[] value,bytes[] func)", _execute_lists
    yield "execute(bytes32 mode,bytes executionCalldata)", _execute_mode
    yield (
        (
            "handleOps((address sender,uint256 nonce,bytes initCode,bytes callData,uint256 callGasLimit,"
            "uint256 verificationGasLimit,uint256 preVerificationGas,uint256 maxFeePerGas,uint256 maxPriorityFeePerGas,"
            "bytes paymasterAndData,bytes signature)[] ops,address beneficiary)"
        ),
        _handle_operations,
    )
    yield (
        (
            "handleOps((address sender,uint256 nonce,bytes initCode,bytes callData,bytes32 accountGasLimits,"
            "uint256 preVerificationGas,bytes32 gasFees,bytes paymasterAndData,bytes signature)[] ops,"
            "address beneficiary)"
        ),
        _handle_operations,
    )


READERS: Final[Mapping[str, Reader]] = dict(_variants())
