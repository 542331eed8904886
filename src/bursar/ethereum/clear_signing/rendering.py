"""What a human reads of a call or a message: rows of label and value, and all that no row shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.ethereum.address import Address
    from bursar.ethereum.review import Caution


@dataclass(frozen=True, slots=True)
class Row:
    """A label and its value; the value of embedded calldata is a rendering. ``path`` is where it was found.

    ``exact`` is the address where a name or a symbol stands for it.
    """

    label: str
    value: str | Rendering
    path: str = ""
    exact: str = ""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A call or message in the words of the descriptor ``source``; every text in it is safe to print.

    ``sentence`` is the interpolated intent, ``None`` where there is none or one of its values is not shown.
    ``not_shown`` has the path and the plain value of everything that no row shows.
    """

    intent: str
    sentence: str | None
    owner: str | None
    contract_name: str | None
    contract: Address | None
    rows: tuple[Row, ...]
    not_shown: tuple[Row, ...] = ()
    cautions: tuple[Caution, ...] = ()
    source: str = field(default="", compare=False)

    def lines(self, *, indent: str = "") -> Iterator[str]:
        """This rendering as lines of text, embedded calls two spaces further in."""
        yield f"{indent}{self.sentence or self.intent}"
        if self.owner or self.contract_name:
            yield f"{indent}  by: {', '.join(dict.fromkeys(one for one in (self.owner, self.contract_name) if one))}"
        if self.contract is not None:
            yield f"{indent}  at: {self.contract}"
        for row in self.rows:
            if isinstance(row.value, str):
                yield f"{indent}  {row.label}: {row.value}{f' ({row.exact})' if row.exact else ''}"
            else:
                yield f"{indent}  {row.label}:"
                yield from row.value.lines(indent=indent + "    ")
        for row in self.not_shown:
            yield f"{indent}  not shown: {row.label} {row.value}"
        for caution in self.cautions:
            yield f"{indent}  caution: {caution.text}"
