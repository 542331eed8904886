"""A device made of paper, as a third party would add its own: it shows pages and believes whoever presses."""

from __future__ import annotations

import time
from typing import Self

from bursar_devices.device import Human, Kind, Lie, Page, Press
from bursar_devices.humans import press_for


class PaperDevice:
    """A simulator without a wire: ``show`` asks the human in front of it about each page."""

    family, kind, firmware, location = "paper", Kind.SIMULATOR, "1", "desk:1"

    def __init__(self, *, model: str = "A4", ink: str = "black") -> None:
        self.model, self.ink = model, ink
        self.human: Human | None = None
        self.lies: set[Lie] = set()
        self.pages: list[Page] = []
        self.open = False

    def __enter__(self) -> Self:
        self.open = True
        return self

    def close(self) -> None:
        self.open = False

    def page(self) -> Page | None:
        return None

    def press(self, press: Press) -> None:
        raise AssertionError(press)

    def show(self, *pages: Page) -> bool:
        """Whether every page was accepted."""
        for page in pages:
            self.pages.append(page)
            assert self.human is not None
            if press_for(self.human, page) is Press.REFUSE:
                return False
        return True


class WatchedDevice(PaperDevice):
    """The same with nobody inside: a page waits until somebody outside presses."""

    kind = Kind.EMULATOR

    def __init__(self) -> None:
        super().__init__()
        del self.human, self.lies  # so that it is no Simulator
        self._page: Page | None = None
        self._pressed: Press | None = None

    def page(self) -> Page | None:
        return self._page

    def press(self, press: Press) -> None:
        self._pressed = press

    def show(self, *pages: Page) -> bool:
        for page in pages:
            self._page, self._pressed = page, None
            end = time.monotonic() + 5
            while self._pressed is None and time.monotonic() < end:
                time.sleep(0.005)
            self._page = None
            if self._pressed is not Press.ACCEPT:
                return False
        return True
