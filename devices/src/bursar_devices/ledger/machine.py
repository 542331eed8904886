"""The device's processor: one request at a time, one screen, and the app that runs; does no input or output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar_devices.device import Page, Press
from bursar_devices.ledger.apdu import Apdu, RefusalError, Status
from bursar_devices.ledger.task import AppDiedError, Farewell, Harm, Interrupt, Review, Step, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar_devices.ledger.bolos import System

CONTINUE = (0xF8, 0x01)
PATIENCE = 5.0
"""Seconds an app waits for the host's CONTINUE before it starts afresh."""


def _answer(status: int, data: bytes = b"") -> bytes:
    return data + status.to_bytes(2, "big")


def _parse(raw: bytes) -> Apdu | None:
    try:
        return Apdu.parse(raw)
    except RefusalError:
        return None


class Machine:
    """Feed it requests and presses; it calls ``reply`` with answers, ``shown`` with pages, ``leave`` to change apps."""

    def __init__(
        self,
        *,
        app: System,
        reply: Callable[[bytes], None],
        shown: Callable[[Page], None],
        leave: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._reply = reply
        self._shown = shown
        self._leave = leave
        self._clock = clock
        self._task: Task | None = None
        self._review: Review | None = None
        self._at = 0
        self._waiting_since: float | None = None
        self._mute = False
        self._doomed = False
        self._notice: Page | None = None
        self.locked = False

    @property
    def app(self) -> System:
        """The app that runs."""
        return self._app

    def start(self, app: System) -> None:
        """Leave whatever is going on and run ``app``."""
        self._forget()
        self._app = app

    def page(self) -> Page | None:
        """The page that waits for a button."""
        return self._notice if self._review is None else self._review.pages[self._at]

    def receive(self, raw: bytes) -> None:
        """A request from the host; an empty one is not noticed."""
        if not raw:
            return
        if self.locked:
            self._reply(_answer(Status.LOCKED))
            return
        apdu = _parse(raw)
        if self._review is not None:
            self._intrude(apdu)
        elif apdu is None:
            self._forget()
            self._reply(_answer(Status.WRONG_LENGTH))
        elif self._task is not None:
            self._continue(apdu)
        else:
            self._begin(apdu)

    def _begin(self, apdu: Apdu) -> None:
        self._notice = None
        try:
            self._task = self._app.handle(apdu)
        except RefusalError as refusal:
            self._reply(_answer(refusal.status, refusal.detail))
            return
        self._advance(None)

    def _continue(self, apdu: Apdu) -> None:
        if self._app.answers(apdu):
            try:
                self._app.handle(apdu).send(None)
            except StopIteration as end:
                self._say(end.value)
            return
        if (apdu.cla, apdu.ins) != CONTINUE:
            self._forget()
            self._reply(_answer(Status.INCORRECT_DATA))
            return
        self._waiting_since = None
        self._advance(apdu.data)

    def _intrude(self, apdu: Apdu | None) -> None:
        intrusion = self._app.intrude(apdu)
        try:
            step = intrusion.task.send(None)
        except StopIteration as end:
            self._harm(intrusion.harm)
            self._say(end.value)
        except RefusalError as refusal:
            self._harm(intrusion.harm_if_refused or intrusion.harm)
            self._reply(_answer(refusal.status, refusal.detail))
        else:
            self._forget()
            self._task = intrusion.task
            self._take(step)

    def _harm(self, harm: Harm) -> None:
        if harm is Harm.REPLY_LOST:
            self._mute = True
        elif harm is Harm.REVIEW_GONE:
            self._forget()
        elif harm is Harm.DIES_AT_NEXT_BUTTON:
            self._doomed = True

    def _say(self, result: bytes | Farewell) -> None:
        """The 9000 reply, and the farewell if it is one."""
        if isinstance(result, Farewell):
            self._reply(_answer(Status.OK, result.data))
            self._leave(result.app)
        else:
            self._reply(_answer(Status.OK, result))

    def press(self, press: Press) -> None:
        """A button; without a page that waits for one nothing happens."""
        review = self._review
        if review is None:
            self._notice = None
            return
        if self.locked:
            return
        if self._doomed:
            self._forget()
            self._leave("BOLOS")
        elif press is Press.REFUSE:
            self._shown(Page(review.reject))
            self._review = None
            self._advance(False)
        elif self._at + 1 < len(review.pages):
            self._at += 1
            self._shown(review.pages[self._at])
        else:
            self._review = None
            self._advance(True)

    def expire(self, now: float) -> float | None:
        """Start the app afresh when the host has kept it waiting; the seconds until then, if it waits."""
        if self._waiting_since is None:
            return None
        left = self._waiting_since + PATIENCE - now
        if left > 0:
            return left
        self._forget()
        return None

    def _forget(self) -> None:
        if self._task is not None:
            self._task.close()
        self._task = None
        self._review = None
        self._waiting_since = None
        self._mute = False
        self._doomed = False

    def _advance(self, value: Any) -> None:
        assert self._task is not None
        try:
            step = self._task.send(value)
        except StopIteration as end:
            self._end(end.value)
            return
        except RefusalError as refusal:
            self._refuse(refusal)
            return
        except AppDiedError:
            self._forget()
            self._leave("BOLOS")
            return
        self._take(step)

    def _take(self, step: Step) -> None:
        if isinstance(step, Interrupt):
            self._waiting_since = self._clock()
            self._reply(_answer(Status.INTERRUPTED, step.data))
        else:
            self._review = step
            self._at = 0
            self._shown(step.pages[0])

    def _refuse(self, refusal: RefusalError) -> None:
        mute = self._mute
        self._forget()
        self._notice = refusal.notice
        if self._notice is not None:
            self._shown(self._notice)
        if not mute:
            self._reply(_answer(refusal.status, refusal.detail))

    def _end(self, result: bytes | Farewell) -> None:
        mute = self._mute
        self._forget()
        if not mute:
            self._say(result)
