"""What an app does with a request: a generator that asks the host and the human, and returns the reply."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from bursar_devices.device import Lie, Page
from bursar_devices.ledger.apdu import Apdu, Status


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Send these bytes with status E000 and go on with the data of the host's CONTINUE."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Review:
    """Show the pages; True when the last is accepted, False when any is refused (``reject`` is that page's title)."""

    pages: tuple[Page, ...]
    reject: str


Step: TypeAlias = "Interrupt | Review"


@dataclass(frozen=True, slots=True)
class Farewell:
    """The data of a 9000 reply after which the device runs another app."""

    data: bytes
    app: str


Task: TypeAlias = Generator[Step, Any, "bytes | Farewell"]
"""Returns the data of the 9000 reply; raises RefusalError for any other status word."""


def immediately(reply: bytes | Farewell) -> Task:
    """A task that asks nobody."""
    return reply
    yield


class Settings(Protocol):
    """What the human has set on the device, and what its maker told it to do wrong."""

    lies: set[Lie]
    blind_signing: bool


class App(Protocol):
    """A program on the device."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def handle(self, apdu: Apdu) -> Task:
        """Begin to work on a request."""
        ...

    def intrude(self, apdu: Apdu) -> Intrusion:
        """What a request does that comes while a review is on the screen."""
        ...


@dataclass(frozen=True, slots=True)
class Intrusion:
    """``answer`` (data and status word) goes to the intruder; the pending request may lose its reply, or the app die."""

    answer: bytes
    loses_reply: bool = False
    crashes: bool = False


BUSY = Intrusion(Status.BUSY.to_bytes(2, "big"))
