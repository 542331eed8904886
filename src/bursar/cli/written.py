"""Secrets that a human writes down: shown once on a screen of their own and asked for, or written to a descriptor."""

from __future__ import annotations

import os
import secrets
import unicodedata
from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.terminal import Human
    from bursar.crypto.secret import Secret

_ASKED = 3
_ATTEMPTS = 3


def confirm(human: Human, heading: str, words: Sequence[str], *, noun: str = "word") -> None:
    """Show ``words`` under ``heading``, then ask for three of them, three times at most.

    ``UserCancelledError`` when they were not given: the caller has made nothing yet.
    """
    rows = (len(words) + 1) // 2
    lines = [
        f"{row + 1:>4}. {words[row]:<16}"
        + (f"{row + rows + 1:>4}. {words[row + rows]}" if row + rows < len(words) else "")
        for row in range(rows)
    ]
    page = f"{heading}\n\n" + "\n".join(lines)
    for attempt in range(_ATTEMPTS):
        again = f"That was not the {noun}; look once more.\n\n" if attempt else ""
        human.show_once(again + page, "Press Enter when they are written down")
        places = sorted(secrets.SystemRandom().sample(range(len(words)), _ASKED))
        if all(_plain(human.ask(f"{noun.capitalize()} {place + 1}")) == _plain(words[place]) for place in places):
            return
    raise UserCancelledError(f"the {noun}s were not confirmed: nothing was created")


def _plain(word: str) -> str:
    """A typed word as the lists write it (BIP-39: NFKD), whatever the keyboard made of accents and capitals."""
    return unicodedata.normalize("NFKD", word).strip().lower()


def write_lines(descriptor: int, lines: Sequence[Secret], *, what: str) -> None:
    """Write each secret as a line to an open file descriptor."""
    left = b"".join([line.expose() + b"\n" for line in lines])
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError as error:
        raise InvalidInputError(
            f"file descriptor {descriptor} does not take the {what}: {error.strerror}", code="input.fd"
        ) from error
