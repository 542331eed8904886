"""JSON texts (RFC 8259) from outside: bounded in depth and digits, and read one way only."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DIGITS: Final = 80  # more than 256 bits take

# a string, so that brackets inside it do not count, or one bracket; possessive, so that no text makes it slow
_NESTING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)


def nested_deeply(data: bytes, *, most: int) -> bool:
    """Whether the brackets of a JSON text nest deeper than ``most``.

    Ask before parsing: the libraries of the EVM raise the interpreter's recursion limit so far that the parser would
    not raise RecursionError, it would overflow the stack and end the process.
    """
    if data.count(b"[") + data.count(b"{") <= most:  # even if all of them were open at once
        return False
    depth = 0
    for match in _NESTING.finditer(data):
        first = data[match.start()]
        if first in b"[{":
            depth += 1
            if depth > most:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def read_strictly(
    data: bytes | str, *, deepest: int, digits: int = MOST_DIGITS, fraction: Callable[[str], Any] | None = None
) -> Any:
    """The value of one JSON text; ``ValueError`` says in words why it is none, for the caller to wrap.

    Refused are nesting deeper than ``deepest``, a member named twice, NaN and infinities, and numbers of more than
    ``digits`` characters. What is written with a point or an exponent goes to ``fraction``; without it, it is refused.
    Never a float: no amount is rounded on its way in.
    """
    raw = data if isinstance(data, bytes) else data.encode("utf-8")
    if nested_deeply(raw, most=deepest):
        raise ValueError(f"it is nested too deeply: at most {deepest} levels")

    def whole(text: str) -> int:
        _bound(text, digits)
        return int(text)

    def broken(text: str) -> Any:
        _bound(text, digits)
        if fraction is None:
            raise ValueError(f"{text[:40]} stands in the place of a whole number")
        return fraction(text)

    return json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=_members,
        parse_int=whole,
        parse_float=broken,
        parse_constant=_constant,
    )


def _bound(text: str, digits: int) -> None:
    if len(text) > digits:
        raise ValueError(f"a number of {len(text)} characters")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"the name {twice[:40]!a} stands twice in one object")
    return members


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
