"""What the costliest way through a miniscript takes: opcodes, stack elements, witness bytes (BIP-379)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.bitcoin.miniscript.context import MOST_OPCODES, MOST_STACK, MOST_WITNESS_ITEMS, Context
from bursar.bitcoin.miniscript.fragments import HASH_SIZES, TIMELOCKS, Fragment, K

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A way is (keys of CHECKMULTISIG run, elements net taken, most elements above the end's, bytes of witness).
Way: TypeAlias = tuple[int, int, int, int]
Cost: TypeAlias = "Way | None"  # of the costliest way in each figure; None where there is no way
Ways: TypeAlias = tuple[Cost, Cost]  # to satisfy, to dissatisfy
_NOTHING: Final[Way] = (0, 0, 0, 0)
_PUSH: Final[Way] = (0, -1, 0, 0)
_POP: Final[Way] = (0, 1, 1, 0)  # IF, EQUAL, CHECKSIG, VERIFY, and what joins two into one
_HASH_LOCK: Final[Way] = (0, 0, 2, 33)
_OWN_OPCODES: Final = {
    "pk_h": 3, "older": 1, "after": 1, **dict.fromkeys(HASH_SIZES, 4), "multi": 1, "and_b": 1, "or_b": 1, "or_c": 2,
    "or_d": 3, "or_i": 3, "andor": 3, "s": 1, "c": 1, "n": 1, "a": 2, "d": 3, "j": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """The greatest figures over all ways to satisfy without malleability; ``None`` where there is no way at all.

    ``opcodes`` counts as P2WSH does, ``elements`` the witness without the script, ``executed`` the stack at its
    highest, ``witness`` the bytes of the elements with a length byte each, signatures at the context's size.
    """

    opcodes: int | None
    elements: int | None
    executed: int | None
    witness: int | None


def _then(*ways: Cost) -> Cost:
    """All of them, one after the other."""
    keys = taken = highest = size = 0
    for way in ways:
        if way is None:
            return None
        keys += way[0]
        highest = max(way[2], way[1] + highest)
        taken += way[1]
        size += way[3]
    return keys, taken, highest, size


def _or(one: Cost, other: Cost) -> Cost:
    """Whichever is taken."""
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _bytes(way: Cost, size: int) -> Cost:
    return None if way is None else (way[0], way[1], way[2], way[3] + size)


def _leaf(one: Fragment[K], context: Context) -> Ways:
    name = one.name
    signature = 1 + context.signature_size
    if name == "1":
        return _PUSH, None
    if name == "0":
        return None, _PUSH
    if name in TIMELOCKS:
        return _PUSH, None
    if name in HASH_SIZES:
        return _HASH_LOCK, None
    if name == "pk_k":
        return (0, -1, 0, signature), (0, -1, 0, 1)
    if name == "pk_h":
        key = 1 + context.key_size
        return (0, 0, 2, signature + key), (0, 0, 2, 1 + key)
    count, threshold = len(one.keys), one.number
    if name == "multi":
        highest = threshold + count + 2
        return (count, threshold, highest, 1 + threshold * signature), (count, threshold, highest, 1 + threshold)
    unsigned = count - threshold
    return (0, count - 1, count, threshold * signature + unsigned), (0, count - 1, count, count)


def _thresh(threshold: int, arguments: Sequence[Ways]) -> Ways:
    reached: list[Cost] = [_NOTHING]  # by how many were satisfied
    for place, (sat, dsat) in enumerate(arguments):
        joined = _POP if place else _NOTHING
        grown = [_then(reached[0], dsat, joined)]
        for count in range(1, min(len(reached), threshold + 1)):
            both = _or(_then(reached[count], dsat), _then(reached[count - 1], sat))
            grown.append(_then(both, joined))
        if len(reached) <= threshold:
            grown.append(_then(reached[-1], sat, joined))
        reached = grown
    ending: Way = (0, 0, 1, 0)  # the push of the threshold, and EQUAL
    return _then(reached[threshold], ending), _then(reached[0], ending)


def _either(first: Ways, second: Ways) -> Ways:
    (x, not_x), (z, not_z) = first, second
    sat = _or(_bytes(_then(_POP, x), 2), _bytes(_then(_POP, z), 1))
    return sat, _or(_bytes(_then(_POP, not_x), 2), _bytes(_then(_POP, not_z), 1))


def _joined(one: Fragment[K], arguments: Sequence[Ways]) -> Ways:
    name = one.name
    x, not_x = arguments[0]
    if name == "thresh":
        return _thresh(one.number, arguments)
    if one.arity == 1:
        return _wrapped(name, x, not_x)
    y, not_y = arguments[1]
    if name == "and_v":
        return _then(x, y), None
    if name == "and_b":
        return _then(x, y, _POP), _then(not_x, not_y, _POP)
    if name == "or_b":
        return _then(_or(_then(x, not_y), _then(not_x, y)), _POP), _then(not_x, not_y, _POP)
    if name == "or_c":
        return _or(_then(x, _POP), _then(not_x, _POP, y)), None
    if name == "or_d":
        return _or(_then(x, _PUSH, _POP), _then(not_x, _POP, y)), _then(not_x, _POP, not_y)
    if name == "or_i":
        return _either(arguments[0], arguments[1])
    z, not_z = arguments[2]
    return _or(_then(x, _POP, y), _then(not_x, _POP, z)), _then(not_x, _POP, not_z)


def _wrapped(name: str, x: Cost, not_x: Cost) -> Ways:
    if name == "c":
        return _then(x, _POP), _then(not_x, _POP)
    if name == "v":
        return _then(x, _POP), None
    if name == "d":
        return _bytes(_then(_PUSH, _POP, x), 2), _bytes(_then(_PUSH, _POP), 1)
    if name == "j":
        return _then(_PUSH, _POP, x), _bytes(_then(_PUSH, _POP), 1)
    return x, not_x


def limits(fragments: Sequence[Fragment[K]], context: Context, needs_verify: Callable[[int], bool]) -> Limits:
    """The figures of the whole; ``needs_verify(n)`` tells whether fragment ``n``, a ``v``, is an opcode of its own."""
    stack: list[Ways] = []
    opcodes = 0
    for place, one in enumerate(fragments):
        opcodes += _OWN_OPCODES.get(one.name, 0)
        if one.name == "thresh":
            opcodes += one.arity
        elif one.name == "multi_a":
            opcodes += len(one.keys) + 1
        elif one.name == "v":
            opcodes += needs_verify(place)
        if one.arity:
            arguments = stack[-one.arity :]
            del stack[-one.arity :]
            stack.append(_joined(one, arguments))
        else:
            stack.append(_leaf(one, context))
    found = stack[0][0]
    if found is None:
        return Limits(None, None, None, None)
    keys, taken, highest, size = found
    return Limits(opcodes + keys, taken + 1, highest + 1, size)


def excesses(found: Limits, size: int, context: Context) -> list[str]:
    """Which limits a script of ``size`` bytes breaks, in words."""
    broken = []
    if size > context.longest:
        broken.append(f"its script has {size} bytes, and nodes relay at most {context.longest}")
    if found.opcodes is None or found.elements is None or found.executed is None:
        return [*broken, "nothing can satisfy it"]
    if context.tapscript:
        if found.executed > MOST_STACK:
            broken.append(f"its stack may grow to {found.executed} elements, and {MOST_STACK} is the most")
        return broken
    if found.opcodes > MOST_OPCODES:
        broken.append(f"a way through it takes {found.opcodes} opcodes, and {MOST_OPCODES} is the most")
    if found.elements > MOST_WITNESS_ITEMS:
        broken.append(f"its witness may have {found.elements} elements, and nodes relay at most {MOST_WITNESS_ITEMS}")
    return broken
