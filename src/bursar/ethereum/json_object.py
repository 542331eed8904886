"""One JSON object from outside (RFC 8259): bounded, and read one way only."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from bursar.errors import InvalidInputError
from bursar.json_text import nested_deeply

MOST_BYTES: Final = 1_000_000
_MOST_NESTING: Final = 16
_MOST_DIGITS: Final = 78


def read_object(raw: bytes, *, name: str, code: str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in ``raw``, called ``name`` in errors, which have ``code``.

    Refused: more than ``most`` bytes, deep nesting, a doubled member, fractions, numbers longer than 256 bits.
    """

    def invalid(reason: str) -> InvalidInputError:
        return InvalidInputError(f"{name} {reason}", code=code)

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise invalid("names a member twice")
        return found

    def integer(digits: str) -> int:
        if len(digits) > _MOST_DIGITS:
            raise invalid("has a number that is longer than 256 bits")
        return int(digits)

    def fraction(text: str) -> NoReturn:
        raise invalid(f"has {text[:20]!r} in the place of an integer")

    if len(raw) > most:
        raise invalid(f"has more than {most} bytes")
    if nested_deeply(raw, most=_MOST_NESTING):
        raise invalid(f"is nested deeper than {_MOST_NESTING}")
    try:
        found = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=members,
            parse_int=integer,
            parse_float=fraction,
            parse_constant=fraction,
        )
    except InvalidInputError:
        raise
    except ValueError as error:  # also UnicodeDecodeError
        raise invalid(f"is no JSON: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise invalid("is no JSON object")
    return found
