"""Fragments put together one by one, each checked against the type rules as it comes (BIP-379)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

from bursar.bitcoin.miniscript.fragments import Fragment, K
from bursar.bitcoin.miniscript.properties import BASE, MIXLESS, NONMALLEABLE, SIGNED, X, joined_type, leaf_type, letters

if TYPE_CHECKING:
    from bursar.bitcoin.miniscript.context import Context

MOST_FRAGMENTS: Final = 10_000
MOST_THRESHOLD_WORK: Final = 100_000  # the sum over thresh() of threshold times arguments


class TooLarge(Exception):  # noqa: N818
    """The expression is beyond what is analysed here."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[K]):
    """Well-typed fragments of one expression, the types beside them."""

    context: Context
    fragments: tuple[Fragment[K], ...]
    types: tuple[int, ...]

    def verify_is_own_opcode(self, place: int) -> bool:
        """Whether the ``v`` at ``place`` adds an opcode instead of changing the last one into its VERIFY form."""
        return bool(self.types[place - 1] & X)

    def faults(self) -> list[str]:
        """What of the type rules keeps it from being safe, in words."""
        kind = self.types[-1]
        found = []
        if not kind & BASE:
            found.append(f"it is no whole script: its type is {letters(kind)} and must be B")
        if not kind & SIGNED:
            found.append("it can be spent without a signature")
        if not kind & NONMALLEABLE:
            found.append("whoever relays it can change its witness into another one (malleability)")
        if not kind & MIXLESS:
            found.append("a way through it needs a lock by height and a lock by time at once, which never opens")
        return found


class Builder(Generic[K]):
    """Takes fragments in the order of the program; ``types`` are those of the expressions not joined yet."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._fragments: list[Fragment[K]] = []
        self._kinds: list[int] = []
        self._work = 0
        self.open: list[int] = []

    def add(self, one: Fragment[K]) -> None:
        """The next fragment; raises ``Mistyped``, or ``TooLarge`` where hostile sizes begin."""
        if len(self._fragments) >= MOST_FRAGMENTS:
            raise TooLarge(f"it has more than {MOST_FRAGMENTS} fragments")
        if one.name == "thresh":
            self._work += one.arity * one.number
            if self._work > MOST_THRESHOLD_WORK:
                raise TooLarge("its thresholds are too large to be analysed: use multi_a()")
        if one.arity:
            kinds = self.open[-one.arity :]
            kind = joined_type(one.name, one.number, kinds, tapscript=self._context.tapscript)
            del self.open[-one.arity :]
        else:
            kind = leaf_type(one.name, one.number)
        self.open.append(kind)
        self._fragments.append(one)
        self._kinds.append(kind)

    def finish(self) -> Checked[K]:
        """The one expression that was built."""
        return Checked(self._context, tuple(self._fragments), tuple(self._kinds))
