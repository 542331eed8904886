"""One call of a contract, what a reader finds in it, and what is known where it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.model import Allowance, Caution, Movement
    from bursar.ethereum.token import Token


@dataclass(frozen=True, slots=True)
class Call:
    """A call by ``caller`` (``None``: the sender, not known); ``payer`` is whose ether goes along.

    ``delegate`` is true where the code called runs as the caller; ``gas`` bounds what a refund of a Safe is paid for.
    """

    to: Address
    value: int
    data: bytes
    caller: Address | None
    payer: Address | None
    delegate: bool = False
    gas: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """Where calls are read: whose transaction it is, and the tokens registered on its chain by contract."""

    sender: Address | None
    tokens: Mapping[Address, Token] = field(default_factory=dict)

    def owner(self, who: Address | None) -> Address | None:
        """``who`` as the owner of what moves: ``None`` for the sender's own."""
        return None if who == self.sender else who


@dataclass(frozen=True, slots=True)
class Reading:
    """What one call does by itself, and the ``calls`` it makes in turn.

    ``forwards`` is true where the ether of the call is what its inner calls spend. ``understood`` is false where the
    call does more than is said here.
    """

    movements: Sequence[Movement] = ()
    allowances: Sequence[Allowance] = ()
    calls: Sequence[Call] = ()
    cautions: Sequence[Caution] = ()
    forwards: bool = False
    understood: bool = True


Reader: TypeAlias = Callable[[Call, Sequence[Any], Scope], "Reading | None"]
"""Reads a call by its arguments; ``None`` where they do not mean at this contract what the function's name says."""
