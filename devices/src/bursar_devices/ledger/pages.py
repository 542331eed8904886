"""Reviews as the vendor's screen library lays them out: a title, pairs of item and value, and the last page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from bursar_devices.device import Page
from bursar_devices.ledger.task import Review

Pair: TypeAlias = tuple[str, str]
_NANO_LINE: Final = 17
_NANO_LINES: Final = 3


def _lines(value: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in value.split("\n"):
        lines += [paragraph[at : at + width] for at in range(0, len(paragraph), width)] or [""]
    return lines


def _pair_pages(pair: Pair, model: str) -> list[Page]:
    item, value = pair
    if model != "nanosp":
        return [Page(item, tuple(_lines(value, 28)))]
    lines = _lines(value, _NANO_LINE)
    groups = [tuple(lines[at : at + _NANO_LINES]) for at in range(0, len(lines), _NANO_LINES)]
    if len(groups) == 1:
        return [Page(item, groups[0])]
    return [Page(f"{item} ({at}/{len(groups)})", group) for at, group in enumerate(groups, 1)]


def review(title: str, pairs: Iterable[Pair], *, accept: str, reject: str, model: str) -> Review:
    """The title, each pair on a page of its own (more when it is long), and the page that accepts."""
    pages = [Page(title)]
    for pair in pairs:
        pages += _pair_pages(pair, model)
    pages.append(Page(accept))
    return Review(tuple(pages), reject)
