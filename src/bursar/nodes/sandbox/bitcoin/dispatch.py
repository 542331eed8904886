"""The table of JSON-RPC methods, calls by position or name, batches, and both envelopes (1.0 and 2.0)."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bursar.errors import BursarError, InvalidInputError
from bursar.nodes import exact_json
from bursar.nodes.exact_json import Btc
from bursar.nodes.sandbox.bitcoin import params, rpc_chain, rpc_filters, rpc_mining, rpc_package, rpc_scan, rpc_tx
from bursar.nodes.sandbox.bitcoin.admission import MIN_RELAY
from bursar.nodes.sandbox.bitcoin.params import RpcError
from bursar.nodes.sandbox.bitcoin.replace import INCREMENTAL_RELAY

if TYPE_CHECKING:
    from bursar.nodes.sandbox.bitcoin.chain import RegtestChain

MAX_BATCH: Final = 10_000
CORE_VERSION: Final = 280100  # whose answers these are modelled on
_ALIASES: Final = {"verbose": "verbosity"}
_STATUS: Final = {params.INVALID_REQUEST: 400, params.NO_METHOD: 404}


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back over HTTP."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class _Method:
    call: Callable[..., Any]
    names: tuple[str, ...]
    required: int
    text: str

    @classmethod
    def of(cls, call: Callable[..., Any], *subject: object) -> _Method:
        """From a function whose leading arguments are ``subject``."""
        bound = functools.partial(call, *subject)
        parameters = inspect.signature(bound).parameters
        required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters.values())
        return cls(bound, tuple(parameters), required, inspect.getdoc(call) or "")

    def usage(self, name: str) -> str:
        """One line: the name and its parameters, the optional ones in brackets."""
        shown = [word if at < self.required else f"({word})" for at, word in enumerate(self.names)]
        return " ".join([name, *shown])


class Dispatcher:
    """Answers JSON-RPC request bodies about one chain."""

    def __init__(self, chain: RegtestChain, *, stop: threading.Event) -> None:
        self._chain = chain
        self._stop = stop
        self._started = time.monotonic()
        rooms = (rpc_chain, rpc_tx, rpc_package, rpc_mining, rpc_scan, rpc_filters)
        own = (self.getnetworkinfo, self.getzmqnotifications, self.uptime, self.help, self.stop, self.ping)
        self._methods = {call.__name__: _Method.of(call, chain) for room in rooms for call in room.METHODS}
        self._methods |= {call.__name__: _Method.of(call) for call in own}

    def answer(self, body: bytes) -> Reply | None:
        """The reply to one HTTP body; ``None`` when it held notifications only."""
        try:
            request = exact_json.loads(body)
        except InvalidInputError:
            return self._failure(RpcError(params.PARSE, "Parse error"), None)
        if isinstance(request, list):
            return self._batch(request)
        if not isinstance(request, dict):
            return self._failure(RpcError(params.PARSE, "Top-level object parse error"), None)
        reply, error = self._single(request)
        if reply is None:
            return None
        status = 200 if error is None or reply.get("jsonrpc") == "2.0" else _STATUS.get(error.rpc_code, 500)
        return Reply(status, exact_json.dumps(reply) + "\n")

    def _batch(self, requests: list[Any]) -> Reply | None:
        if len(requests) > MAX_BATCH:
            return self._failure(RpcError(params.INVALID_REQUEST, f"at most {MAX_BATCH} calls in a batch"), None)
        replies = [reply for reply, _ in map(self._single, requests) if reply is not None]
        if requests and not replies:
            return None
        return Reply(200, exact_json.dumps(replies) + "\n")

    def _failure(self, error: RpcError, request_id: Any) -> Reply:
        body = {"result": None, "error": {"code": error.rpc_code, "message": error.message}, "id": request_id}
        return Reply(_STATUS.get(error.rpc_code, 500), exact_json.dumps(body) + "\n")

    def _single(self, request: Any) -> tuple[dict[str, Any] | None, RpcError | None]:
        """The envelope that answers one call, ``None`` for a notification, and the error it holds."""
        second = isinstance(request, dict) and request.get("jsonrpc") == "2.0"
        request_id = request.get("id") if isinstance(request, dict) else None
        result, failure = None, None
        try:
            result = self._call(*_unpack(request))
        except RpcError as error:
            failure = error
        except BursarError as error:  # the chain refused: what was asked cannot be done
            failure = RpcError(params.MISC, error.message)
        if second and "id" not in request:
            return None, failure
        problem = None if failure is None else {"code": failure.rpc_code, "message": failure.message}
        if second:
            inside = {"result": result} if problem is None else {"error": problem}
            return {"jsonrpc": "2.0", **inside, "id": request_id}, failure
        return {"result": result, "error": problem, "id": request_id}, failure

    def _call(self, name: str, given: list[Any] | dict[str, Any]) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(params.NO_METHOD, "Method not found")
        arguments = self._arguments(name, method, given)
        with self._chain.lock:
            return method.call(**arguments)

    def _arguments(self, name: str, method: _Method, given: list[Any] | dict[str, Any]) -> dict[str, Any]:
        """Arguments by name; null stands for the default, as in Core."""
        if isinstance(given, list):
            if len(given) > len(method.names):
                raise RpcError(params.MISC, f"{method.usage(name)}\n\n{method.text}")
            named = dict(zip(method.names, given, strict=False))
        else:
            positional = given.get("args", [])
            named = dict(zip(method.names, positional, strict=False)) if isinstance(positional, list) else {}
            for key, value in given.items():
                known = key if key in method.names else _ALIASES.get(key, key)
                if key == "args":
                    continue
                if known not in method.names:
                    raise RpcError(params.PARAMETER, f"Unknown named parameter {key[:60]}")
                if known in named:
                    raise RpcError(params.PARAMETER, f"Parameter {key} specified twice")
                named[known] = value
        arguments = {key: value for key, value in named.items() if value is not None}
        if any(word not in arguments for word in method.names[: method.required]):
            raise RpcError(params.MISC, f"{method.usage(name)}\n\n{method.text}")
        return arguments

    def getnetworkinfo(self) -> Any:
        """State of the network; this node has no peers."""
        return {
            "version": CORE_VERSION,
            "subversion": "/Satoshi:28.1.0(bursar sandbox)/",
            "protocolversion": 70016,
            "localservices": "0000000000000409",
            "localservicesnames": ["NETWORK", "WITNESS", "NETWORK_LIMITED"],
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": False,
            "connections": 0,
            "connections_in": 0,
            "connections_out": 0,
            "networks": [],
            "relayfee": Btc(MIN_RELAY.sat_per_kvb),
            "incrementalfee": Btc(INCREMENTAL_RELAY.sat_per_kvb),
            "localaddresses": [],
            "warnings": [],
        }

    def getzmqnotifications(self) -> Any:
        """The notifications this node publishes over ZeroMQ, and where."""
        return list(self._chain.notifications)

    def uptime(self) -> Any:
        """Seconds since the server started."""
        return int(time.monotonic() - self._started)

    def ping(self) -> Any:
        """Nothing: there are no peers."""
        return

    def help(self, command: Any = "") -> Any:
        """All methods, or one of them."""
        wanted = params.text(command)
        if not wanted:
            return "\n".join(sorted(method.usage(name) for name, method in self._methods.items()))
        method = self._methods.get(wanted)
        if method is None:
            return f"help: unknown command: {wanted[:60]}\n"
        return f"{method.usage(wanted)}\n\n{method.text}"

    def stop(self) -> Any:
        """Ask the server to stop."""
        self._stop.set()
        return "Bitcoin Core stopping"


def _unpack(request: Any) -> tuple[str, list[Any] | dict[str, Any]]:
    if not isinstance(request, dict):
        raise RpcError(params.INVALID_REQUEST, "Invalid Request object")
    version = request.get("jsonrpc")
    if version is not None and not isinstance(version, str):
        raise RpcError(params.INVALID_REQUEST, "jsonrpc field must be a string")
    if version not in (None, "1.0", "2.0"):
        raise RpcError(params.INVALID_REQUEST, "JSON-RPC version not supported")
    name = request.get("method")
    if name is None:
        raise RpcError(params.INVALID_REQUEST, "Missing method")
    if not isinstance(name, str):
        raise RpcError(params.INVALID_REQUEST, "Method must be a string")
    given = request.get("params")
    if given is None:
        given = []
    if not isinstance(given, list | dict):
        raise RpcError(params.INVALID_REQUEST, "Params must be an array or object")
    return name, given
