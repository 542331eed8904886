"""The cheapest way through a miniscript that no third party can turn into another one (BIP-379's algorithm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from bursar.bitcoin.miniscript.fragments import HASH_SIZES, TIMELOCKS, Fragment

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature of a key."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Revealed:
    """The preimage of a hash."""

    hash: bytes


@dataclass(frozen=True, slots=True)
class Locked:
    """``older`` or ``after``: an open timelock, no element of the witness."""

    name: str
    number: int


Item: TypeAlias = "bytes | Signed | Revealed | Locked"  # bytes stand in the witness as they are


class Source(Protocol):
    """What is at hand; every figure is bytes of witness with the length byte, ``None`` for what is not at hand."""

    def signature(self, key: bytes) -> int | None:
        """What a signature of ``key`` takes."""
        ...

    def preimage(self, hashed: bytes) -> int | None:
        """What the preimage of a hash takes."""
        ...

    def lock(self, name: str, number: int) -> int | None:
        """0 for an open timelock."""
        ...

    def public_key(self, key: bytes) -> bytes | None:
        """The key whose hash stands in the script, if it is known."""
        ...


class Way(NamedTuple):
    """Items of a witness, the bottom first, joined in pairs; ``malleable`` ways only win where there is no other."""

    cost: int
    signed: bool = False
    malleable: bool = False
    items: object = ()


Maybe: TypeAlias = "Way | None"
Both: TypeAlias = tuple[Maybe, Maybe]  # to satisfy, to dissatisfy
_EMPTY: Final = Way(0)
_ZERO: Final = Way(1, items=b"")
_ONE: Final = Way(2, items=b"\x01")
_NO_PREIMAGE: Final = Way(33, malleable=True, items=bytes(32))


def _then(one: Maybe, other: Maybe) -> Maybe:
    """Both, ``other`` nearer to the top of the stack."""
    if one is None or other is None:
        return None
    pair = (one.items, other.items)
    return Way(one.cost + other.cost, one.signed or other.signed, one.malleable or other.malleable, pair)


def _or(one: Maybe, other: Maybe) -> Maybe:
    """The one to take where either would do."""
    if one is None or other is None:
        return one or other
    if one.signed is not other.signed:  # a third party can always take the one without a signature
        return other if one.signed else one
    if not one.signed:
        return (one if one.cost <= other.cost else other)._replace(malleable=True)
    if one.malleable is not other.malleable:
        return other if one.malleable else one
    return one if one.cost <= other.cost else other


def solve(fragments: Sequence[Fragment[bytes]], source: Source) -> Both:
    """The ways to satisfy and to dissatisfy the whole."""
    stack: list[Both] = []
    for one in fragments:
        if one.arity:
            arguments = stack[-one.arity :]
            del stack[-one.arity :]
            stack.append(_joined(one, arguments))
        else:
            stack.append(_leaf(one, source))
    return stack[0]


def items(way: Way) -> list[Item]:
    """What the way takes, the bottom of the stack first."""
    found: list[Item] = []
    waiting: list[object] = [way.items]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tuple):
            waiting += reversed(one)
        elif isinstance(one, (bytes, Signed, Revealed, Locked)):
            found.append(one)
    return found


def _signature(key: bytes, source: Source) -> Maybe:
    cost = source.signature(key)
    return None if cost is None else Way(cost, signed=True, items=Signed(key))


def _leaf(one: Fragment[bytes], source: Source) -> Both:
    name = one.name
    if name == "pk_k":
        return _signature(one.keys[0], source), _ZERO
    if name == "pk_h":
        key = source.public_key(one.keys[0])
        if key is None:
            return None, None
        shown = Way(1 + len(key), items=key)
        return _then(_signature(key, source), shown), _then(_ZERO, shown)
    if name in TIMELOCKS:
        cost = source.lock(name, one.number)
        return None if cost is None else Way(cost, items=Locked(name, one.number)), None
    if name in HASH_SIZES:
        cost = source.preimage(one.data)
        return None if cost is None else Way(cost, items=Revealed(one.data)), _NO_PREIMAGE
    if name == "multi":
        return _multi(one, source)
    if name == "multi_a":
        return _multi_a(one, source)
    return (_EMPTY, None) if name == "1" else (None, _EMPTY)


def _cheapest(one: Fragment[bytes], source: Source) -> dict[int, int] | None:
    """The places of the keys that sign, as few as must, with what each takes; ``None`` if too few can."""
    costs = [(cost, place) for place, key in enumerate(one.keys) if (cost := source.signature(key)) is not None]
    if len(costs) < one.number:
        return None
    return {place: cost for cost, place in sorted(costs)[: one.number]}


def _multi(one: Fragment[bytes], source: Source) -> Both:
    signing = _cheapest(one, source)
    unsigned = Way(one.number + 1, items=(b"",) * (one.number + 1))
    if signing is None:
        return None, unsigned
    stack = (b"", *[Signed(one.keys[place]) for place in sorted(signing)])
    return Way(1 + sum(signing.values()), signed=True, items=stack), unsigned


def _multi_a(one: Fragment[bytes], source: Source) -> Both:
    signing = _cheapest(one, source)
    count = len(one.keys)
    unsigned = Way(count, items=(b"",) * count)
    if signing is None:
        return None, unsigned
    stack = tuple([Signed(one.keys[place]) if place in signing else b"" for place in reversed(range(count))])
    return Way(sum(signing.values()) + count - len(signing), signed=True, items=stack), unsigned


def _thresh(threshold: int, arguments: Sequence[Both]) -> Both:
    reached: list[Maybe] = [_EMPTY]  # the best way by how many of the arguments behind are satisfied
    free = 0
    for sat, dsat in reversed(arguments):
        free += sat is not None and not sat.signed
        grown = [_then(reached[0], dsat)]
        for some, fewer in zip(reached[1 : threshold + 1], reached, strict=False):
            grown.append(_or(_then(some, dsat), _then(fewer, sat)))
        if len(reached) <= threshold:
            grown.append(_then(reached[-1], sat))
        reached = grown
    unsatisfied = reached[0]
    if unsatisfied is not None and (free > 1 or (free == 1 and threshold != 1)):
        # anyone may satisfy some more arguments, another number than the threshold
        unsatisfied = unsatisfied._replace(malleable=True)
    return reached[threshold], unsatisfied


def _spoilt(way: Maybe) -> Maybe:
    return None if way is None else way._replace(malleable=True)


def _joined(one: Fragment[bytes], arguments: Sequence[Both]) -> Both:
    name = one.name
    x, not_x = arguments[0]
    if name == "thresh":
        return _thresh(one.number, arguments)
    if one.arity == 1:
        return _wrapped(name, x, not_x)
    y, not_y = arguments[1]
    if name == "and_v":
        return _then(y, x), _then(not_y, x)
    if name == "and_b":
        half = _or(_spoilt(_then(y, not_x)), _spoilt(_then(not_y, x)))
        return _then(y, x), _or(_then(not_y, not_x), half)
    if name == "or_b":
        exactly = _or(_then(not_y, x), _then(y, not_x))
        return _or(exactly, _spoilt(_then(y, x))), _then(not_y, not_x)
    if name == "or_c":
        return _or(x, _then(y, not_x)), None
    if name == "or_d":
        return _or(x, _then(y, not_x)), _then(not_y, not_x)
    if name == "or_i":
        return _or(_then(x, _ONE), _then(y, _ZERO)), _or(_then(not_x, _ONE), _then(not_y, _ZERO))
    z, not_z = arguments[2]
    return _or(_then(y, x), _then(z, not_x)), _or(_then(not_y, x), _then(not_z, not_x))


def _wrapped(name: str, x: Maybe, not_x: Maybe) -> Both:
    if name == "d":
        return _then(x, _ONE), _ZERO
    if name == "v":
        return x, None
    if name == "j":
        # where X can be dissatisfied without a signature, that may do beside the empty element
        return x, _ZERO._replace(malleable=not_x is not None and not not_x.signed)
    return x, not_x
