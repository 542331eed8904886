"""Replies of an Ethereum node (JSON-RPC 2.0), read as if the node were hostile: strict, bounded, typed errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.units import MAX_UINT256, Wei
from bursar.json_text import read_strictly

LARGEST_REPLY = 16 * 1024 * 1024
DEEPEST_REPLY = 32
_LONGEST_NUMBER = 40
_LONGEST_REASON = 300
_LONGEST_REVERT = 20_000
_QUANTITY = re.compile(r"0x(?:0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


def garbled(problem: str) -> ChainError:
    """The error for an answer that cannot be what was asked for."""
    return ChainError(f"the node's answer cannot be trusted: {problem}", code="chain.reply")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error object of the node: its code and its words, shortened and printable; what a contract reverted with."""

    code: int
    reason: str
    data: bytes = b""


def parse_reply(body: bytes, *, identifier: int, most: int = LARGEST_REPLY, deepest: int = DEEPEST_REPLY) -> Any:
    """The result of one JSON-RPC reply, or a :class:`Refusal`; ChainError (``chain.reply``) for anything else."""
    return _result(parse_json(body, most=most, deepest=deepest), identifier=identifier)


def parse_batch(body: bytes, *, identifiers: range, most: int = LARGEST_REPLY, deepest: int = DEEPEST_REPLY) -> Any:
    """The results of a batch as a list in the order of ``identifiers``; one :class:`Refusal` where all of it is."""
    replies = parse_json(body, most=most, deepest=deepest)
    if isinstance(replies, dict) and replies.get("jsonrpc") == "2.0" and replies.get("result") is None:
        return _refusal(replies.get("error"))
    if not isinstance(replies, list) or len(replies) != len(identifiers):
        raise garbled(f"a batch of {len(identifiers)} requests has another number of answers")
    found: dict[int, Any] = {}
    for one in replies:
        identifier = one.get("id") if isinstance(one, dict) else None
        if type(identifier) is not int or identifier not in identifiers or identifier in found:
            raise garbled("a batch has an answer to no request of it, or two to one")
        found[identifier] = _result(one, identifier=identifier)
    return [found[identifier] for identifier in identifiers]


def _result(reply: Any, *, identifier: int) -> Any:
    if not isinstance(reply, dict):
        raise garbled("it is not an object")
    if reply.get("jsonrpc") != "2.0":
        raise garbled("it is not JSON-RPC 2.0")
    error = reply.get("error")
    if error is not None:
        if reply.get("id") not in (identifier, None) or reply.get("result") is not None:
            raise garbled("its error belongs to another request or comes with a result")
        return _refusal(error)
    if type(reply.get("id")) is not int or reply["id"] != identifier:
        raise garbled("it belongs to another request")
    if "result" not in reply:
        raise garbled("it has neither a result nor an error")
    return reply["result"]


def _refusal(error: Any) -> Refusal:
    if not isinstance(error, dict) or type(error.get("code")) is not int or not isinstance(error.get("message"), str):
        raise garbled("its error has no code and message")
    data = error.get("data")
    if not isinstance(data, str) or len(data) > _LONGEST_REVERT or not _DATA.fullmatch(data):
        data = "0x"  # nodes put whatever they like there
    return Refusal(error["code"], printable(error["message"]), bytes.fromhex(data[2:]))


def printable(text: str) -> str:
    """A node's words, safe to show: one line of ascii of bounded length."""
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in text[:_LONGEST_REASON])
    return shown + ("..." if len(text) > _LONGEST_REASON else "")


def parse_json(body: bytes, *, most: int = LARGEST_REPLY, deepest: int = DEEPEST_REPLY) -> Any:
    """The JSON value of ``body``: no duplicate members, no NaN, numbers and nesting bounded, fractions exact."""
    if len(body) > most:
        raise garbled(f"it is longer than {most} bytes")
    try:
        return read_strictly(body, deepest=deepest, digits=_LONGEST_NUMBER, fraction=_fraction)
    except ValueError as error:  # also UnicodeDecodeError
        raise garbled(f"it is not JSON, {printable(str(error))}") from error


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of twenty digits
        raise ValueError("a number of absurd size") from None


def read_quantity(value: Any, *, name: str, most: int = MAX_UINT256) -> int:
    """An integer from 0 to ``most`` written as a JSON-RPC quantity."""
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise garbled(f"{name} is not a quantity")
    number = int(value, 16)
    if number > most:
        raise garbled(f"{name} is out of range")
    return number


def read_wei(value: Any, *, name: str, most: int = MAX_UINT256) -> Wei:
    """An amount of wei written as a quantity."""
    return Wei(read_quantity(value, name=name, most=most))


def read_data(value: Any, *, name: str, size: int | None = None) -> bytes:
    """Bytes, of exactly ``size`` when that is given."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise garbled(f"{name} is not hexadecimal data")
    data = bytes.fromhex(value[2:])
    if size is not None and len(data) != size:
        raise garbled(f"{name} has {len(data)} bytes, not {size}")
    return data


def read_hash(value: Any, *, name: str) -> str:
    """A 32-byte hash as lower-case text."""
    return "0x" + read_data(value, name=name, size=32).hex()


def read_address(value: Any, *, name: str) -> Address:
    """An address, in whatever case the node writes it."""
    return Address(read_data(value, name=name, size=20))


def read_object(value: Any, *, name: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise garbled(f"{name} is not an object")
    return value


def read_list(value: Any, *, name: str, most: int) -> list[Any]:
    """A JSON array of at most ``most`` items."""
    if not isinstance(value, list) or len(value) > most:
        raise garbled(f"{name} is not a list of at most {most} items")
    return value


def check_hash_text(text: str) -> str:
    """A transaction hash as a caller gives it, in lower case; InvalidInputError otherwise."""
    if not isinstance(text, str) or not re.fullmatch("0x[0-9a-fA-F]{64}", text):
        raise InvalidInputError("a transaction hash is 0x and 64 hexadecimal digits", code="input.txid")
    return text.lower()
