"""A conversation with one device: one question, one answer, in step; once out of step it is over for good."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bursar.backends.ledger.apdu import Reply
from bursar.backends.ledger.transport import drained
from bursar.errors import SignerMisbehavedError, SignerUnavailableError
from bursar.signing.protocols import DeviceEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bursar.backends.ledger.apdu import Command, Exchange
    from bursar.backends.ledger.transport import Transport
    from bursar.signing.protocols import Prompt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait, in seconds: for a human at the device, for the device alone, for replies nobody asked for."""

    human: float = 300.0
    device: float = 15.0
    stale: float = 0.05


class Link:
    """Runs conversations over a transport.

    A limit that passed, an ``OSError``, a broken frame or an interruption leaves a reply pending that the next
    question would take for its own: the link is closed at once and every later call raises
    ``SignerUnavailableError``. Only a new link, which begins by getting in step, can be trusted again.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        limits: Limits | None = None,
        prompt: Prompt | None = None,
        released: Callable[[], None] | None = None,
    ) -> None:
        """``released`` is called once, when the device is let go of."""
        self._transport = transport
        self._prompt = prompt
        self._released = released
        self._closed: str | None = None
        self._turn = threading.Lock()
        self.limits = limits or Limits()

    @property
    def usable(self) -> bool:
        """Whether it may still be asked anything."""
        return self._closed is None

    def ask(self, command: Command) -> Reply:
        """Send one command and wait for its reply; ``command.confirm`` is told to the human first."""
        with self.turn():
            return self._ask(command)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One conversation at a time: replies carry no numbers, so two would take each other's.

        ``SignerUnavailableError`` (``signer.busy``) meanwhile, for another thread and for a prompt.
        """
        if not self._turn.acquire(blocking=False):
            raise SignerUnavailableError(
                "the ledger is in a conversation: wait until its answer is there", code="signer.busy"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _ask(self, command: Command) -> Reply:
        self.check_usable()
        if command.confirm is not None:
            self.notify(DeviceEvent("confirm", command.confirm))
        seconds = self.limits.human if command.patient or command.confirm is not None else self.limits.device
        return self.exchange(command.serialize(), deadline=time.monotonic() + seconds)

    def run(self, conversation: Exchange[T]) -> T:
        """Run a conversation to its end and hand on its result; an answer it calls misbehaved ends the link too."""
        with self.turn():
            self.check_usable()
            try:
                command = next(conversation)
                while True:
                    command = conversation.send(self._ask(command))
            except StopIteration as end:
                result: T = end.value
                return result
            except SignerMisbehavedError:
                self._end("it answered what was not asked")
                raise
            finally:
                conversation.close()

    def exchange(self, message: bytes, *, deadline: float) -> Reply:
        """Send one serialised command and wait; ``deadline`` is a time of ``time.monotonic()``."""
        self.check_usable()
        try:
            self._transport.send(message, deadline=deadline)
            return Reply.parse(self._transport.receive(deadline=deadline))
        except TimeoutError as error:
            self._end("it did not answer in time")
            raise self._unavailable() from error
        except OSError as error:
            self._end(f"the connection broke ({error.strerror or error})")
            raise self._unavailable() from error
        except BaseException:
            self._end("a question was broken off")
            raise

    def drain(self) -> int:
        """Throw away what nobody asked for; how many replies that was."""
        self.check_usable()
        try:
            return drained(self._transport, seconds=self.limits.stale)
        except OSError as error:
            self._end(f"the connection broke ({error.strerror or error})")
            raise self._unavailable() from error
        except BaseException:
            self._end("it was out of step")
            raise

    def notify(self, event: DeviceEvent) -> None:
        """Tell the human, if there is one."""
        if self._prompt is not None:
            self._prompt.notify(event)

    def distrust(self, reason: str) -> None:
        """End it because of what the device answered; ``reason`` completes "was closed because …"."""
        self._end(reason)

    def close(self) -> None:
        """Let go of the device; idempotent."""
        self._end("it was closed")

    def check_usable(self) -> None:
        """Raise ``SignerUnavailableError`` once it is over."""
        if self._closed is not None:
            raise self._unavailable()

    def _unavailable(self) -> SignerUnavailableError:
        return SignerUnavailableError(f"the ledger cannot be asked because {self._closed}: open it again")

    def _end(self, reason: str) -> None:
        if self._closed is not None:
            return
        self._closed = reason
        self._transport.close()
        if self._released is not None:
            self._released()
