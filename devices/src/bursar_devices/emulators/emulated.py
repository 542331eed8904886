"""What both kinds of emulator share: started on entering, a human who watches the screen, the pages shown so far."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from bursar_devices.device import Human, Kind, Page, Press, selector_of
from bursar_devices.emulators.program import EmulatorError
from bursar_devices.humans import press_for

LOOK_EVERY = 0.03


class Emulated(ABC):
    """A device whose firmware runs as a program of its own, from entering its context until leaving it.

    ``human`` may be set and changed while it runs; with ``None`` whoever holds the device calls ``press``. ``failure``
    is what ended the human, if anything did: it is raised on leaving the context.
    """

    family: str
    kind = Kind.EMULATOR

    def __init__(self, model: str, human: Human | None) -> None:
        self.model = model
        self.human = human
        self._pages: list[Page] = []
        self.failure: EmulatorError | None = None
        self._stack = ExitStack()
        self._screen = threading.RLock()
        self._over = threading.Event()
        self._seen: Page | None = None

    @property
    @abstractmethod
    def firmware(self) -> str:
        """Its version, known once it runs."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the host finds it, known once it runs."""

    @property
    def pages(self) -> list[Page]:
        """What it has shown so far, as far as somebody looked; the list itself, which may be cleared."""
        return self._pages

    @property
    def selector(self) -> str:
        """How a host names it."""
        return selector_of(self)

    def __enter__(self) -> Self:
        try:
            self._start(self._stack)
            hand = threading.Thread(target=self._press_for_human, name=f"{self.family}-human", daemon=True)
            hand.start()
            self._stack.callback(hand.join, 10)
            self._stack.callback(self._over.set)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.failure is not None and error is None:
            raise self.failure

    def close(self) -> None:
        """Stop the program and forget what the device knew; idempotent."""
        self._over.set()
        self._stack.close()

    def page(self) -> Page | None:
        """The page that waits for a button, once it is drawn whole; ``None`` while nothing is asked."""
        with self._screen:
            page = self._read_page()
            if page is not None and page != self._seen:
                self._pages.append(page)
            self._seen = page
            return page

    def press(self, press: Press) -> None:
        """Do that on the page shown, and wait until the device has drawn what comes next."""
        with self._screen:
            self._do_press(press)
            self._seen = None

    @abstractmethod
    def _start(self, stack: ExitStack) -> None: ...

    @abstractmethod
    def _read_page(self) -> Page | None: ...

    @abstractmethod
    def _do_press(self, press: Press) -> None: ...

    def _press_for_human(self) -> None:
        try:
            while not self._over.wait(LOOK_EVERY):
                human = self.human
                page = self.page() if human is not None else None
                if human is not None and page is not None:
                    self.press(press_for(human, page))
        except EmulatorError as error:
            if not self._over.is_set():
                self.failure = error
