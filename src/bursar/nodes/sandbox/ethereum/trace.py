"""Calls inside a transaction as go-ethereum's ``callTracer`` shows them, from py-evm's computations."""

from __future__ import annotations

from typing import Any, ClassVar

from bursar.nodes.sandbox.ethereum.words import data_text, quantity, revert_reason

_SELFDESTRUCT = 0xFF


def traced(computation_class: Any) -> Any:
    """A computation like ``computation_class`` that also remembers what its self-destruction moved."""
    # below the wrapper that warns of the opcode's age each time it runs
    plain = computation_class.opcodes[_SELFDESTRUCT].__wrapped__

    def selfdestruct(computation: Any) -> None:
        computation.left = computation.state.get_balance(computation.msg.storage_address)
        plain(computation=computation)

    class Traced(computation_class):  # type: ignore[misc]
        opcodes: ClassVar[Any] = {**computation_class.opcodes, _SELFDESTRUCT: selfdestruct}
        left = 0

    return Traced


def call_frame(computation: Any, *, logs: bool, gas: int | None = None, gas_used: int | None = None) -> dict[str, Any]:
    """A finished call with the calls inside it; ``gas`` and ``gas_used`` replace those of the outermost one."""
    message = computation.msg
    used = message.gas - computation.get_gas_remaining()
    frame: dict[str, Any] = {
        "type": _kind(message),
        "from": data_text(message.sender),
        "to": data_text(_target(message)),
        "gas": quantity(message.gas if gas is None else gas),
        "gasUsed": quantity(used if gas_used is None else gas_used),
        "input": data_text(bytes(message.code if message.is_create else message.data)),
    }
    if not message.is_static:
        frame["value"] = quantity(message.value)
    output = bytes(computation.output)
    if output:
        frame["output"] = data_text(output)
    if computation.is_error:
        frame |= _failure(computation.error, output)
    calls = [call_frame(child, logs=logs) for child in computation.children]
    if computation.beneficiaries and not computation.is_error:
        calls.append(
            {
                "type": "SELFDESTRUCT",
                "from": data_text(message.storage_address),
                "to": data_text(computation.beneficiaries[-1]),
                "gas": "0x0",
                "gasUsed": "0x0",
                "input": "0x",
                "value": quantity(computation.left),
            }
        )
    if calls:
        frame["calls"] = calls
    if logs and computation._log_entries:
        frame["logs"] = [
            {
                "address": data_text(address),
                "topics": [data_text(topic.to_bytes(32, "big")) for topic in topics],
                "data": data_text(data),
                "index": quantity(number),
            }
            for number, address, topics, data in computation._log_entries
        ]
    return frame


def _kind(message: Any) -> str:
    if message.is_create:
        return "CREATE"
    if not message.should_transfer_value:
        return "DELEGATECALL"
    if message.code_address != message.to and not message.is_delegation and message.depth:
        return "CALLCODE"
    return "STATICCALL" if message.is_static else "CALL"


def _target(message: Any) -> bytes:
    if message.is_create:
        return bytes(message.storage_address)
    own = message.should_transfer_value and (message.is_delegation or not message.depth)
    return bytes(message.to if own else message.code_address)


def _failure(error: Exception, output: bytes) -> dict[str, Any]:
    from eth.exceptions import OutOfGas, Revert

    if isinstance(error, Revert):
        reason = revert_reason(output)
        return {"error": "execution reverted"} | ({} if reason is None else {"revertReason": reason})
    return {"error": "out of gas" if isinstance(error, OutOfGas) else f"{type(error).__name__}: {error}"[:200]}
