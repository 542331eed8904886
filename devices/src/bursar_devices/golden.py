"""Golden screens: the pages a device showed, held to a text file that a person has read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar_devices.device import Page


class GoldenError(AssertionError):
    """The pages are not those of the file; the message is the difference."""


def text_of(pages: Iterable[Page]) -> str:
    """The pages as they stand in a golden file: a line ``== title`` each, then the lines of the screen."""
    return "\n".join("\n".join((f"== {page.title}", *page.lines, "")) for page in pages)


def compare(path: Path, pages: Iterable[Page], *, update: bool = False) -> None:
    """Raise ``GoldenError`` unless the pages are those in ``path``; with ``update`` write them there instead."""
    text = text_of(pages)
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    if not path.is_file():
        raise GoldenError(f"{path} does not exist: run once with --update-golden, then read it. Shown:\n{text}")
    golden = path.read_text(encoding="utf-8")
    if golden != text:
        lines = difflib.unified_diff(golden.splitlines(), text.splitlines(), str(path), "shown", lineterm="", n=2)
        raise GoldenError("the screens differ (--update-golden accepts them):\n" + "\n".join(lines))
