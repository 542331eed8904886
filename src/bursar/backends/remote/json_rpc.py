"""Questions to a remote signer (JSON-RPC 2.0) and its answers, read as if it were hostile."""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from bursar.errors import (
    SignerError,
    SignerMisbehavedError,
    SignerNotFoundError,
    SignerUnavailableError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.json_text import read_strictly

if TYPE_CHECKING:
    from bursar.backends.remote.channel import Answer, Channel

_DEEPEST: Final = 32
_LONGEST_NUMBER: Final = 40
_LONGEST_WORDS: Final = 200
_METHOD_MISSING: Final = (-32601, -32604)
# what clef says when its human or its rules said no, and what either says of an account it does not have
_DENIED: Final = re.compile(r"request denied", re.IGNORECASE)
_NO_ACCOUNT: Final = re.compile(r"no unlocked account matches|unknown account|no key for given address", re.IGNORECASE)


class RpcClient:
    """Asks by name; each question is sent once and never repeated."""

    def __init__(self, channel: Channel, *, name: str, model: str) -> None:
        self._channel = channel
        self._name = name
        self._model = model
        self._numbers = itertools.count(1)

    def ask(self, method: str, params: list[Any], *, seconds: float) -> Any:
        """The result; a ``SignerError`` by what the refusal means, ``SignerMisbehavedError`` for no JSON-RPC."""
        identifier = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        answer = self._channel.ask("POST", "/", json.dumps(request).encode("ascii"), seconds=seconds)
        self._check_status(answer)
        reply = self.parsed(answer)
        if not isinstance(reply, dict) or reply.get("jsonrpc") != "2.0":
            raise self.garbled("it is no JSON-RPC 2.0")
        error = reply.get("error")
        if error is not None:
            if reply.get("id") not in (identifier, None) or reply.get("result") is not None:
                raise self.garbled("its error belongs to another question or comes with a result")
            self._refuse(method, error)
        if type(reply.get("id")) is not int or reply["id"] != identifier or "result" not in reply:
            raise self.garbled("it belongs to another question, or has no result")
        return reply["result"]

    def get(self, path: str, *, seconds: float) -> Answer:
        """The answer to a plain GET, whatever its body."""
        answer = self._channel.ask("GET", path, None, seconds=seconds)
        self._check_status(answer)
        if answer.status != 200:
            raise self._status_error(answer.status)
        return answer

    def parsed(self, answer: Answer) -> Any:
        """The JSON value of an answer: no duplicate members, no NaN, numbers and nesting bounded."""
        try:
            return read_strictly(answer.body, deepest=_DEEPEST, digits=_LONGEST_NUMBER)
        except ValueError as error:
            if answer.status != 200:
                raise self._status_error(answer.status) from error
            raise self.garbled(f"it is not JSON, {printable(str(error))}") from error

    def garbled(self, problem: str) -> SignerMisbehavedError:
        """The error for an answer that cannot be what was asked for."""
        return SignerMisbehavedError(f"the answer of the remote signer at {self._name} makes no sense: {problem}")

    def _check_status(self, answer: Answer) -> None:
        if answer.status in (401, 403, 407) or 300 <= answer.status < 400 or answer.status == 404:
            raise self._status_error(answer.status)

    def _status_error(self, status: int) -> SignerError:
        where = f"the remote signer at {self._name}"
        if status in (401, 403, 407):
            text = f"{where} does not let this caller in (http status {status}): show the client certificate it wants"
            return SignerUnavailableError(text, code="signer.permission")
        if status == 429 or status >= 500:
            return SignerUnavailableError(f"{where} answered with http status {status}: try again")
        reason = "redirects: give the url it redirects to" if 300 <= status < 400 else f"answered http status {status}"
        return SignerError(f"{where} {reason}", code="signer.remote")

    def _refuse(self, method: str, error: Any) -> NoReturn:
        if (
            not isinstance(error, dict)
            or type(error.get("code")) is not int
            or not isinstance(error.get("message"), str)
        ):
            raise self.garbled("its error has no code and message")
        words = printable(error["message"])
        where = f"the remote signer at {self._name}"
        if _DENIED.search(words):
            raise UserCancelledError(f"{where} denied the request: its human or its rules said no")
        if _NO_ACCOUNT.search(words):
            raise SignerNotFoundError(f"{where} does not hold this account: {words}")
        if error["code"] in _METHOD_MISSING:
            raise UnsupportedError(f"{where} has no {method}: {words}", operation=method, model=self._model)
        raise SignerError(f"{where} refuses {method}: {words} ({error['code']})", code="signer.refused")


def printable(text: str) -> str:
    """A stranger's words, safe to show: one line of ascii of bounded length."""
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text[:_LONGEST_WORDS])
    return shown + ("..." if len(text) > _LONGEST_WORDS else "")
