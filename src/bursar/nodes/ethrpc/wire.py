"""The wire to an Ethereum node: web3 with bounded replies, no redirects, no retries and no CCIP-Read (EIP-3668)."""

from __future__ import annotations

import importlib.util
import itertools
import json
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from bursar.errors import ChainError, ChainUnavailableError, InvalidInputError, MissingExtraError
from bursar.nodes.ethrpc.reply import LARGEST_REPLY, Refusal, garbled, parse_reply, printable

_CHUNK = 64 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_BUSY = (-32005, 429)


def check_url(url: str) -> SplitResult:
    """The parts of an http or https URL; InvalidInputError otherwise. The message holds no more than its scheme."""
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
        self._loopback = self.name in _LOOPBACK
        self._url = url
        self._timeout = timeout
        self._web3: Any = None
        self._session: Any = None

    def ask(self, method: str, params: list[Any]) -> Any:
        """The node's result, or a :class:`Refusal`; ChainError and nothing foreign is raised."""
        from requests.exceptions import RequestException

        if self._web3 is None:
            self._connect()
        from web3.exceptions import Web3Exception, Web3RPCError

        try:
            return self._web3.manager.request_blocking(method, params)
        except Web3RPCError as error:
            return self._refusal(error)
        except RequestException:
            # the original error holds the url, and a url may hold a key
            raise ChainUnavailableError(f"the node at {self.name} does not answer {method}: try again") from None
        except (Web3Exception, ValueError, TypeError, KeyError, AttributeError) as error:
            raise garbled(f"{method} was answered with something else ({type(error).__name__})") from error

    def _refusal(self, error: Any) -> Refusal:
        body = (error.rpc_response or {}).get("error")
        if not isinstance(body, dict):
            raise garbled("an error without code and message") from error
        refusal = Refusal(int(body["code"]), str(body["message"]))
        if refusal.code in _BUSY:
            raise ChainUnavailableError(f"the node at {self.name} is busy: {refusal.reason}") from error
        return refusal

    def _connect(self) -> None:
        import requests
        from web3 import HTTPProvider, Web3

        wire = self

        class BoundedProvider(HTTPProvider):
            global_ccip_read_enabled = False

            def make_request(self, method: Any, params: Any) -> Any:
                return wire._exchange(str(method), params)

        self._numbers = itertools.count(1)
        self._session = requests.Session()
        # a proxy of the environment has no business between this machine and itself
        self._session.trust_env = not self._loopback
        self._session.headers.update({"Content-Type": "application/json", "Accept-Encoding": "identity"})
        provider = BoundedProvider(self._url, session=self._session, exception_retry_configuration=None)
        self._web3 = Web3(provider, middleware=[])

    def _exchange(self, method: str, params: Any) -> dict[str, Any]:
        identifier = next(self._numbers)
        request = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        status, body = self._post(json.dumps(request).encode("ascii"), method)
        if status != 200 and not body.lstrip().startswith(b"{"):
            raise self._bad_status(status, method)
        try:
            result = parse_reply(body, identifier=identifier)
        except ChainError:
            if status != 200:
                raise self._bad_status(status, method) from None
            raise
        if isinstance(result, Refusal):
            return {"jsonrpc": "2.0", "id": identifier, "error": {"code": result.code, "message": result.reason}}
        return {"jsonrpc": "2.0", "id": identifier, "result": result}

    def _bad_status(self, status: int, method: str) -> ChainError:
        if status == 429 or status >= 500:
            return ChainUnavailableError(
                f"the node at {self.name} answered {method} with http status {status}: try again"
            )
        if 300 <= status < 400:
            return ChainError(f"the node at {self.name} redirects: give the url it redirects to", code="chain.reply")
        return ChainError(f"the node at {self.name} answered {method} with http status {status}", code="chain.reply")

    def _post(self, body: bytes, method: str) -> tuple[int, bytes]:
        deadline = time.monotonic() + self._timeout
        with self._session.post(
            self._url, data=body, timeout=self._timeout, stream=True, allow_redirects=False
        ) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise garbled("it is compressed, which was not asked for")
            received = bytearray()
            while True:
                chunk = self._read(response, method)
                if not chunk:
                    return response.status_code, bytes(received)
                received += chunk
                if len(received) > LARGEST_REPLY:
                    raise garbled(f"it is longer than {LARGEST_REPLY} bytes")
                if time.monotonic() > deadline:
                    raise ChainUnavailableError(
                        f"the node at {self.name} takes longer than {self._timeout:g} s: try again"
                    )

    def _read(self, response: Any, method: str) -> bytes:
        from urllib3.exceptions import HTTPError

        try:
            chunk: bytes = response.raw.read(_CHUNK, decode_content=False)
        except (HTTPError, OSError) as error:
            text = f"the node at {self.name} broke off its answer to {method}: {printable(type(error).__name__)}"
            raise ChainUnavailableError(text) from None
        return chunk

    def close(self) -> None:
        """Hang up; idempotent, and a later question connects again."""
        session, self._session, self._web3 = self._session, None, None
        if session is not None:
            session.close()
