"""What an app does with a request: a generator that asks the host and the human, and returns the reply."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from bursar_devices.ledger.apdu import Apdu, RefusalError, Status

if TYPE_CHECKING:
    from bursar_devices.device import Lie, Page


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


class AppDiedError(Exception):
    """The app stops without an answer."""


class Settings(Protocol):
    """What the human has set on the device, and what its maker told it to do wrong."""

    lies: set[Lie]
    blind_signing: bool
    smart_accounts: bool
    test_keys: bool


class App(Protocol):
    """A program on the device."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def handle(self, apdu: Apdu) -> Task:
        """Begin to work on a request."""
        ...

    def intrude(self, apdu: Apdu | None) -> Intrusion:
        """What a request (``None``: one that cannot be read) does that comes while a review is on the screen."""
        ...


class Harm(Enum):
    """What an intruder does to the review it disturbs."""

    NONE = "none"
    REPLY_LOST = "the review goes on, its answer never comes"
    REVIEW_GONE = "the review ends without an answer"
    DIES_AT_NEXT_BUTTON = "the app dies when a button is pressed"


@dataclass(frozen=True, slots=True)
class Intrusion:
    """What answers the intruder (perhaps with a review of its own, which takes the screen), and what harm it does."""

    task: Task
    harm: Harm
    harm_if_refused: Harm | None = None
    """Where that differs."""


def busy() -> Intrusion:
    """The intruder is told to wait."""
    return Intrusion(refuse(Status.BUSY), Harm.NONE)


def refuse(status: Status) -> Task:
    """A task that asks nobody and refuses."""
    raise RefusalError(status)
    yield
