"""Questions to an Ethereum node through web3: strict replies, no retries, no middleware, no CCIP-Read (EIP-3668)."""

from __future__ import annotations

import http.client
import importlib.util
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError, MissingExtraError
from bursar.nodes.ethrpc.channel import Channel, TooLongError
from bursar.nodes.ethrpc.reply import DEEPEST_REPLY, LARGEST_REPLY, Refusal, garbled, parse_batch, parse_reply

MOST_AT_ONCE = 1_000
_BUSY = (-32005, 429)
_BATCH_TOO_LARGE = (400, 413, 422)

Call = tuple[str, list[Any]]
"""A method and its parameters."""


def check_url(url: str) -> SplitResult:
    """The parts of an http or https URL; InvalidInputError otherwise. The message never holds the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # the original error may hold the url, and a url may hold a key
        raise InvalidInputError("the node's url cannot be read", code="input.url") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise InvalidInputError("a node's url starts with http:// or https:// and names a host", code="input.url")
    return parts


def check_library() -> None:
    """MissingExtraError unless web3 is installed."""
    if importlib.util.find_spec("web3") is None:
        raise MissingExtraError(
            "speaking to an ethereum node needs web3: pip install 'bursar[ethereum]'", extra="ethereum"
        )


class Wire:
    """One node. ``name`` is what messages call it: its host, never the path, which often holds a key."""

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = check_url(url)
        check_library()
        self.name = parts.hostname or ""
        self._channel = Channel(parts, timeout=timeout)
        self._timeout = timeout
        self._numbers = itertools.count(1)
        self._at_once = MOST_AT_ONCE
        self._web3: Any = None

    def ask(self, method: str, params: list[Any]) -> Any:
        """The node's result, or a :class:`Refusal`; ChainError and nothing foreign is raised."""
        if self._web3 is None:
            self._web3 = self._connect()
        from web3.exceptions import Web3Exception, Web3RPCError

        try:
            return self._web3.manager.request_blocking(method, params)
        except Web3RPCError as error:
            return self._refusal(error)
        except (Web3Exception, ValueError, TypeError, KeyError, AttributeError) as error:
            raise garbled(f"{method} was answered with something else ({type(error).__name__})") from error

    def ask_many(
        self, calls: Sequence[Call], *, at_once: int = MOST_AT_ONCE, most: int = LARGEST_REPLY, deepest: int = 0
    ) -> list[Any]:
        """The results, or a :class:`Refusal` for each, in JSON-RPC batches of ``at_once`` calls and fewer.

        A node that refuses batches of some size is asked in smaller ones from then on, and one by one at last.
        ``most`` bounds a reply in bytes, ``deepest`` its nesting.
        """
        results: list[Any] = []
        while len(results) < len(calls):
            size = min(at_once, self._at_once)
            some = calls[len(results) : len(results) + size]
            found = self._batch(some, most=most, deepest=deepest or DEEPEST_REPLY)
            if found is None:
                self._at_once = max(len(some) // 4, 1)
                continue
            results += found
        return results

    def _batch(self, calls: Sequence[Call], *, most: int, deepest: int) -> list[Any] | None:
        """``None`` when the node refused a batch of several for being one."""
        first = next(self._numbers)
        identifiers = range(first, first + len(calls))
        self._numbers = itertools.count(identifiers.stop)
        requests = [
            {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
            for identifier, (method, params) in zip(identifiers, calls, strict=True)
        ]
        single, method = len(calls) == 1, calls[0][0]
        body = json.dumps(requests[0] if single else requests).encode("ascii")
        status, content = self._post(body, method, most=most)
        if not single and status in _BATCH_TOO_LARGE:
            return None
        try:
            if single:
                results = [parse_reply(content, identifier=identifiers.start, most=most, deepest=deepest)]
            else:
                results = parse_batch(content, identifiers=identifiers, most=most, deepest=deepest)
        except ChainError as error:
            if status != 200:
                raise self._bad_status(status, method) from error
            raise
        refused = [one for one in (results if isinstance(results, list) else [results]) if isinstance(one, Refusal)]
        self._check_busy(refused)
        if isinstance(results, Refusal):
            return None
        if status != 200 and not refused:
            raise self._bad_status(status, method)
        return results

    def _check_busy(self, refused: Iterable[Refusal]) -> None:
        for one in refused:
            if one.code in _BUSY:
                raise ChainUnavailableError(f"the node at {self.name} is busy: {one.reason}")

    def _refusal(self, error: Any) -> Refusal:
        body = (error.rpc_response or {}).get("error")
        if not isinstance(body, dict):
            raise garbled("an error without code and message") from error
        refusal = Refusal(int(body["code"]), str(body["message"]), bytes.fromhex(str(body.get("data", "0x"))[2:]))
        self._check_busy([refusal])
        return refusal

    def _connect(self) -> Any:
        limit = sys.getrecursionlimit()
        from web3 import Web3
        from web3.providers import JSONBaseProvider

        # a dependency of web3 sets it to 100,000, at which recursion ends in a crash and not in an error; an EVM in
        # this process needs more than the usual limit, and is left alone
        if "eth" not in sys.modules:
            sys.setrecursionlimit(limit)
        wire = self

        class BoundedProvider(JSONBaseProvider):
            global_ccip_read_enabled = False

            def make_request(self, method: Any, params: Any) -> Any:
                return wire._exchange(str(method), params)

        return Web3(BoundedProvider(), middleware=[])

    def _exchange(self, method: str, params: Any) -> dict[str, Any]:
        identifier = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        status, body = self._post(json.dumps(request).encode("ascii"), method)
        try:
            result = parse_reply(body, identifier=identifier)
        except ChainError as error:
            if status != 200:
                raise self._bad_status(status, method) from error
            raise
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": identifier}
        if isinstance(result, Refusal):
            said = {"code": result.code, "message": result.reason, "data": "0x" + result.data.hex()}
            return answer | {"error": said}
        if status != 200:
            raise self._bad_status(status, method)
        return answer | {"result": result}

    def _bad_status(self, status: int, method: str) -> ChainError:
        if status == 429 or status >= 500:
            return ChainUnavailableError(
                f"the node at {self.name} answered {method} with http status {status}: try again"
            )
        if 300 <= status < 400:
            return ChainError(f"the node at {self.name} redirects: give the url it redirects to", code="chain.reply")
        return ChainError(f"the node at {self.name} answered {method} with http status {status}", code="chain.reply")

    def _post(self, body: bytes, method: str, *, most: int = LARGEST_REPLY) -> tuple[int, bytes]:
        try:
            status, encoding, content = self._channel.post(body, largest=most)
        except TooLongError as error:
            raise garbled(f"it is longer than {most} bytes") from error
        except TimeoutError as error:
            text = f"the node at {self.name} takes longer than {self._timeout:g} s to answer {method}: try again"
            raise ChainUnavailableError(text) from error
        except (OSError, http.client.HTTPException) as error:
            text = f"the node at {self.name} does not answer {method} ({type(error).__name__}): try again"
            raise ChainUnavailableError(text) from error
        if encoding != "identity":
            raise garbled("it is compressed, which was not asked for")
        return status, content

    def close(self) -> None:
        """Hang up; idempotent, and a later question connects again."""
        self._channel.close()
