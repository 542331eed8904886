"""The Trezor One's screen, 128 x 64 pixels without any text in them: read with the fonts it is drawn with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bursar_devices.device import Page

if TYPE_CHECKING:
    from bursar_devices.emulators.elf_font import Font

WIDTH, HEIGHT = 128, 64
SIZE = WIDTH * HEIGHT // 8
_LINE = 8
_BUTTONS_FROM = HEIGHT - 9
_QUESTION_BELOW = HEIGHT - 21
_CORNER = 3
_BESIDE_ICON, _GAP = 20, 4
_MOST_LEADING = 2


class Picture:
    """One screen as debug link gives it: rows of eight pixels, from the last column of the lowest row backwards."""

    def __init__(self, layout: bytes) -> None:
        if len(layout) != SIZE:
            raise ValueError(f"a screen has {SIZE} bytes, not {len(layout)}")
        self._columns = [self._column(layout, x) for x in range(WIDTH)]

    @staticmethod
    def _column(layout: bytes, x: int) -> int:
        value = 0
        for row in range(HEIGHT // 8):
            eight = layout[SIZE - 1 - x - row * WIDTH]
            value |= int(f"{eight:08b}"[::-1], 2) << (8 * row)
        return value

    @property
    def has_buttons(self) -> bool:
        """Whether a choice stands at the bottom: bright boxes in a lower corner. Such a screen waits for a human."""
        return self._bright(0) or self._bright(WIDTH - _CORNER)

    def lines(self, fonts: Sequence[Font]) -> list[str]:
        """The lines of text from top to bottom, without the buttons; what is no text (icons, a QR code) is left out."""
        return self._between(0, self._bottom, fonts)

    def page(self, fonts: Sequence[Font]) -> Page:
        """The screen as a page: its title is the question under a line across it, or else the line on top."""
        rule = 1 << _QUESTION_BELOW
        if all(column & rule for column in self._columns):
            question = self._between(_QUESTION_BELOW, self._bottom, fonts)
            if len(question) == 1:
                return Page(question[0], tuple(self._between(0, _QUESTION_BELOW, fonts)))
        title, *rest = self.lines(fonts) or [""]
        return Page(title, tuple(rest))

    @property
    def _bottom(self) -> int:
        return _BUTTONS_FROM if self.has_buttons else HEIGHT

    def _between(self, top: int, bottom: int, fonts: Sequence[Font]) -> list[str]:
        shown = self._without_rules(top, bottom)
        found: list[str] = []
        y = top
        while y <= bottom - _LINE + 1:
            text = _line(shown, y, fonts)
            found += [] if text is None else [text]
            y += 1 if text is None else _LINE
        return found

    def _bright(self, x: int) -> bool:
        return all(self._columns[at] >> _BUTTONS_FROM & 1 for at in range(x, x + _CORNER))

    def _without_rules(self, top: int, bottom: int) -> list[int]:
        """The columns from a row down to another, without the lines that go across the whole screen."""
        rule = area = (1 << bottom) - (1 << top)
        for column in self._columns:
            rule &= column
        return [column & area & ~rule for column in self._columns]


def _line(columns: Sequence[int], y: int, fonts: Sequence[Font]) -> str | None:
    """The line of text whose highest pixels are in row ``y``, across the screen or beside an icon."""
    edges = (1 << (y + _LINE)) | (1 << y >> 1)
    window = bytes(column >> y & 0xFF for column in columns)
    for left in (0, _BESIDE_ICON):
        start = next((x for x in range(left, WIDTH) if window[x]), None)
        if start is None or any(window[max(0, left - _GAP) : left]) or any(c & edges for c in columns[left:]):
            continue
        for font in fonts:
            for leading in range(min(start, _MOST_LEADING) + 1):
                text = _read(window, start - leading, font, {})
                if text is not None and text.strip():
                    return text.strip() if "l" in font.glyphs.values() else _with_small_l(text.strip())
    return None


def _with_small_l(text: str) -> str:
    """Tell a small L from a capital i where a font draws both alike: by what stands beside it."""
    return re.sub(r"(?<=[a-z])I+|I(?=[aeiou])", lambda found: "l" * len(found[0]), text)


def _read(window: bytes, x: int, font: Font, known: dict[int, str | None]) -> str | None:
    """The text that is drawn exactly like ``window`` from column ``x`` on, or ``None``."""
    if not any(window[x:]):
        return ""
    if x in known:
        return known[x]
    known[x] = None
    for width in range(min(font.widest, len(window) - x), 0, -1):
        after = x + width
        glyph = font.glyphs.get(window[x:after])
        if glyph is None or window[after : after + 1] not in (b"\0", b""):
            continue
        rest = _read(window, after + 1, font, known)
        if rest is not None:
            known[x] = glyph + rest
            break
    else:
        seen = window[x:]  # what does not fit is cut off at the right edge, in the middle of a character
        if len(seen) < font.widest and any(columns.startswith(seen) for columns in font.glyphs):
            known[x] = ""
    return known[x]
