"""What a request on the device is: a generator that asks the host for messages and the human for decisions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from trezorlib import messages, protobuf

if TYPE_CHECKING:
    from bursar_devices.device import Page

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send ``message`` to the host and wait for one of ``replies``; a ``modal`` one leaves a Trezor One deaf.

    ``page`` is what the screen shows meanwhile.
    """

    message: protobuf.MessageType
    replies: tuple[type[protobuf.MessageType], ...]
    modal: bool = False
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """Pages a human turns and decides on, announced to the host by one ButtonRequest.

    ``entry`` makes the last page a keyboard: what is typed ("pin", "passphrase", "word", "count") comes back as
    text. ``flips`` says that "no" on a Trezor One does not refuse but shows the page's other side; ``confirm_only``
    that there is no "no".
    """

    code: messages.ButtonRequestType
    name: str
    pages: tuple[Page, ...]
    entry: str | None = None
    flips: bool = False
    confirm_only: bool = False


@dataclass(frozen=True, slots=True)
class Flipped:
    """What a ``flips`` screen answers when "no" was pressed on a Trezor One."""


Step: TypeAlias = Exchange | Screen
Workflow: TypeAlias = Generator[Step, Any, _T]
Handler: TypeAlias = Callable[[Any, Any], Workflow[protobuf.MessageType]]


class FailError(Exception):
    """The request ends with this Failure; ``again`` is a second one some firmware sends after it."""

    def __init__(self, code: messages.FailureType, text: str | None = None, *, again: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.again = again


def data_error(text: str) -> FailError:
    return FailError(messages.FailureType.DataError, text)


def processing_error(text: str) -> FailError:
    return FailError(messages.FailureType.ProcessError, text)


def cancelled(text: str | None = None) -> FailError:
    return FailError(messages.FailureType.ActionCancelled, text)


def show(*screens: Screen) -> Workflow[None]:
    """Put the screens before the human one after another; a refusal ends the request."""
    for screen in screens:
        accepted = yield screen
        if not accepted:
            raise cancelled()


def done(text: str | None) -> messages.Success:
    return messages.Success(message=text)
