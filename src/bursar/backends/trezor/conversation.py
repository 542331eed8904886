"""Conversation: runs exchanges with a Trezor one at a time, and ends for good once it is out of step."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bursar.backends.trezor import vendor
from bursar.backends.trezor.buttons import MOST_TOGGLES, event_of, only_turns_the_page
from bursar.backends.trezor.failures import ends_session, failure
from bursar.backends.trezor.pins import matrix_positions
from bursar.errors import BursarError, SignerError, SignerMisbehavedError, SignerUnavailableError, UserCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.backends.trezor.exchange import Exchange
    from bursar.backends.trezor.wire import Wire
    from bursar.signing.protocols import Prompt

T = TypeVar("T")

MOST_QUESTIONS = 500
INVALID_PROTOCOL = 17  # how a device that speaks THP answers protocol v1
_CANCEL_SECONDS = 3.0
_CANCELS = 3
_MOST_STALE = 16
_CLOSED = "the trezor is closed: open it again"

_talking: set[int] = set()


def anyone_talking() -> bool:
    """Whether some Trezor of this process is in a conversation: then none may be enumerated."""
    return bool(_talking)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait: for an answer no human has a part in, for a human, for a whole exchange."""

    device: float = 20.0
    human: float = 300.0
    whole: float = 3600.0


class Link(Protocol):
    """Writes and reads whole messages; raises ``SignerError`` only."""

    def write(self, message: Any) -> None: ...

    def read(self) -> Any: ...


def settle(link: Link, wire: Wire, seconds: float) -> Any:
    """Bring a device back to rest, whatever it was asked before: cancel, then a question only it can have answered.

    Returns the failure by which it acknowledged the cancel. Replies from before are thrown away. A device that was
    left with half a message takes a cancel for the rest of it: one that stays unanswered is sent again.
    """
    messages = vendor.messages()
    nonce = secrets.token_hex(16)
    failed = _cancelled(link, wire, seconds)
    wire.allow(seconds)
    if int(failed.code or 0) == INVALID_PROTOCOL:
        return failed
    link.write(messages.Ping(message=nonce))
    _await(link, lambda reply: isinstance(reply, messages.Success) and reply.message == nonce)
    return failed


def _cancelled(link: Link, wire: Wire, seconds: float) -> Any:
    messages = vendor.messages()
    attempt = 1
    while True:
        wire.allow(seconds / _CANCELS)
        link.write(messages.Cancel())
        try:
            return _await(link, lambda reply: isinstance(reply, messages.Failure))
        except SignerUnavailableError:
            if attempt == _CANCELS:
                raise
            attempt += 1


def _await(link: Link, fits: Callable[[Any], bool]) -> Any:
    for _ in range(_MOST_STALE):
        reply = link.read()
        if fits(reply):
            return reply
    raise SignerMisbehavedError("the trezor gives answers to other questions: unplug it and open it again")


