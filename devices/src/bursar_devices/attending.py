"""A human in front of a device for the length of a ``with``, whether the device calls it or its screen is watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bursar_devices.device import Attended, Device, Human, Kind, Page, Press
from bursar_devices.humans import finish, press_for

LOOK_EVERY = 0.02
REDRAWN_WITHIN = 1.0


@contextmanager
def attended(device: Device, human: Human) -> Iterator[list[Page]]:
    """Let ``human`` do what the device asks, and give the list of the pages shown meanwhile.

    At the end the human is closed; one that did not see what it must raises ``NotShownError``, unless the body of the
    ``with`` raised already. In front of hardware stands a person, who is told what to do and sees what we do not.
    """
    if device.kind is Kind.HARDWARE:
        print(f"at the {device.model}, please: {getattr(human, '__name__', 'what the test says').replace('_', ' ')}")  # noqa: T201
        yield []
        return
    watching = _calling(device, human) if isinstance(device, Attended) else _watched(device, human)
    with watching as pages:
        try:
            yield pages
        except BaseException:
            _dismiss(human)
            raise
    finish(human)


@contextmanager
def _calling(device: Attended, human: Human) -> Iterator[list[Page]]:
    before, shown = device.human, list[Page]()
    device.human = noting(human, shown)
    try:
        yield shown
    finally:
        device.human = before


def noting(human: Human, shown: list[Page]) -> Human:
    """``human``, with every page it is sent put into ``shown``."""
    page = yield Press.REFUSE  # the first yield only receives the first page
    while True:
        shown.append(page)
        page = yield press_for(human, page)


@contextmanager
def _watched(device: Device, human: Human) -> Iterator[list[Page]]:
    shown: list[Page] = []
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(device, human, shown, over), name="human", daemon=True)
    watcher.start()
    try:
        yield shown
    finally:
        over.set()
        watcher.join(REDRAWN_WITHIN + 5)


def _watch(device: Device, human: Human, shown: list[Page], over: threading.Event) -> None:
    while not over.wait(LOOK_EVERY):
        page = device.page()
        if page is None:
            continue
        shown.append(page)
        device.press(press_for(human, page))
        end = time.monotonic() + REDRAWN_WITHIN
        while device.page() == page and time.monotonic() < end and not over.is_set():
            time.sleep(LOOK_EVERY)


def _dismiss(human: Human) -> None:
    try:
        human.close()
    except AssertionError:
        return  # what the body raised says more
