"""Bitcoin Core's JSON-RPC over HTTP: one connection, deadlines, bounded replies; the only place its errors are read."""

from __future__ import annotations

import base64
import http.client
import itertools
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.http_channel import MAX_REPLY, HttpChannel, Place, TooLongError

if TYPE_CHECKING:
    from bursar.crypto.secret import Secret
    from bursar.nodes.tls import Trust

MAX_COOKIE: Final = 4096
ATTEMPTS: Final = 3
PAUSE: Final = 0.2
IN_WARMUP: Final = -28
NO_METHOD: Final = -32601


@dataclass(frozen=True, slots=True)
class Refusal:
    """The node's own error: its code and what it said, made fit to print."""

    code: int
    message: str


class RpcClient:
    """Calls a node's JSON-RPC. Reads are tried again when the connection fails; ``write`` never is.

    ``cookie`` is bitcoind's cookie file, read again whenever the node asks; or give ``user`` and ``password``.
    ``timeout`` is the limit in seconds of one exchange from connecting to the last byte.
    """

    def __init__(
        self,
        url: str,
        *,
        cookie: Path | None = None,
        user: str | None = None,
        password: Secret | None = None,
        timeout: float = 30.0,
        max_reply: int = MAX_REPLY,
        trust: Trust | None = None,
    ) -> None:
        self._place = Place.from_url(url, like="http://127.0.0.1:8332")
        if (user is None) != (password is None) or (user is not None and cookie is not None):
            raise InvalidInputError(
                "give a cookie file, or a user and a password, or neither", code="input.credentials"
            )
        self._cookie, self._user, self._password = cookie, user, password
        self._timeout, self._max_reply = timeout, max_reply
        self._channel = HttpChannel(self._place, trust=trust, max_reply=max_reply)
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def where(self) -> str:
        """The node's address, for messages."""
        return str(self._place)

    @property
    def host(self) -> str:
        """The node's host alone."""
        return self._place.host

    def close(self) -> None:
        """Hang up; idempotent, and a later call connects again."""
        with self._lock:
            self._channel.close()

    def call(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        """The result of a read; ``ChainError`` when the node refuses."""
        reply = self.ask(method, *params, timeout=timeout)
        if isinstance(reply, Refusal):
            raise self.translate(method, reply)
        return reply

    def ask(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        """The result of a read, or the node's ``Refusal``."""
        return self._one(method, params, retry=True, timeout=timeout)

    def write(self, method: str, *params: Any) -> Any:
        """The result of a call that changes something, or the node's ``Refusal``; sent exactly once."""
        return self._one(method, params, retry=False, timeout=None)

    def batch(self, method: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """One read for each list of parameters, in one exchange: results or ``Refusal``, in order."""
        if not calls:
            return []
        requests = [self._request(method, call) for call in calls]
        replies = self._exchange(requests, retry=True, timeout=None)
        if not isinstance(replies, list) or len(replies) != len(requests):
            raise self._garbled(f"{len(requests)} calls in a batch were not answered with as many replies")
        by_id = {reply.get("id"): reply for reply in replies if isinstance(reply, dict)}
        return [self._result(by_id.get(request["id"]), request["id"]) for request in requests]

    def translate(self, method: str, refusal: Refusal) -> ChainError:
        """The error for a refusal nobody expected."""
        if refusal.code == IN_WARMUP:
            return ChainUnavailableError(f"node {self.where} is starting ({refusal.message}): try again soon")
        if refusal.code == NO_METHOD:
            return ChainError(f"node {self.where} has no method {method}: it needs Bitcoin Core 25 or newer")
        if "pruned data" in refusal.message or refusal.message == "Block not available":
            return ChainError(f"node {self.where} has pruned a block that is needed: use a node with all blocks")
        return ChainError(f"node {self.where} refused {method}: {refusal.message} ({refusal.code})")

    def _one(self, method: str, params: Sequence[Any], *, retry: bool, timeout: float | None) -> Any:
        request = self._request(method, params)
        return self._result(self._exchange(request, retry=retry, timeout=timeout), request["id"])

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "1.0", "id": next(self._ids), "method": method, "params": list(params)}

    def _result(self, reply: Any, request_id: int) -> Any:
        if not isinstance(reply, dict) or reply.get("id") != request_id:
            raise self._garbled("a reply does not belong to its call")
        problem = reply.get("error")
        if problem is None:
            return reply.get("result")
        if not isinstance(problem, dict) or type(problem.get("code")) is not int:
            raise self._garbled("an error has no code")
        return Refusal(problem["code"], printable(problem.get("message")))

    def _garbled(self, what: str) -> ChainError:
        return ChainError(f"node {self.where} does not speak JSON-RPC properly: {what}", code="chain.reply")

    def _exchange(self, request: Any, *, retry: bool, timeout: float | None) -> Any:
        body = exact_json.dumps(request).encode("ascii")
        limit = self._timeout if timeout is None else timeout
        with self._lock:
            status, raw = self._attempts(body, limit, retry=retry)
        try:
            return exact_json.loads(raw)
        except InvalidInputError as error:
            if status == 404:
                raise ChainError(
                    f"node {self.where} serves nothing at the path {self._place.path}: check the url",
                    code="chain.reply",
                ) from error
            raise self._garbled(f"status {status}, {error.message}") from error

    def _attempts(self, body: bytes, limit: float, *, retry: bool) -> tuple[int, bytes]:
        if not retry:
            self._channel.close()  # an old connection may have died unnoticed, and then nobody knows what was done
        last = ATTEMPTS if retry else 1
        for attempt in range(1, last + 1):
            try:
                status, raw = self._post(body, time.monotonic() + limit)
            except TimeoutError as error:
                self._channel.close()
                raise ChainUnavailableError(f"node {self.where} did not answer within {limit:g} s") from error
            except ssl.SSLCertVerificationError as error:
                self._channel.close()
                raise ChainError(
                    f"node {self.where} shows a certificate that is not to be trusted: {error.verify_message}"
                ) from error
            except (OSError, http.client.HTTPException) as error:
                self._channel.close()
                if attempt == last:
                    raise ChainUnavailableError(f"node {self.where} cannot be reached: {_cause(error)}") from error
            else:
                if status == 401 and self._cookie is not None and attempt < last:
                    continue  # a restarted node has a new cookie
                if status != 503 or attempt == last:
                    self._check_status(status)
                    return status, raw
            time.sleep(PAUSE * attempt)
        raise AssertionError("unreachable")

    def _check_status(self, status: int) -> None:
        if status == 401:
            raise ChainError(
                f"node {self.where} refuses the credentials: check the cookie file or user and password",
                code="chain.credentials",
            )
        if status == 403:
            raise ChainError(f"node {self.where} does not serve this client: see rpcallowip", code="chain.credentials")
        if status == 503:
            raise ChainUnavailableError(f"node {self.where} is too busy: try again")

    def _post(self, body: bytes, deadline: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"}
        authorization = self._authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        try:
            answer = self._channel.exchange("POST", self._place.path, body, headers, deadline=deadline)
        except TooLongError as error:
            self._channel.close()
            size = "" if error.size is None else f" of {error.size} bytes"
            raise self._garbled(f"a reply{size} is over the limit of {self._max_reply} bytes") from error
        return answer.status, answer.body

    def _authorization(self) -> str | None:
        if self._cookie is not None:
            credentials = self._read_cookie(self._cookie)
        elif self._user is not None and self._password is not None:
            credentials = self._user.encode() + b":" + self._password.expose()
        else:
            return None
        return "Basic " + base64.b64encode(credentials).decode("ascii")

    def _read_cookie(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(MAX_COOKIE).strip()
        except FileNotFoundError as error:
            raise ChainUnavailableError(f"cookie file {path} is missing: is the node running?") from error
        except OSError as error:
            raise ChainError(
                f"cookie file {path} cannot be read: {error.strerror}", code="chain.credentials"
            ) from error
        if b":" not in content:
            raise ChainError(f"{path} is not a cookie file: it holds no user:password", code="chain.credentials")
        return content


def printable(message: Any) -> str:
    """A node's message as one line of at most 300 printable characters."""
    text = message if isinstance(message, str) else str(message)
    return "".join(char if char.isprintable() else " " for char in text[:300]).strip()


def _cause(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return printable(str(error) or type(error).__name__).lower()
