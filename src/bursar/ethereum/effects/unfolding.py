"""Calls inside calls, read one by one: all effects of a call, bounded in depth and number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.effects.call import Reading
from bursar.ethereum.effects.functions import argument_texts, arguments, names, readers
from bursar.ethereum.effects.model import Allowance, CallView, Caution, Movement

if TYPE_CHECKING:
    from bursar.ethereum.effects.call import Call, Scope

DEEPEST: Final = 8  # calls inside one another
MOST_CALLS: Final = 1000  # of one transaction
_WORD: Final = 66  # characters of 32 bytes in hexadecimal


@dataclass(slots=True)
class Unfolded:
    """What was found so far, in the order of the calls."""

    movements: list[Movement] = field(default_factory=list)
    allowances: list[Allowance] = field(default_factory=list)
    cautions: list[Caution] = field(default_factory=list)
    calls: list[CallView] = field(default_factory=list)
    called: set[int] = field(default_factory=set)  # places of movements of coins that go to a contract with a call
    decoded: bool = True
    delegate_call: bool = False
    count: int = 0


def unfold(calls: Sequence[Call], scope: Scope) -> Unfolded:
    """Everything ``calls`` do, with the calls they make in turn."""
    found = Unfolded(count=len(calls))
    found.calls = [_visit(call, scope, found, DEEPEST) for call in calls]
    return found


def _visit(call: Call, scope: Scope, found: Unfolded, depth: int) -> CallView:
    name, texts, reading = _read(call, scope, found)
    calls = reading.calls
    if calls and (not depth or found.count + len(calls) > MOST_CALLS):
        text = f"calls {call.to} with more calls than are looked into: {DEEPEST} deep, {MOST_CALLS} in all"
        found.cautions.append(Caution("opaque-call", text))
        reading, calls = Reading(understood=False), ()
    found.count += len(calls)
    kept = call.value - sum(one.value for one in calls) if reading.forwards else call.value
    if kept or (not call.data and depth == DEEPEST):
        if call.data:
            found.called.add(len(found.movements))
        found.movements.append(Movement(call.to, kept, owner=scope.owner(call.payer)))
    found.movements += reading.movements
    found.allowances += reading.allowances
    found.cautions += reading.cautions
    found.decoded = found.decoded and reading.understood
    if calls:  # shown themselves, below
        texts = tuple(pair for pair in texts if pair[1][:1] != "[" and len(pair[1]) <= _WORD)
    inner = tuple(_visit(one, scope, found, depth - 1) for one in calls)
    return CallView(call.to, call.value, name, texts, reading.understood, call.delegate, inner)


def _read(call: Call, scope: Scope, found: Unfolded) -> tuple[str | None, tuple[tuple[str, str], ...], Reading]:
    """The function's name and arguments, as far as they are known, and what the call does."""
    if call.delegate:
        return _read_delegate(call, found)
    if not call.data:
        return None, (), Reading()
    known = readers().get(call.data[:4])
    function = known[0] if known is not None else names().get(call.data[:4])
    if function is None:
        return None, (), _opaque(call, found)
    try:
        values = arguments(function, call.data)
    except InvalidInputError:
        return None, (), _opaque(call, found)
    reading = known[1](call, values, scope) if known is not None else None
    if reading is None:
        reading = _opaque(call, found, function.signature)
    return function.name, argument_texts(function, values), reading


def _read_delegate(call: Call, found: Unfolded) -> tuple[str | None, tuple[tuple[str, str], ...], Reading]:
    from bursar.ethereum.effects.safe_calls import SIGN_MESSAGES, read_delegate_call

    reading = read_delegate_call(call)
    if reading is not None:
        return "multiSend", (), reading
    if call.to in SIGN_MESSAGES:
        text = f"makes {call.caller} sign a message that is not read here, by code of {call.to}"
        found.cautions.append(Caution("opaque-call", text))
    else:
        found.delegate_call = True
        text = f"runs code of {call.to} as {call.caller}: it can take everything"
        found.cautions.append(Caution("delegate-call", text))
    return None, (), Reading(understood=False)


def _opaque(call: Call, found: Unfolded, signature: str | None = None) -> Reading:
    what = f"selector 0x{call.data[:4].hex()}, {len(call.data)} bytes"
    if signature is not None:
        text = f"calls {call.to} with {signature[:120]}, and what that does there is not known"
    else:
        text = f"calls {call.to} with data that cannot be decoded: {what}"
    found.cautions.append(Caution("opaque-call", text))
    return Reading(understood=False)
