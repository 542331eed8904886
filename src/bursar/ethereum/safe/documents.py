"""JSON texts about a Safe's transactions from outside (RFC 8259): bounded, and read one way only."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from bursar.ethereum.safe.words import safe_error
from bursar.nesting import nested_deeply

MOST_BYTES: Final = 1_000_000
_MOST_NESTING: Final = 16
_MOST_DIGITS: Final = 78


def read_document(raw: bytes, *, name: str) -> dict[str, Any]:
    """The one object in ``raw``; refused: more than 1 MB, deep nesting, a doubled member, fractions, huge numbers."""
    if len(raw) > MOST_BYTES:
        raise safe_error(f"{name} has more than {MOST_BYTES} bytes")
    if nested_deeply(raw, most=_MOST_NESTING):
        raise safe_error(f"{name} is nested deeper than {_MOST_NESTING}")
    try:
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_fraction,
        )
    except ValueError as error:  # also UnicodeDecodeError, and ours
        raise safe_error(f"{name} cannot be read: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise safe_error(f"{name} is no JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise safe_error("it names a member twice")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise safe_error("it has a number that is longer than 256 bits")
    return int(digits)


def _fraction(text: str) -> NoReturn:
    raise safe_error(f"{text[:20]} is no integer")
