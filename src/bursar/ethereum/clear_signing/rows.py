"""The rows of a rendering: fields and groups of a descriptor gone through, arrays one value after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.coverage import Shown
from bursar.ethereum.clear_signing.fields import Field, Group, Scalar, Visible
from bursar.ethereum.clear_signing.paths import Path, Slice
from bursar.ethereum.clear_signing.rendering import Rendering, Row
from bursar.ethereum.clear_signing.resolve import Found, constant
from bursar.ethereum.clear_signing.texts import data_error, label
from bursar.ethereum.clear_signing.words import Value, Words, address_of, exact_address, number_of, raw_text

MOST_ROWS: Final = 2_000  # of a rendering with the calls in it
MOST_STEPS: Final = 20_000

Embedded = Callable[[Value], Rendering | None]


@dataclass(slots=True)
class Budget:
    """How many rows one rendering may still have, and how many steps may be made for them."""

    rows: int = MOST_ROWS
    steps: int = MOST_STEPS

    def row(self) -> None:
        """One more row: ``input.clear-signing.data`` where that is one too many."""
        self.rows -= 1
        if self.rows < 0:
            raise data_error(f"more than {MOST_ROWS} rows")

    def step(self) -> None:
        """One more field or group gone into, shown or not."""
        self.steps -= 1
        if self.steps < 0:
            raise data_error(f"more than {MOST_STEPS} fields to go through")


@dataclass(frozen=True, slots=True)
class Rows:
    """Builds rows with ``words``; ``embedded`` renders a call within, ``None`` where nothing describes it.

    ``texts`` are the shown values by the path of their field, for the interpolated intent; ``None`` stands for one
    that may not stand in it.
    """

    words: Words
    embedded: Embedded
    budget: Budget
    shown: Shown = field(default_factory=Shown)
    texts: dict[str, list[str | None]] = field(default_factory=lambda: defaultdict(list))

    def of(self, fields: tuple[Field | Group, ...], base: Path, template: Path) -> Iterator[Row]:
        """The rows of fields in the group at ``base``; ``template`` is the same with its slices as written."""
        for one in fields:
            self.budget.step()
            yield from self._group(one, base, template) if isinstance(one, Group) else self._field(one, base, template)

    def _group(self, group: Group, base: Path, template: Path) -> Iterator[Row]:
        path = base if group.path is None else group.path.below(base)
        written = template if group.path is None else group.path.below(template)
        if group.label:
            self.budget.row()
            yield Row(label(group.label), "")
        sliced = any(isinstance(step, Slice) for step in path.steps)
        if sliced and group.bundled is not False:
            for each in self.words.scope.groups(path):
                yield from self.of(group.fields, each, written)
        elif group.bundled:
            shown = [one for one in group.fields if isinstance(one, Group) or one.visible is not Visible.NEVER]
            yield from _bundled([list(self.of((one,), path, written)) for one in shown], written)
        else:
            yield from self.of(group.fields, path, written)

    def _field(self, one: Field, base: Path, template: Path) -> Iterator[Row]:
        if one.visible is Visible.NEVER:
            return
        path = None if one.path is None else one.path.below(base)
        key = "" if one.path is None else str(one.path.below(template))
        if path is not None:
            values = self.words.scope.values(path)
        elif isinstance(one.value, Path):
            values = self.words.scope.values(one.value)
        else:
            values = [constant(one.value)]
        for index, found in enumerate(values):
            if not self._is_visible(one, found):
                self.texts[key].append(None)
                continue
            if one.encrypted is None and one.format in ("addressName", "tokenTicker"):
                found = self.words.address_part(found, one.label)
            it = Value(one, found, base, index, len(values))
            if one.separator is not None:
                self.budget.row()
                yield Row(label(one.separator.replace("{index}", str(index))), "")
            self.budget.row()
            value = self._value(it)
            self.shown.add(found)
            for used in it.used:
                self.shown.add(used)
            self.texts[key].append(value if isinstance(value, str) and one.visible is Visible.ALWAYS else None)
            yield Row(label(one.label), value, found.place, exact_address(it, value))

    def _value(self, it: Value) -> str | Rendering:
        if it.field.format == "calldata" and it.field.encrypted is None:
            rendered = self.embedded(it)
            if rendered is not None:
                return rendered
        return self.words.text(it)

    def _is_visible(self, one: Field, found: Found) -> bool:
        if one.visible not in (Visible.IF_NOT_IN, Visible.MUST_MATCH):
            return True
        among = any(_equal(found, wanted) for wanted in one.listed)
        if one.visible is Visible.IF_NOT_IN:
            return not among
        if not among:
            raise data_error(f"{one.path}: {raw_text(found)[:60]} is none of the values that the descriptor demands")
        self.shown.add(found)
        return False


def _bundled(columns: list[list[Row]], path: Path) -> Iterator[Row]:
    """The first values of all arrays, then the second; what is no array goes first."""
    longest = max((len(column) for column in columns), default=0)
    alone = [len(column) == 1 and not column[0].path.endswith("]") for column in columns]
    if any(len(column) != longest and not single for column, single in zip(columns, alone, strict=True)):
        raise data_error(f"{path}: arrays of different lengths are bundled")
    for place in range(longest):
        yield from (column[place] for column in columns if place < len(column))


def _equal(found: Found, wanted: Scalar) -> bool:
    if wanted is None or isinstance(wanted, bool) or isinstance(found.value, bool):
        text = raw_text(found) if not isinstance(found.value, dict) else ""
        return text == str(wanted).lower()
    if isinstance(found.value, str):
        return found.value == str(wanted)
    given = constant(wanted)
    for read in (number_of, address_of):
        try:
            return bool(read(found) == read(given))
        except InvalidInputError:
            continue
    return raw_text(found).lower() == str(wanted).lower()
