"""Esplora's HTTP API: a few connections, deadlines, bounded replies, reads repeated with patience and writes never."""

from __future__ import annotations

import contextlib
import http.client
import queue
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.http_channel import Answer, HttpChannel, Place, TooLongError

if TYPE_CHECKING:
    from bursar.nodes.tls import Trust

MAX_REPLY: Final = 32 * 1024 * 1024
ATTEMPTS: Final = 4
PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
_BUSY: Final = (429, 500, 502, 503, 504)
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "bursar"}

Question = TypeVar("Question")
Result = TypeVar("Result")


class RefusedError(Exception):
    """A status other than 200; it never leaves this room."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class EsploraClient:
    """Asks one server. ``url`` may have a path (``https://host/testnet/api``); see ``EsploraBackend`` for the rest."""

    def __init__(
        self, url: str, *, timeout: float, trust: Trust | None, connections: int, max_reply: int = MAX_REPLY
    ) -> None:
        if not 1 <= connections <= 32:
            raise InvalidInputError(f"{connections} connections are not between 1 and 32", code="input.url")
        self._place = Place.from_url(url, like="https://host/api")
        self._timeout, self._connections = timeout, connections
        self._idle: queue.LifoQueue[HttpChannel] = queue.LifoQueue()
        for _ in range(connections):
            self._idle.put(HttpChannel(self._place, trust=trust, max_reply=max_reply))

    @property
    def where(self) -> str:
        """The server's address, for messages."""
        return str(self._place)

    def close(self) -> None:
        """Hang up; idempotent, and a later question connects again."""
        for channel in [self._idle.get() for _ in range(self._connections)]:
            channel.close()
            self._idle.put(channel)

    def map(self, ask: Callable[[Question], Result], questions: Iterable[Question]) -> list[Result]:
        """The answers to some questions in their order, several asked at once; the first error ends it."""
        waiting = list(questions)
        if len(waiting) < 2 or self._connections == 1:
            return [ask(question) for question in waiting]
        with ThreadPoolExecutor(self._connections, "bursar-esplora") as pool:
            futures = [pool.submit(ask, question) for question in waiting]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def json(self, path: str) -> Any:
        """What a path answers, as JSON. ``RefusedError`` for a status that is no success."""
        return self._parsed(self._read(path))

    def text(self, path: str) -> str:
        """What a path answers, as text of one line."""
        return _line(self._read(path), 200)

    def post(self, path: str, body: str, kind: str = "text/plain") -> bytes:
        """Send something exactly once; ``RefusedError`` for a status that is no success."""
        with self._borrowed() as channel:
            channel.close()  # an old connection may have died unnoticed, and then nobody knows what was done
            answer = self._exchange(channel, "POST", path, body.encode("ascii"), {**_HEADERS, "Content-Type": kind})
        if answer.status != 200:
            raise RefusedError(answer.status, _line(answer.body, 400))
        return answer.body

    def parsed(self, body: bytes) -> Any:
        """A body that came as an answer to ``post``, as JSON."""
        return self._parsed(body)

    def _parsed(self, body: bytes) -> Any:
        try:
            return exact_json.loads(body)
        except InvalidInputError as error:
            raise self._garbled(error.message) from error

    def _read(self, path: str) -> bytes:
        with self._borrowed() as channel:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    answer = self._exchange(channel, "GET", path, None, _HEADERS)
                except ChainUnavailableError:
                    if attempt == ATTEMPTS:
                        raise
                    time.sleep(PAUSE * 2 ** (attempt - 1))
                    continue
                if answer.status == 200:
                    return answer.body
                if answer.status not in _BUSY:
                    raise RefusedError(answer.status, _line(answer.body, 200))
                if attempt < ATTEMPTS:
                    time.sleep(_patience(answer, attempt))
        raise ChainUnavailableError(
            f"esplora server {self.where} is too busy (status {answer.status}): try again later"
        )

    def _exchange(
        self, channel: HttpChannel, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        target = self._place.path.rstrip("/") + path
        try:
            return channel.exchange(method, target, body, headers, deadline=time.monotonic() + self._timeout)
        except TooLongError as error:
            channel.close()
            raise self._garbled("an answer is longer than any can be") from error
        except ssl.SSLCertVerificationError as error:
            channel.close()
            raise ChainError(
                f"esplora server {self.where} shows a certificate that is not to be trusted: {error.verify_message}",
                code="chain.certificate",
            ) from error
        except TimeoutError as error:
            channel.close()
            raise ChainUnavailableError(
                f"esplora server {self.where} did not answer within {self._timeout:g} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            channel.close()
            why = _line(str(error).encode("utf-8", "replace"), 100) or type(error).__name__
            raise ChainUnavailableError(f"esplora server {self.where} cannot be reached: {why}") from error
        except ChainError:
            channel.close()
            raise

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[HttpChannel]:
        channel = self._idle.get()
        try:
            yield channel
        finally:
            self._idle.put(channel)

    def _garbled(self, what: str) -> ChainError:
        return ChainError(f"esplora server {self.where} answers nonsense: {what}", code="chain.reply")


def _patience(answer: Answer, attempt: int) -> float:
    """How long to wait before asking again: what the server wishes, within reason."""
    wish = answer.retry_after or ""
    seconds = float(wish) if wish.isascii() and wish.isdigit() and len(wish) < 6 else PAUSE * 2 ** (attempt - 1)
    return min(seconds, LONGEST_PAUSE)


def _line(body: bytes, most: int) -> str:
    text = body[: 4 * most].decode("utf-8", "replace")[:most]
    return "".join(char if char.isprintable() else " " for char in text).strip()