class Conversation:
    """Answers what a device asks on the way (buttons, PIN, passphrase) and hands everything else to the exchange.

    A time-out, a broken connection, an answer that does not fit and a cancel that the device does not confirm end
    the conversation: protocol v1 numbers no replies, and the next one could belong to the question before. Every
    later call raises ``SignerUnavailableError``.
    """

    def __init__(
        self,
        link: Link,
        wire: Wire,
        prompt: Prompt,
        *,
        model: str,
        patience: Patience,
        passphrase: Callable[[], tuple[Any, bool]],
        ended: Callable[[], None],
    ) -> None:
        """``passphrase`` gives the answer to the device's request for one, and whether a human is waited for then.

        ``ended`` is called once, when the conversation ends for good.
        """
        self._link = link
        self._wire = wire
        self._prompt = prompt
        self._model = model
        self._patience = patience
        self._last_word = min(_CANCEL_SECONDS, patience.device)
        self._passphrase = passphrase
        self._ended = ended
        self._turn = threading.Lock()
        self._over: str | None = None
        self._idle = True
        self._messages = vendor.messages()

    def run(self, exchange: Exchange[T]) -> T:
        """The exchange's result. A second call meanwhile, from another thread or a prompt, is refused."""
        if not self._turn.acquire(blocking=False):
            exchange.close()
            raise SignerUnavailableError(
                "the trezor is in a conversation: wait until its answer is there", code="signer.busy"
            )
        _talking.add(id(self))
        try:
            if self._over is not None:
                raise SignerUnavailableError(self._over)
            return self._drive(exchange)
        except BaseException:
            self._abandon()
            raise
        finally:
            exchange.close()
            _talking.discard(id(self))
            self._turn.release()

    def close(self) -> None:
        """End it; idempotent."""
        self._end(_CLOSED)

    def _drive(self, exchange: Exchange[T]) -> T:
        until = time.monotonic() + self._patience.whole
        reply: Any = None
        refusal: BursarError | None = None
        while True:
            try:
                request = exchange.send(reply) if refusal is None else exchange.throw(refusal)
            except StopIteration as done:
                self._idle = True
                return done.value  # type: ignore[no-any-return]
            except SignerMisbehavedError as error:
                self._lose(error)
                raise
            reply, refusal = self._converse(request, until)

    def _converse(self, request: Any, until: float) -> tuple[Any, BursarError | None]:
        known, toggles = self._messages, 0
        self._idle = False
        self._write(request, self._patience.device)
        for _ in range(MOST_QUESTIONS):
            if time.monotonic() > until:
                self._end("the trezor took too long: open it again")
                raise SignerUnavailableError("the trezor took too long: open it again")
            reply = self._read()
            if isinstance(reply, known.ButtonRequest):
                toggles += only_turns_the_page(reply, self._model)
                if toggles > MOST_TOGGLES:
                    raise UserCancelledError("the address was not confirmed on the trezor")
                self._prompt.notify(event_of(reply, self._model))
                self._write(known.ButtonAck(), self._patience.human)
            elif isinstance(reply, known.PinMatrixRequest):
                pin = matrix_positions(self._prompt, reply)
                self._write(known.PinMatrixAck(pin=pin), self._patience.human)
            elif isinstance(reply, known.PassphraseRequest):
                answer, human = self._passphrase()
                self._write(answer, self._patience.human if human else self._patience.device)
            elif isinstance(reply, known.Failure):
                return None, self._failed(reply)
            else:
                return reply, None
        raise self._misbehaved("the trezor asks for its button without end: unplug it")

    def _failed(self, reply: Any) -> BursarError:
        self._idle = True
        error = failure(reply, self._model)
        if ends_session(reply):
            self._end(error.message)
        return error

    def _write(self, message: Any, seconds: float) -> None:
        try:
            self._wire.allow(seconds)
            self._link.write(message)
        except SignerError as error:
            self._lose(error)
            raise

    def _read(self) -> Any:
        try:
            return self._link.read()
        except SignerError as error:
            self._lose(error)
            raise

    def _misbehaved(self, message: str) -> SignerMisbehavedError:
        error = SignerMisbehavedError(message)
        self._lose(error)
        return error

    def _lose(self, error: SignerError) -> None:
        """The wire is out of step. A last word, unread, lets the device leave what it shows."""
        if self._over is None:
            try:
                self._wire.allow(self._last_word)
                self._link.write(self._messages.Cancel())
            except SignerError:
                pass
            self._end(error.message)

    def _abandon(self) -> None:
        """Stop what the device may still show; unless it confirms that, the conversation is over."""
        if self._over is not None or self._idle:
            return
        over = "the trezor was left in the middle of something"
        try:
            settle(self._link, self._wire, self._last_word)
            self._idle = True
        except SignerError as error:
            over = error.message
        finally:
            if not self._idle:
                self._end(over)

    def _end(self, reason: str) -> None:
        if self._over is None:
            self._over = reason if reason == _CLOSED else f"the conversation with the trezor ended ({reason})"
            if "open it again" not in self._over:
                self._over += ": open it again"
            self._ended()
