"""The human at the terminal: questions go to the terminal itself, so that pipes stay clean."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Protocol

from bursar.errors import InvalidInputError

_TERMINAL = "/dev/tty"
_ALTERNATE_SCREEN = "\x1b[?1049h\x1b[H"
_MAIN_SCREEN = "\x1b[?1049l"


class Human(Protocol):
    """Whoever answers; tests put another one in."""

    def ask_hidden(self, question: str) -> str: ...

    def ask(self, question: str) -> str: ...

    def show_once(self, text: str, question: str) -> str: ...

    def tell(self, text: str) -> None: ...


class Terminal:
    """The controlling terminal; without one every method raises ``InvalidInputError`` (``input.no-terminal``)."""

    def ask_hidden(self, question: str) -> str:
        """One line, not echoed."""
        _require_terminal(question)
        return _answered(lambda: getpass.getpass(f"{question}: "))

    def ask(self, question: str) -> str:
        """One line, echoed."""
        _require_terminal(question)
        with open(_TERMINAL, "r+b", buffering=0) as terminal:  # noqa: PTH123 (not a file)
            terminal.write(f"{question}: ".encode())
            raw = terminal.readline()
            if not raw.endswith(b"\n"):
                terminal.write(b"\n")  # the cursor stands behind the question
            return _answered(lambda: _line(raw))

    def show_once(self, text: str, question: str) -> str:
        """Show ``text`` on a screen of its own, gone from the scroll-back too once ``question`` is answered."""
        _require_terminal(question)
        with open(_TERMINAL, "wb", buffering=0) as terminal:  # noqa: PTH123 (not a file)
            terminal.write(f"{_ALTERNATE_SCREEN}{text}\n\n".encode())
            try:
                return self.ask(question)
            finally:
                terminal.write(_MAIN_SCREEN.encode())

    def tell(self, text: str) -> None:
        """A line on the terminal."""
        _require_terminal("confirmation")
        with open(_TERMINAL, "wb", buffering=0) as terminal:  # noqa: PTH123 (not a file)
            terminal.write(f"{text}\n".encode())


def has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _require_terminal(question: str) -> None:
    if not has_terminal():
        raise InvalidInputError(
            f"no terminal to ask on ({question.rstrip('?').lower()}): give it by an option, see --help",
            code="input.no-terminal",
        )


def _line(raw: bytes) -> str:
    if not raw:
        raise EOFError
    return raw.decode(errors="replace").rstrip("\r\n")


def _answered(read: Callable[[], str]) -> str:
    try:
        return read()
    except EOFError as error:
        raise InvalidInputError("the terminal was closed before an answer", code="input.no-terminal") from error
