"""Reviews as the vendor's screen library lays them out: a title, pairs of item and value, and the last page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from bursar_devices.device import Page
from bursar_devices.ledger.font import fold
from bursar_devices.ledger.task import Review

if TYPE_CHECKING:
    from collections.abc import Iterable

Pair: TypeAlias = tuple[str, str]
_NANO_LINES: Final = 3
_FLEX_LINE: Final = 28


def pair_pages(pair: Pair, model: str) -> list[Page]:
    """One item and its value: on a Nano as many pages as it takes, numbered in the title."""
    item, value = pair
    if model != "nanosp":
        return [Page(item, tuple(value[at : at + _FLEX_LINE] for at in range(0, len(value), _FLEX_LINE)))]
    lines = fold(value)
    groups = [tuple(lines[at : at + _NANO_LINES]) for at in range(0, len(lines), _NANO_LINES)]
    if len(groups) <= 1:
        return [Page(item, *groups)]
    return [Page(f"{item} ({at}/{len(groups)})", group) for at, group in enumerate(groups, 1)]


def review(title: str, pairs: Iterable[Pair], *, accept: str, reject: str, model: str) -> Review:
    """The title, each pair on a page of its own (more when it is long), and the page that accepts."""
    pages = [Page(title)]
    for pair in pairs:
        pages += pair_pages(pair, model)
    pages.append(Page(accept))
    return Review(tuple(pages), reject)
