"""What a transaction would do now: a trace of a call, else eth_simulateV1, else a call alone, which shows the least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from bursar.chain.ethereum_reading import SimulatedApproval, SimulatedTransfer, Simulation
from bursar.errors import InvalidInputError
from bursar.ethereum.abi import PANIC, REVERT, decode
from bursar.ethereum.access_list_json import access_list_to_json
from bursar.ethereum.transaction import MAX_GAS_LIMIT
from bursar.nodes.ethrpc.events import effects_of
from bursar.nodes.ethrpc.link import missing
from bursar.nodes.ethrpc.reply import Refusal, garbled, printable, read_data, read_list, read_object, read_quantity
from bursar.nodes.ethrpc.shapes import MOST_LOGS, read_log
from bursar.nodes.ethrpc.traces import DEEPEST_TRACE, MOST_CALLS, nested_moves

if TYPE_CHECKING:
    from bursar.chain.protocols import Log
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.nodes.ethrpc.link import Link

_SIMULATE: Final = "eth_simulateV1"
_TRACE: Final = "debug_traceCall"
_INVALID = range(-38_030, -38_009)  # execution-apis: why a simulated transaction cannot even begin


def call_object(sender: Address, tx: UnsignedTransaction) -> dict[str, Any]:
    """A transaction as nodes take one that is not signed; without fees, so that none is refused for want of ether."""
    call: dict[str, Any] = {"from": str(sender), "value": hex(tx.value), "data": "0x" + tx.data.hex()}
    if tx.to is not None:
        call["to"] = str(tx.to)
    if tx.access_list:
        call["accessList"] = access_list_to_json(tx.access_list)
    if tx.blob_versioned_hashes:
        call["blobVersionedHashes"] = ["0x" + one.hex() for one in tx.blob_versioned_hashes]
    if tx.authorization_list:
        call["authorizationList"] = [
            {
                "chainId": hex(one.authorization.chain_id),
                "address": str(one.authorization.delegate),
                "nonce": hex(one.authorization.nonce),
                "yParity": hex(one.signature.y_parity or 0),
                "r": hex(one.signature.r),
                "s": hex(one.signature.s),
            }
            for one in tx.authorization_list
        ]
    return call


def ask_simulation(link: Link, sender: Address, tx: UnsignedTransaction) -> Simulation:
    """The best that the node offers. Its words in ``reason`` are shortened and printable."""
    call = {**call_object(sender, tx), "gas": hex(tx.gas_limit)}
    if _TRACE not in link.lacking:
        options = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
        reply = link.ask_many([(_TRACE, [call, "latest", options])], deepest=DEEPEST_TRACE)[0]
        if not isinstance(reply, Refusal):
            return _of_trace(reply)
        if missing(reply):
            link.lacking.add(_TRACE)
    if _SIMULATE not in link.lacking:
        wanted = {"blockStateCalls": [{"calls": [call]}], "traceTransfers": True, "validation": False}
        reply = link.ask_many([(_SIMULATE, [wanted, "latest"])])[0]
        if not isinstance(reply, Refusal):
            return _of_simulation(reply)
        if reply.code in _INVALID:
            return _failure(_SIMULATE, reply.reason, complete=True)
        if missing(reply):
            link.lacking.add(_SIMULATE)
    return _of_call(link.ask_many([("eth_call", [call, "latest"])])[0], sender, tx)


def _of_simulation(reply: Any) -> Simulation:
    blocks = read_list(reply, name="the simulation", most=1)
    calls = read_list(read_object(blocks[0], name="the block").get("calls"), name="the calls", most=1) if blocks else []
    if not calls:
        raise garbled("it simulated nothing")
    body = read_object(calls[0], name="the call")
    gas_used = read_quantity(body.get("gasUsed"), name="the gas used", most=MAX_GAS_LIMIT)
    if not read_quantity(body.get("status"), name="the status", most=1):
        error = read_object(body.get("error") or {}, name="the error")
        held = error.get("data") or body.get("returnData")
        reason = _words(error.get("message"), b"" if held is None else read_data(held, name="the returned data"))
        return _failure(_SIMULATE, reason, complete=True, gas_used=gas_used)
    logs = [read_log(one, None) for one in read_list(body.get("logs"), name="the logs", most=MOST_LOGS)]
    return _success(_SIMULATE, gas_used, logs, ())


def _of_trace(reply: Any) -> Simulation:
    frame = read_object(reply, name="the trace")
    gas_used = read_quantity(frame.get("gasUsed"), name="the gas used", most=MAX_GAS_LIMIT)
    if frame.get("error") is not None:
        held = frame.get("output")
        reason = _words(frame["error"], b"" if held is None else read_data(held, name="the output"))
        return _failure(_TRACE, reason, complete=True, gas_used=gas_used)
    moves = [
        SimulatedTransfer(None, one, other, int(amount)) for one, other, amount in nested_moves(frame, with_top=True)
    ]
    return _success(_TRACE, gas_used, _logs_of(frame), moves)


def _logs_of(top: dict[str, Any]) -> list[Log]:
    """The logs of a trace in the order they were written, where the node says it; without those of failed calls."""
    found: list[tuple[int, Log]] = []
    waiting = [top]
    seen = 0
    while waiting:
        frame = waiting.pop()
        if frame.get("error") is not None:
            continue
        for value in read_list(frame.get("logs") or [], name="the logs", most=MOST_LOGS):
            body = read_object(value, name="a log")
            index = body.get("index")
            at = seen if index is None else read_quantity(index, name="a log's index", most=MOST_CALLS)
            found.append((at, read_log({"data": "0x", **body}, None)))
            seen += 1
        calls = read_list(frame.get("calls") or [], name="the calls", most=MOST_CALLS)
        waiting += [read_object(one, name="a trace") for one in reversed(calls)]
    if len(found) > MOST_LOGS:
        raise garbled(f"a transaction with more than {MOST_LOGS} logs")
    return [log for _, log in sorted(found, key=lambda one: one[0])]


def _of_call(reply: Any, sender: Address, tx: UnsignedTransaction) -> Simulation:
    if isinstance(reply, Refusal):
        return _failure("eth_call", _words(reply.reason, reply.data), complete=False)
    read_data(reply, name="the contract's answer")
    moves = [] if tx.to is None or not tx.value else [SimulatedTransfer(None, sender, tx.to, int(tx.value))]
    return Simulation("eth_call", True, None, tuple(moves), (), complete=False)


def _success(method: str, gas_used: int, logs: Iterable[Log], moves: Sequence[SimulatedTransfer]) -> Simulation:
    effects = [one for log in logs for one in effects_of(log)]
    return Simulation(
        method=method,
        succeeded=True,
        gas_used=gas_used,
        transfers=(*moves, *(one for one in effects if isinstance(one, SimulatedTransfer))),
        approvals=tuple(one for one in effects if isinstance(one, SimulatedApproval)),
        complete=True,
    )


def _failure(method: str, reason: str, *, complete: bool, gas_used: int | None = None) -> Simulation:
    return Simulation(method, False, gas_used, (), (), complete, printable(reason))


def _words(said: Any, output: bytes) -> str:
    """Why a contract failed: what it says itself, else what the node says."""
    for error, words in ((REVERT, "{}"), (PANIC, "panic {:#x}")):
        if output[:4] == error.selector:
            try:
                return words.format(decode([one.type for one in error.inputs], output[4:])[0])
            except InvalidInputError:
                break
    text = said if isinstance(said, str) else "it fails"
    return f"{text} (0x{output[:4].hex()})" if len(output) >= 4 else text
