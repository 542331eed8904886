"""How deep a JSON text (RFC 8259) nests: asked before it is parsed."""

from __future__ import annotations

import re
from typing import Final

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
