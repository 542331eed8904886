"""Which of an account's scripts is this? An index for millions of them, in the order they were derived."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bursar.bitcoin.accounts import ScriptAccount

_SHIFT = 31
_MASK = (1 << _SHIFT) - 1


class ScriptIndex:
    """Maps an output script to its branch and index; per branch the indexes are consecutive from 0.

    Where two places make the same script, the first one added answers. Beside the script itself an entry takes about
    100 bytes.
    """

    __slots__ = ("_columns", "_places")

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        self._columns: dict[int, list[bytes]] = {}

    @classmethod
    def of(cls, account: ScriptAccount, count: int) -> ScriptIndex:
        """The first ``count`` scripts of each branch."""
        index = cls()
        for branch in account.branches:
            index.extend(branch, account.scripts(branch, 0, count if account.ranged else 1))
        return index

    def extend(self, branch: int, scripts: Iterable[bytes]) -> None:
        """Add the next scripts of ``branch``."""
        column = self._columns.setdefault(branch, [])
        place = (branch << _SHIFT) + len(column)
        known = self._places
        for number, script in enumerate(scripts, place):
            column.append(script)
            known.setdefault(script, number)

    def truncate(self, branch: int, count: int) -> None:
        """Forget the scripts of ``branch`` from ``count`` on."""
        column = self._columns.get(branch, [])
        base = branch << _SHIFT
        for number, script in enumerate(column[count:], base + count):
            if self._places.get(script) == number:
                del self._places[script]
        del column[count:]

    def place(self, script: bytes) -> tuple[int, int] | None:
        """Branch and index, ``None`` for a script that is not here."""
        found = self._places.get(script)
        return None if found is None else (found >> _SHIFT, found & _MASK)

    def count(self, branch: int) -> int:
        """How many scripts of ``branch`` are here."""
        return len(self._columns.get(branch, ()))

    def column(self, branch: int, start: int = 0, end: int | None = None) -> list[bytes]:
        """The scripts of ``branch`` from ``start`` on, up to ``end``."""
        return self._columns.get(branch, [])[start:end]

    def __contains__(self, script: object) -> bool:
        return script in self._places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return sum(len(column) for column in self._columns.values())
