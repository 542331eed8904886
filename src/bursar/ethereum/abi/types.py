"""Types of Solidity's contract ABI, from text: canonical, bounded, every size checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from bursar.errors import InvalidInputError

MOST_DEPTH: Final = 16  # tuples and arrays inside one another
MOST_COMPONENTS: Final = 64  # of one tuple or parameter list
_MOST_FIXED: Final = 1024  # items of an array of fixed length
_LONGEST: Final = 4096

_SIZED = re.compile(r"(uint|int|bytes)([1-9][0-9]{0,2})", re.ASCII)
_LEVEL = re.compile(r"\[([1-9][0-9]{0,3})?\]", re.ASCII)


class Kind(Enum):
    """What a value is once its arrays are taken away."""

    UINT = "uint"
    INT = "int"
    FIXED_BYTES = "bytesN"
    BYTES = "bytes"
    STRING = "string"
    BOOL = "bool"
    ADDRESS = "address"
    TUPLE = "tuple"


_PLAIN: Final = {
    "address": (Kind.ADDRESS, 20),
    "bool": (Kind.BOOL, 1),
    "bytes": (Kind.BYTES, 0),
    "string": (Kind.STRING, 0),
    "uint": (Kind.UINT, 32),
    "int": (Kind.INT, 32),
}


def abi_error(message: str) -> InvalidInputError:
    """The error for a type, a value or bytes that the ABI does not know."""
    return InvalidInputError(f"abi: {message}", code="input.abi")


@dataclass(frozen=True, slots=True)
class AbiType:
    """A type: ``size`` in bytes of numbers, ``bytesN`` and addresses; ``levels`` its arrays, innermost first, each its
    length or ``None``; ``components`` those of a tuple. ``str()`` is the canonical text, ``(address,uint256)[]``.
    """

    kind: Kind
    size: int = 0
    components: tuple[AbiType, ...] = ()
    levels: tuple[int | None, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``uint256``, ``bytes32[4][]``, ``(address,bytes)[]``, …; ``uint`` and ``int`` are those of 256 bits."""
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise abi_error("a type is a text of at most 4096 characters")
        return cls._parse(text, MOST_DEPTH)

    @classmethod
    def _parse(cls, text: str, depth: int) -> Self:
        if depth == 0:
            raise abi_error(f"types lie deeper than {MOST_DEPTH}")
        if text.startswith(("(", "tuple(")):
            end = text.rfind(")")
            parts = split(text[text.index("(") + 1 : end]) if end > 0 else []
            if not parts:
                raise abi_error(f"{text[:60]!r} is no tuple: it has at least one component")
            components = tuple(cls._parse(part, depth - 1) for part in parts)
            return cls(Kind.TUPLE, 0, components, _levels(text[end + 1 :], text, depth))
        name, bracket, rest = text.partition("[")
        kind, size = _plain(name, text)
        return cls(kind, size, (), _levels(bracket + rest, text, depth))

    @property
    def item(self) -> AbiType:
        """The type of one item of this array."""
        return AbiType(self.kind, self.size, self.components, self.levels[:-1])

    @property
    def dynamic(self) -> bool:
        """Whether its length depends on the value."""
        if None in self.levels:
            return True
        return self.kind in (Kind.BYTES, Kind.STRING) or any(one.dynamic for one in self.components)

    @property
    def head_size(self) -> int:
        """Bytes it takes where it stands: 32 for an offset, else its whole length."""
        if self.dynamic:
            return 32
        size = sum(one.head_size for one in self.components) if self.kind is Kind.TUPLE else 32
        for level in self.levels:
            size *= level or 0
        return size

    def __str__(self) -> str:
        arrays = "".join("[]" if level is None else f"[{level}]" for level in self.levels)
        if self.kind is Kind.TUPLE:
            return f"({','.join(map(str, self.components))}){arrays}"
        if self.kind in (Kind.UINT, Kind.INT):
            return f"{self.kind.value}{8 * self.size}{arrays}"
        return (f"bytes{self.size}" if self.kind is Kind.FIXED_BYTES else self.kind.value) + arrays


def split(text: str) -> list[str]:
    """The parts of a list between commas that no brackets hold; none for empty text."""
    if not text.strip():
        return []
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            raise abi_error(f"{text[:60]!r} closes a bracket too many")
        if letter == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    if depth:
        raise abi_error(f"{text[:60]!r} leaves a bracket open")
    parts.append(text[start:])
    if len(parts) > MOST_COMPONENTS:
        raise abi_error(f"{len(parts)} components are more than {MOST_COMPONENTS}")
    return parts


def _plain(name: str, text: str) -> tuple[Kind, int]:
    found = _PLAIN.get(name)
    if found is not None:
        return found
    sized = _SIZED.fullmatch(name)
    if sized is not None:
        number = int(sized[2])
        if sized[1] == "bytes" and number <= 32:
            return Kind.FIXED_BYTES, number
        if sized[1] != "bytes" and number <= 256 and number % 8 == 0:
            return Kind(sized[1]), number // 8
    raise abi_error(f"{text[:60]!r} is no type of the abi")


def _levels(arrays: str, text: str, depth: int) -> tuple[int | None, ...]:
    if "".join(found[0] for found in _LEVEL.finditer(arrays)) != arrays:
        raise abi_error(f"{text[:60]!r} has brackets that are no array")
    levels = tuple(int(found[1]) if found[1] else None for found in _LEVEL.finditer(arrays))
    if len(levels) >= depth or any(level is not None and level > _MOST_FIXED for level in levels):
        raise abi_error(f"{text[:60]!r} is too large an array")
    return levels
