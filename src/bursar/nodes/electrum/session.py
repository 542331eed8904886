"""JSON-RPC 2.0 in the way of the Electrum protocol: pipelined reads, notifications, one greeting per connection."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.electrum.wire import LineTooLongError, Place, Wire
from bursar.version import __version__

if TYPE_CHECKING:
    from bursar.nodes.tls import Trust

OLDEST: Final = (1, 4)
NEWEST: Final = (1, 4, 3)
ATTEMPTS: Final = 3
PAUSE: Final = 0.2
WINDOW: Final = 500  # requests on their way at once
SLOWEST: Final = 0.05  # seconds a request of many may take on average
SMALL: Final = 65_536
LARGE: Final = 2 * 1024 * 1024
TRANSACTION: Final = 8_100_000
MAX_NEWS: Final = 100_000
BUSY: Final = (-101, -102)
_params: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Refusal:
    """The server's own error: its code and what it said, made fit to print."""

    code: int
    message: str


class Session:
    """A connection that is made when needed and made again when it broke; reads are repeated, a write never is.

    ``greet`` is called on each new connection before any other question, with a way to ask on it. ``news`` gets the
    parameters of every notification. ``life`` counts connections: subscriptions do not outlive one.
    """

    def __init__(
        self,
        server: Place,
        *,
        trust: Trust,
        proxy: Place | None,
        timeout: float,
        greet: Callable[[Callable[..., Any]], None],
        news: Callable[[str, Any], None],
    ) -> None:
        self._server, self._trust, self._proxy, self._timeout = server, trust, proxy, timeout
        self._greet, self._news = greet, news
        self._wire: Wire | None = None
        self._next_id = 0
        self._owed = 0  # replies that are still to come on this connection
        self.life = 0

    @property
    def where(self) -> str:
        """The server's address, for messages."""
        return str(self._server)

    def close(self) -> None:
        """Hang up; a later question connects again."""
        wire, self._wire, self._owed = self._wire, None, 0
        if wire is not None:
            wire.close()

    # questions

    def call(self, method: str, *params: Any, limit: int = SMALL) -> Any:
        """The result of a read; ``ChainError`` when the server refuses."""
        reply = self.ask(method, *params, limit=limit)
        if isinstance(reply, Refusal):
            raise self.translate(method, reply)
        return reply

    def ask(self, method: str, *params: Any, limit: int = SMALL) -> Any:
        """The result of a read, or the server's ``Refusal``."""
        (reply,) = self.many(method, [params], limit=limit)
        return reply

    def write(self, method: str, *params: Any) -> Any:
        """The result of a call that changes something, or the server's ``Refusal``; sent at most once."""
        self.call("server.ping")  # a connection may have died unnoticed, and then nobody knows what was done
        (reply,) = self._stream([(method, params)], SMALL, 1, SLOWEST, again=False)
        return reply

    def many(
        self,
        method: str,
        calls: Sequence[Sequence[Any]],
        *,
        limit: int = SMALL,
        window: int = WINDOW,
        pace: float = SLOWEST,
    ) -> Iterator[Any]:
        """One read for each list of parameters: results or ``Refusal``, in order, while more are on their way."""
        return self._stream([(method, params) for params in calls], limit, window, pace, again=True)

    def several(self, requests: Sequence[tuple[str, Sequence[Any]]], *, limit: int = SMALL) -> Iterator[Any]:
        """The same for different methods."""
        return self._stream(requests, limit, WINDOW, SLOWEST, again=True)

    def expect(self, method: str, reply: Any) -> Any:
        """A reply that must not be a refusal."""
        if isinstance(reply, Refusal):
            raise self.translate(method, reply)
        return reply

    def translate(self, method: str, refusal: Refusal) -> ChainError:
        """The error for a refusal nobody expected."""
        if refusal.code in BUSY or "excessive resource usage" in refusal.message:
            return ChainUnavailableError(f"server {self.where} is too busy for us: try again later")
        return ChainError(
            f"server {self.where} refused {method}: {refusal.message} ({refusal.code})", code="chain.refused"
        )

    def drain(self) -> None:
        """Take the notifications that have come; none is waited for."""
        if self._owed:
            self.close()
        wire = self._wire
        if wire is None:
            return
        deadline = time.monotonic() + self._timeout
        try:
            for _ in range(MAX_NEWS):
                if wire.idle:
                    return
                self._notice(self._message(wire, SMALL, deadline))
        except (OSError, ssl.SSLError):
            self.close()
            return
        except BaseException:
            self.close()
            raise
        self.close()
        raise self._garbled("notifications without end")

    # the exchange

    def _stream(
        self, requests: Sequence[tuple[str, Sequence[Any]]], limit: int, window: int, pace: float, *, again: bool
    ) -> Iterator[Any]:
        deadline = time.monotonic() + self._timeout + pace * len(requests)
        done, failures = 0, 0
        if self._owed:  # a reader stopped half way: what comes now would answer other questions
            self.close()
        while done < len(requests):
            wire: Wire | None = None
            try:
                wire = self._connected(deadline)
                for result in self._replies(wire, requests[done:], limit, window, deadline):
                    done += 1
                    self._owed = len(requests) - done
                    yield result
            except ssl.SSLCertVerificationError as error:
                self.close()
                raise ChainError(
                    f"server {self.where} shows a certificate that is not to be trusted ({error.verify_message}): "
                    "pin its fingerprint, or keep a file of known servers",
                    code="chain.certificate",
                ) from error
            except TimeoutError as error:
                self.close()
                raise ChainUnavailableError(f"server {self.where} did not answer within {self._timeout:g} s") from error
            except OSError as error:
                self.close()
                failures += 1
                if failures == ATTEMPTS or not again:
                    raise ChainUnavailableError(f"server {self.where} cannot be reached: {_cause(error)}") from error
                time.sleep(PAUSE * failures)
            except BaseException:
                if done < len(requests) and wire is self._wire:
                    self.close()
                raise

    def _connected(self, deadline: float) -> Wire:
        if self._wire is None:
            until = min(deadline, time.monotonic() + self._timeout)
            wire = Wire(self._server, trust=self._trust, proxy=self._proxy, deadline=until)
            try:
                self._negotiate(wire, until)
                self._greet(partial(self._once, wire, until))
            except BaseException:  # nobody uses a connection that was not greeted
                wire.close()
                raise
            self._wire = wire
            self.life += 1
        return self._wire

    def _once(self, wire: Wire, deadline: float, method: str, *params: Any) -> Any:
        (reply,) = self._replies(wire, [(method, params)], SMALL, 1, deadline)
        return self.expect(method, reply)

    def _negotiate(self, wire: Wire, deadline: float) -> None:
        names = [".".join(map(str, version)) for version in (OLDEST, NEWEST)]
        params = (f"bursar {__version__}", names)
        (reply,) = self._replies(wire, [("server.version", params)], SMALL, 1, deadline)
        if isinstance(reply, Refusal):
            raise self._version_error(reply.message)
        if type(reply) is not list or len(reply) != 2 or type(reply[1]) is not str:
            raise self._garbled("its version is not two texts")
        try:
            spoken = tuple(int(part) for part in reply[1].split(".")) if len(reply[1]) < 20 else ()
        except ValueError:
            spoken = ()
        if not OLDEST <= spoken <= NEWEST:
            raise self._version_error(f"it speaks {printable(reply[1])}")

    def _version_error(self, why: str) -> ChainError:
        return ChainError(f"server {self.where} does not speak Electrum protocol 1.4 ({why}): use another server")

    def _replies(
        self, wire: Wire, requests: Sequence[tuple[str, Sequence[Any]]], limit: int, window: int, deadline: float
    ) -> Iterator[Any]:
        """Results in the order of the requests, of which ``window`` are on their way at once."""
        first = self._next_id
        self._next_id += len(requests)
        came: dict[int, Any] = {}
        sent, taken, news = 0, 0, 0
        while taken < len(requests):
            if sent - taken - len(came) <= window // 2 and sent < len(requests) and len(came) <= 4 * window:
                batch = requests[sent : taken + len(came) + window]
                wire.send(_encode(batch, first + sent))
                sent += len(batch)
            message = self._message(wire, limit, deadline)
            number = message.get("id")
            if number is None and "method" in message:
                news += 1
                if news > MAX_NEWS:
                    raise self._garbled("notifications without end")
                self._notice(message)
                continue
            if type(number) is not int or not first + taken <= number < first + sent or number in came:
                raise self._garbled("a reply belongs to no question")
            came[number] = self._result(message)
            while first + taken in came:
                result = came.pop(first + taken)
                taken += 1
                yield result

    def _message(self, wire: Wire, limit: int, deadline: float) -> dict[str, Any]:
        try:
            message = exact_json.loads(wire.line(limit, deadline))
        except LineTooLongError as error:
            raise self._garbled(error.message) from error
        except InvalidInputError as error:
            raise self._garbled(error.message) from error
        if not isinstance(message, dict):
            raise self._garbled("a message is not an object")
        return message

    def _result(self, message: dict[str, Any]) -> Any:
        problem = message.get("error")
        if problem is None:
            if "result" not in message:
                raise self._garbled("a reply has neither result nor error")
            return message["result"]
        if isinstance(problem, dict) and type(problem.get("code")) is int:
            return Refusal(problem["code"], printable(problem.get("message")))
        if isinstance(problem, str):
            return Refusal(0, printable(problem))
        raise self._garbled("an error has no code")

    def _notice(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params")
        if message.get("id") is not None or type(method) is not str or type(params) is not list:
            raise self._garbled("a message is neither reply nor notification")
        self._news(method, params)

    def _garbled(self, what: str) -> ChainError:
        return ChainError(f"server {self.where} does not speak the protocol properly: {what}", code="chain.reply")


def _encode(requests: Sequence[tuple[str, Sequence[Any]]], first: int) -> bytes:
    return "".join(
        [
            f'{{"jsonrpc":"2.0","id":{number},"method":"{method}","params":{_params(params)}}}\n'
            for number, (method, params) in enumerate(requests, first)
        ]
    ).encode("ascii")


def printable(message: Any) -> str:
    """A server's message as one line of at most 300 printable characters."""
    text = message if isinstance(message, str) else "no words"
    return "".join(char if char.isprintable() else " " for char in text[:300]).strip()


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(str(error) or type(error).__name__).lower()
