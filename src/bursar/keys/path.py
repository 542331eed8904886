"""Derivation paths (BIP-32), absolute and canonical: ``m/84h/0h/0h/0/7``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

HARDENED = 0x80000000
"""Added to an index, it makes the step hardened."""

_DEEPEST = 255  # an extended key's depth is one byte
_DIGITS = frozenset("0123456789")


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.path")


def _step(text: str, position: int) -> int:
    number, hardened = (text[:-1], HARDENED) if text[-1:] in ("h", "H", "'") else (text, 0)
    if not number:
        raise _invalid(f"step {position} of the path is empty: write a number, as in m/84h/0h/0h")
    if not _DIGITS.issuperset(number):
        raise _invalid(f"step {position} of the path is not a plain number with an optional h")
    if number[0] == "0" and number != "0":
        raise _invalid(f"step {position} of the path has a leading zero")
    if len(number) > 10 or int(number) >= HARDENED:
        raise _invalid(f"step {position} of the path is above 2147483647")
    return int(number) + hardened


@dataclass(frozen=True, slots=True, order=True)
class DerivationPath:
    """A path from the master key; ``indexes`` are 32-bit numbers, hardened ones with ``HARDENED`` added."""

    indexes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        indexes = self.indexes
        if type(indexes) is not tuple:
            raise _invalid("a path's indexes are a tuple of integers")
        if len(indexes) > _DEEPEST:
            raise _invalid(f"a path has at most {_DEEPEST} steps, not {len(indexes)}")
        for index in indexes:
            if type(index) is not int or not 0 <= index < 2 * HARDENED:
                raise _invalid(f"a path's index is an integer from 0 to 4294967295, not {index!r}")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``m/84h/0h/0h``; ``h``, ``H`` or ``'`` marks a hardened step, and nothing else is forgiven."""
        if not isinstance(text, str):
            raise _invalid("a path is a text such as m/84h/0h/0h")
        if len(text) > 12 * _DEEPEST + 1:
            raise _invalid("the path is too long")
        root, *steps = text.split("/")
        if root != "m":
            raise _invalid("a path starts with m, as in m/84h/0h/0h")
        return cls(tuple([_step(step, position) for position, step in enumerate(steps, 1)]))

    def __str__(self) -> str:
        return "m" + self.suffix()

    def suffix(self) -> str:
        """The steps alone, ``/84h/0h/0h``; empty for the master key."""
        return "".join(
            [f"/{index - HARDENED}h" if index >= HARDENED else f"/{index}" for index in self.indexes],
        )

    def __len__(self) -> int:
        return len(self.indexes)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[int]:
        return iter(self.indexes)

    def __getitem__(self, position: int) -> int:
        return self.indexes[position]

    def child(self, index: int) -> Self:
        """This path and one step more; ``index`` already holds ``HARDENED`` if the step is hardened."""
        return type(self)((*self.indexes, index))

    def __truediv__(self, index: int) -> Self:
        return self.child(index)

    @property
    def parent(self) -> Self:
        """The path without its last step; InvalidInputError at the master key."""
        if not self.indexes:
            raise _invalid("the master key's path m has no parent")
        return type(self)(self.indexes[:-1])

    @property
    def hardened(self) -> bool:
        """Whether any step is hardened, so that a public key cannot walk it."""
        return any(index >= HARDENED for index in self.indexes)

    def is_prefix_of(self, other: DerivationPath) -> bool:
        """Whether ``other`` is this path or lies below it."""
        return other.indexes[: len(self.indexes)] == self.indexes
