"""One JSON object from outside (RFC 8259): bounded, and read one way only."""

from __future__ import annotations

from typing import Any, Final

from bursar.errors import InvalidInputError
from bursar.json_text import read_strictly

MOST_BYTES: Final = 1_000_000
_MOST_NESTING: Final = 16
_MOST_DIGITS: Final = 78


def read_object(raw: bytes, *, name: str, code: str, most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in ``raw``, called ``name`` in errors, which have ``code``.

    Refused: more than ``most`` bytes, deep nesting, a doubled member, fractions, numbers longer than 256 bits.
    """

    def invalid(reason: str) -> InvalidInputError:
        return InvalidInputError(f"{name} {reason}", code=code)

    if len(raw) > most:
        raise invalid(f"has more than {most} bytes")
    try:
        found = read_strictly(raw, deepest=_MOST_NESTING, digits=_MOST_DIGITS)
    except ValueError as error:  # also UnicodeDecodeError
        raise invalid(f"is no JSON of this kind: {str(error)[:120]}") from error
    if not isinstance(found, dict):
        raise invalid("is no JSON object")
    return found
