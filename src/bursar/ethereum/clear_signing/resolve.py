"""Paths followed into data: the values they lead to, and which bytes of them they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bursar.ethereum.abi.types import Kind
from bursar.ethereum.address import Address
from bursar.ethereum.clear_signing.paths import Path, Root, Slice, Step
from bursar.ethereum.clear_signing.shapes import ADDRESS, BYTES, STRING, UINT, Shape
from bursar.ethereum.clear_signing.texts import data_error

MOST_VALUES: Final = 2_000  # of one path
MOST_RESOLVED: Final = 20_000  # of all paths of a rendering


@dataclass(frozen=True, slots=True)
class Found:
    """A value where it was found, ``details.[0].amount``; ``taken`` is the part of its bytes that is meant, or all."""

    place: str
    shape: Shape
    value: Any
    taken: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What paths can lead to: the data, the values of the transaction around it, the descriptor."""

    data: Found
    container: Mapping[str, Found]
    tree: Mapping[str, Any]
    _resolved: dict[Path, list[Found]] = field(default_factory=dict, repr=False, compare=False)

    def values(self, path: Path) -> list[Found]:
        """All values at ``path``, an array's one by one; a path that leads nowhere is ``input.clear-signing.data``."""
        found = self._resolved.get(path)
        if found is None:
            found = self._values(path)
            self._resolved[path] = found
            if sum(map(len, self._resolved.values())) > MOST_RESOLVED:
                raise data_error(f"more than {MOST_RESOLVED} values are asked for")
        return found

    def _values(self, path: Path) -> list[Found]:
        if path.root is Root.DESCRIPTOR:
            return [constant(self.at(path))]
        if path.root is Root.CONTAINER:
            start, steps = self.container.get(str(path.steps[0])), path.steps[1:]
            if start is None:
                raise data_error(f"{path}: not known of this transaction or message")
        else:
            start, steps = self.data, path.steps
        found = []
        for one in self._walk(start, steps, path):
            found.append(one)
            if len(found) > MOST_VALUES:
                raise data_error(f"{path}: more than {MOST_VALUES} values")
        return found

    def at(self, path: Path) -> Any:
        """What the descriptor has at a path that begins with ``$``: a constant, or an object."""
        found: Any = self.tree
        for step in path.steps:
            if not isinstance(found, Mapping) or step not in found:
                raise data_error(f"{path}: the descriptor has nothing there")
            found = found[step]
        return found

    def groups(self, path: Path) -> list[Path]:
        """``path`` with each of its slices turned into places: one path for each item they take."""
        paths = [Path(path.root, ())]
        for step in path.steps:
            if not isinstance(step, Slice):
                paths = [Path(one.root, (*one.steps, step)) for one in paths]
                continue
            paths = [Path(one.root, (*one.steps, at)) for one in paths for at in self._places(one, step)]
            if len(paths) > MOST_VALUES:
                raise data_error(f"{path}: more than {MOST_VALUES} values")
        return paths

    def _places(self, path: Path, step: Slice) -> range:
        array = self.data
        for one in path.steps:
            array = _step(array, one, path)
        if not array.shape.levels:
            raise data_error(f"{path}: no array, a group goes through the items of one")
        return range(*_bounds(step, len(array.value), path))

    def _walk(self, found: Found, steps: tuple[Step, ...], path: Path) -> Iterator[Found]:
        if not steps:
            yield from _items(found)
            return
        step, rest = steps[0], steps[1:]
        if isinstance(step, Slice) and found.shape.levels:
            for place in range(*_bounds(step, len(found.value), path)):
                yield from self._walk(_item(found, place), rest, path)
        elif isinstance(step, Slice):
            if rest:
                raise data_error(f"{path}: nothing is inside of bytes")
            yield _bytes_of(found, step, path)
        else:
            yield from self._walk(_step(found, step, path), rest, path)


def constant(value: object) -> Found:
    """A constant of a descriptor as a value of its own."""
    match value:
        case bool():
            return Found("", Shape(Kind.BOOL, 1), value)
        case int():
            return Found("", UINT, value)
        case str():
            return Found("", STRING, value)
        case Address():
            return Found("", ADDRESS, value)
    raise data_error("a constant is a text, a number or true and false")


def leaves(found: Found) -> Iterator[Found]:
    """Every single value below ``found``, those of structs and arrays one by one; an empty array is one too."""
    if found.shape.levels and found.value:
        for place in range(len(found.value)):
            yield from leaves(_item(found, place))
    elif found.shape.kind is Kind.TUPLE and not found.shape.levels:
        for name, _ in found.shape.parts:
            yield from leaves(_part(found, name))
    else:
        yield found


def byte_text(found: Found) -> bytes | None:
    """The bytes of a value that slices take parts of: byte strings, texts, numbers and addresses, big end first."""
    match found.value:
        case bytes():
            return found.value
        case str():
            return found.value.encode("utf-8")
        case Address():
            return found.value.value
        case bool():
            return None
        case int():
            return (found.value % (1 << 8 * found.shape.size)).to_bytes(found.shape.size, "big")
    return None


def _items(found: Found) -> Iterator[Found]:
    if not found.shape.levels:
        yield found
        return
    for place in range(len(found.value)):
        yield from _items(_item(found, place))


def _item(found: Found, place: int) -> Found:
    return Found(f"{found.place}.[{place}]", found.shape.item, found.value[place])


def _part(found: Found, name: str) -> Found:
    shape = next(shape for one, shape in found.shape.parts if one == name)
    return Found(f"{found.place}.{name}" if found.place else name, shape, found.value[name])


def _step(found: Found, step: Step, path: Path) -> Found:
    if isinstance(step, str):
        if found.shape.levels or found.shape.kind is not Kind.TUPLE or step not in found.value:
            raise data_error(f"{path}: there is no {step!r:.60}")
        return _part(found, step)
    if isinstance(step, Slice) or not found.shape.levels:
        raise data_error(f"{path}: an item is taken of what is no array")
    place = step + len(found.value) if step < 0 else step
    if not 0 <= place < len(found.value):
        raise data_error(f"{path}: the array has {len(found.value)} items")
    return _item(found, place)


def _bounds(step: Slice, size: int, path: Path) -> tuple[int, int]:
    start, end = (None if one is None else one + size if one < 0 else one for one in (step.start, step.end))
    bounds = 0 if start is None else start, size if end is None else end
    if not 0 <= bounds[0] <= bounds[1] <= size:
        raise data_error(f"{path}: the slice is longer than the {size} that are there")
    return bounds


def _bytes_of(found: Found, step: Slice, path: Path) -> Found:
    whole = byte_text(found)
    if whole is None:
        raise data_error(f"{path}: a slice is of bytes or of an array")
    start, end = _bounds(step, len(whole), path)
    return Found(found.place, BYTES, whole[start:end], (start, end))
