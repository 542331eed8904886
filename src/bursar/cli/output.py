"""Where answers go: words and tables for people, one JSON document for programs, progress on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

_WIDE = 150


class Output:
    """With ``json`` the only thing on standard output is one JSON document: the answer or the error."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self._live: Console | None = None
        self._status: Status | None = None

    def answer(self, document: Mapping[str, object], words: Callable[[], None]) -> None:
        """Print ``document`` as JSON, or let ``words`` print the same for a person."""
        if self.json:
            click.echo(json.dumps(document, indent=2))
        else:
            words()

    def say(self, text: str = "") -> None:
        """A line for a person on standard output; nothing when standard output belongs to JSON."""
        if not self.json:
            click.echo(text)

    def identifier(self, text: str, *, beginning: int = 12) -> str:
        """A long identifier; on a narrow terminal its beginning, by which commands find it too."""
        if len(text) <= beginning or not sys.stdout.isatty() or get_terminal_size().columns >= _WIDE:
            return text
        return f"{text[:beginning]}…"

    def aside(self, text: str) -> None:
        """A line for a person on standard error, JSON or not; above the progress where some is shown."""
        if self._live is not None:
            self._live.print(text, markup=False, soft_wrap=True)
        else:
            click.echo(text, err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[str] = ()) -> None:
        """A drawn table on a terminal, tab-separated lines elsewhere; ``numbers`` names the right-aligned columns."""
        if not sys.stdout.isatty():
            for row in (columns, *rows):
                click.echo("\t".join(row))
            return
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(
                column, justify="right" if column in numbers else "left", overflow="fold", min_width=len(column)
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)

    @contextmanager
    def progress(self, text: str) -> Generator[Callable[[str], None], None, None]:
        """Show that something long is under way, on standard error and only on a terminal; yields a way to say more."""
        if not sys.stderr.isatty():
            yield lambda _text: None
            return
        from rich.console import Console
        from rich.markup import escape

        self._live = Console(stderr=True, highlight=False)
        try:
            with self._live.status(escape(text)) as shown:
                self._status = shown
                yield lambda more: shown.update(escape(f"{text}: {more}"))
        finally:
            self._live = self._status = None

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """Show nothing that moves, so that a question is not written over."""
        status = self._status
        if status is not None:
            status.stop()
        try:
            yield
        finally:
            if status is not None:
                status.start()


def error_document(code: str, message: str, *, retryable: bool = False, **details: object) -> dict[str, object]:
    """The shape of every failure: ``{"error": {"code", "message", "retryable", "details"?}}``."""
    error: dict[str, object] = {"code": code, "message": message, "retryable": retryable}
    if details:
        error["details"] = details
    return {"error": error}
