"""The ways to satisfy spending conditions, sorted out by their timelocks (BIP-379), each part in words."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from bursar.bitcoin.miniscript.fragments import HASH_SIZES, TIMELOCKS, Fragment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bursar.bitcoin.descriptors.keys import Key

MOST_WAYS: Final = 32
Lock: TypeAlias = tuple[str, int]  # ``older`` or ``after``, and the number


class TooWide(Exception):  # noqa: N818
    """There are more ways than anybody wants to read."""


class Part(NamedTuple):
    """Something a spender must give: ``2 of 3`` with the ``names`` of the three, or a single thing without."""

    head: str
    names: str = ""

    @property
    def whole(self) -> str:
        return f"{self.head} {self.names}" if self.names else self.head


class Way(NamedTuple):
    """Locks that must be open, and everything that must be given."""

    locks: frozenset[Lock]
    parts: tuple[Part, ...]


Ways: TypeAlias = tuple[Way, ...]


def ways(fragments: Iterable[Fragment[Key]], name: Callable[[Key], str]) -> Ways:
    """The ways to satisfy a miniscript; raises ``TooWide``."""
    stack: list[Ways] = []
    for one in fragments:
        arguments = stack[len(stack) - one.arity :]
        del stack[len(stack) - one.arity :]
        stack.append(_joined(one, arguments) if one.arity else _leaf(one, name))
    return stack[0]


def either(*several: Ways) -> Ways:
    """The ways of all of them, without those that another one makes superfluous."""
    found: list[Way] = []
    for way in [way for one in several for way in one]:
        if any(known.parts == way.parts and known.locks <= way.locks for known in found):
            continue
        found = [known for known in found if not (known.parts == way.parts and way.locks <= known.locks)]
        found.append(way)
    return _bounded(found)


def _bounded(found: Sequence[Way]) -> Ways:
    if len(found) > MOST_WAYS:
        raise TooWide
    return tuple(found)


def every(several: Sequence[Ways]) -> Ways:
    """The ways to satisfy all of them."""
    total = 1
    for one in several:
        total *= len(one)
        if total > MOST_WAYS:
            raise TooWide
    return tuple(
        Way(frozenset().union(*[one.locks for one in row]), tuple([part for one in row for part in one.parts]))
        for row in product(*several)
    )


def some(threshold: int, parts: Sequence[Part]) -> Part:
    """``threshold`` of the parts."""
    if len(parts) == 1:
        return parts[0]
    return Part(f"{threshold} of {len(parts)}", f"({', '.join([part.whole for part in parts])})")


def _given(part: Part) -> Ways:
    return (Way(frozenset(), (part,)),)


def _leaf(one: Fragment[Key], name: Callable[[Key], str]) -> Ways:
    if one.keys:
        return _given(some(one.number or 1, [Part(name(key)) for key in one.keys]))
    if one.name in TIMELOCKS:
        return (Way(frozenset(((one.name, one.number),)), ()),)
    if one.name in HASH_SIZES:
        return _given(Part(f"the preimage of {one.name} {one.data.hex()[:8]}…"))
    return (Way(frozenset(), ()),) if one.name == "1" else ()


def _joined(one: Fragment[Key], arguments: Sequence[Ways]) -> Ways:
    if one.name == "thresh":
        return _thresh(one.number, arguments)
    if one.arity == 1:
        return arguments[0]
    if one.name == "andor":
        return either(every(arguments[:2]), arguments[2])
    return every(arguments) if one.name.startswith("and") else either(*arguments)


def _plain(argument: Ways) -> Part | None:
    """The argument as one thing to give, if no lock plays a part in it."""
    if not argument or any(way.locks or not way.parts for way in argument):
        return None
    texts = [" and ".join([part.whole for part in way.parts]) for way in argument]
    if len(argument) == 1 and len(argument[0].parts) == 1:
        return argument[0].parts[0]
    return Part(f"({' or '.join(texts)})")


def _thresh(threshold: int, arguments: Sequence[Ways]) -> Ways:
    parts = [_plain(argument) for argument in arguments]
    plain = [part for part in parts if part is not None]
    special = [argument for argument, part in zip(arguments, parts, strict=True) if part is None and argument]
    if len(special) > MOST_WAYS:
        raise TooWide
    found: list[Ways] = []
    total = 0
    for count in range(max(0, threshold - len(plain)), min(threshold, len(special)) + 1):
        rest = threshold - count
        others = [_given(some(rest, plain))] if rest else []
        for chosen in combinations(special, count):
            found.append(every([*chosen, *others]))
            total += len(found[-1])
            if total > MOST_WAYS:
                raise TooWide
    return either(*found)
