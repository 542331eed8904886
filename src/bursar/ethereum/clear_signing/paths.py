"""The path language of ERC-7730: names, items and slices below the roots ``#``, ``$`` and ``@``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from bursar.ethereum.clear_signing.texts import descriptor_error

MOST_STEPS: Final = 32
_LONGEST: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,127}", re.ASCII)
_NUMBER: Final = r"0|-?[1-9][0-9]{0,5}"
_SELECTOR: Final = re.compile(rf"\[(?:({_NUMBER})|({_NUMBER})?(:)({_NUMBER})?|)\]", re.ASCII)
_TAIL: Final = re.compile(rf"(?:\[(?:{_NUMBER})?\])+\Z", re.ASCII)


class Root(Enum):
    """Where a path begins: in its group, at the top of the data, in the descriptor, in the transaction."""

    HERE = ""
    DATA = "#"
    DESCRIPTOR = "$"
    CONTAINER = "@"


@dataclass(frozen=True, slots=True)
class Slice:
    """Items or bytes from ``start`` to before ``end``; both ``None`` is all of them, ``[]``."""

    start: int | None = None
    end: int | None = None

    def __str__(self) -> str:
        if self.start is None and self.end is None:
            return "[]"
        return f"[{'' if self.start is None else self.start}:{'' if self.end is None else self.end}]"


Step = str | int | Slice


@dataclass(frozen=True, slots=True)
class Path:
    """A path, each step a name, a place from 0 (or from -1 backwards) or a slice; ``str()`` writes it back."""

    root: Root
    steps: tuple[Step, ...]

    @classmethod
    def from_text(cls, text: object) -> Self:
        """Parse ``params.path.[0:20]``, ``#.details.[].token``, ``@.to``, ``$.metadata.constants.max``.

        ``recipients[0]``, as the standard's text also writes an item, is taken as ``recipients.[0]``. Anything else
        is ``input.clear-signing``: a step in a slice, wildcards, filters, quotes, an empty path.
        """
        if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
            raise descriptor_error(f"{text!r:.60} is no path")
        parts = text.split(".")
        root = Root(parts[0]) if parts[0] in ("#", "$", "@") else Root.HERE
        steps = tuple(step for part in (parts if root is Root.HERE else parts[1:]) for step in _steps(part, text))
        if len(steps) > MOST_STEPS or (not steps and root is not Root.DATA):
            raise descriptor_error(f"{text!r:.60} is no path: 1 to {MOST_STEPS} steps")
        if root in (Root.DESCRIPTOR, Root.CONTAINER) and not isinstance(steps[0], str):
            raise descriptor_error(f"{text!r:.60} is no path: after {root.value} follows a name")
        return cls(root, steps)

    def below(self, group: Path) -> Path:
        """This path where it stands in ``group``: a relative one goes on from there."""
        if self.root is not Root.HERE:
            return self
        return Path(group.root, group.steps + self.steps)

    def __str__(self) -> str:
        steps = [step if isinstance(step, str) else f"[{step}]" if isinstance(step, int) else str(step)
                 for step in self.steps]  # fmt: skip
        return ".".join(([] if self.root is Root.HERE else [self.root.value]) + steps)


TOP: Final = Path(Root.DATA, ())


def _steps(part: str, text: str) -> list[Step]:
    if _NAME.fullmatch(part):
        return [part]
    found = _SELECTOR.fullmatch(part)
    if found is not None:
        return [_selector(found)]
    tail = _TAIL.search(part)
    if tail is not None and _NAME.fullmatch(part[: tail.start()]):
        return [part[: tail.start()], *(_selector(one) for one in _SELECTOR.finditer(tail[0]))]
    raise descriptor_error(f"{text!r:.60} is no path: {part!r:.40} is no name, no [0] and no [0:20]")


def _selector(found: re.Match[str]) -> Step:
    item, start, colon, end = found.groups()
    if item is not None:
        return int(item)
    if colon is None:
        return Slice()
    return Slice(None if start is None else int(start), None if end is None else int(end))
