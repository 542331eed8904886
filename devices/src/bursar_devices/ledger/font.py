"""How a Nano's screen breaks text: its font's advances, three lines of 114 pixels below a title."""

from __future__ import annotations

from typing import Final

_ADVANCES: Final = "33476992336634346666866666336665a777866883376a897976787a766444656675765673363a77774547696654646"
"""Pixels from each printable ASCII character to the next, in hexadecimal."""
_LINE: Final = 114
_BREAKS: Final = frozenset(" -_")


def fold(text: str) -> list[str]:
    """The lines of a text, broken behind a space, hyphen or underscore if there is one, which stays on its line."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _fold_paragraph(paragraph)
    return lines


def _fold_paragraph(text: str) -> list[str]:
    lines: list[str] = []
    start, width, chance = 0, 0, 0
    at = 0
    while at < len(text):
        if text[at] in _BREAKS and at > start:
            chance = at + 1
        advance = int(_ADVANCES[ord(text[at]) - 0x20], 16) if " " <= text[at] <= "~" else 0
        if width + advance > _LINE:
            at = chance if chance > start else at
            lines.append(text[start:at])
            start, width = at, 0
            continue
        width += advance
        at += 1
    if start < len(text):
        lines.append(text[start:])
    return lines
