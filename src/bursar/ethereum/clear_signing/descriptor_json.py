"""Descriptor files (ERC-7730) as JSON: read strictly and bounded, included files merged from the texts at hand."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.clear_signing.texts import descriptor_error
from bursar.json_text import read_strictly

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 1_000_000
_MOST_NESTING: Final = 32
_MOST_INCLUDES: Final = 4
_MOST_DIGITS: Final = 80


def read_json(text: str) -> dict[str, Any]:
    """The object of one descriptor file; ``input.clear-signing`` for a member written twice, a size, a depth."""
    if not isinstance(text, str) or len(text) > MOST_BYTES:
        raise descriptor_error(f"a text of at most {MOST_BYTES} characters")
    try:
        found = read_strictly(text, deepest=_MOST_NESTING, digits=_MOST_DIGITS, fraction=str)
    except ValueError as error:
        raise descriptor_error(f"no JSON, {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise descriptor_error("a JSON object")
    return found


def with_includes(name: str, parsed: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The file ``name`` with what it includes; ``includes`` is a name relative to its own, among ``parsed``."""
    chain = []
    for _ in range(_MOST_INCLUDES + 1):
        found = parsed.get(name)
        if found is None:
            raise descriptor_error(f"includes: {name[:120]!r} is not among the files given")
        chain.append(found)
        further = found.get("includes")
        if further is None:
            break
        if not isinstance(further, str):
            raise descriptor_error("includes: a text")
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), further))
    else:
        raise descriptor_error(f"includes: more than {_MOST_INCLUDES} one in another")
    merged: dict[str, Any] = {}
    for one in reversed(chain):
        merged = _merged(merged, one)
    return merged


def _merged(included: dict[str, Any], including: dict[str, Any]) -> dict[str, Any]:
    merged = dict(included)
    for key, value in including.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _merged(old, value)
        elif key == "fields" and isinstance(old, list) and isinstance(value, list):
            merged[key] = _merged_fields(old, value)
        else:
            merged[key] = value
    return merged


def _merged_fields(included: list[Any], including: list[Any]) -> list[Any]:
    """Fields of one path become one, the including file's members first; the others are appended."""
    fields = list(included)
    places = {
        one["path"]: place
        for place, one in reversed(list(enumerate(fields)))
        if isinstance(one, dict) and isinstance(one.get("path"), str)
    }
    for one in including:
        place = places.get(one.get("path")) if isinstance(one, dict) and isinstance(one.get("path"), str) else None
        if place is None:
            fields.append(one)
        else:
            fields[place] = _merged(fields[place], one)
    return fields
