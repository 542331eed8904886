"""The interpolated intent (ERC-7730): a sentence with shown values in it, or none at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.paths import TOP, Path
from bursar.ethereum.clear_signing.texts import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST: Final = 1_000
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]{1,1024})\}|[^{}]+")


def interpolated(template: str, texts: Mapping[str, Sequence[str | None]]) -> str | None:
    """``template`` with each ``{path}`` replaced by what its field shows, several values with "and" between.

    ``None``, so that the plain intent stands, where a path is none, has no field that is always shown or no value,
    where a brace is left over, and where the sentence becomes longer than 1 000 characters.
    """
    pieces = []
    place = 0
    for found in _PIECE.finditer(template):
        if found.start() != place:
            return None
        place = found.end()
        if found[0] in ("{{", "}}"):
            pieces.append(found[0][0])
        elif found[1] is None:
            pieces.append(plain(found[0]))
        else:
            values = _values(found[1], texts)
            if not values:
                return None
            pieces.append(" and ".join(values))
    sentence = "".join(pieces)
    return sentence if place == len(template) and len(sentence) <= _LONGEST else None


def _values(text: str, texts: Mapping[str, Sequence[str | None]]) -> list[str]:
    try:
        path = Path.from_text(text).below(TOP)
    except InvalidInputError:
        return []
    values = texts.get(str(path), ())
    shown = [one for one in values if one is not None]
    return shown if len(shown) == len(values) else []
