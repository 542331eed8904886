"""Functions, events and errors of contracts from human-readable signatures or JSON: selectors, topics, calls, logs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from bursar.crypto.hashes import keccak256
from bursar.ethereum.abi.codec import decode, encode
from bursar.ethereum.abi.types import MOST_COMPONENTS, MOST_DEPTH, AbiType, Kind, abi_error, split

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}", re.ASCII)
_MODIFIERS: Final = frozenset(("public", "external", "internal", "view", "pure", "payable", "nonpayable", "virtual"))
_PLACES: Final = frozenset(("memory", "calldata", "storage"))
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; the name may be empty."""

    type: AbiType
    name: str = ""
    indexed: bool = False


@dataclass(frozen=True, slots=True)
class AbiFunction:
    """A function of a contract, or an error it reverts with, which is encoded the same way."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...] = ()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``transfer(address,uint256)`` or ``function transfer(address to, uint256 amount) returns (bool)``."""
        text = _without_keyword(text, ("function", "error"))
        head, returns, tail = text.partition(" returns")
        name, inputs, rest = _head(head)
        if not set(rest.split()) <= _MODIFIERS:
            raise abi_error(f"{text[:60]!r} goes on after its parameters")
        outputs = tail.strip()
        if returns and (outputs[:1] != "(" or outputs[-1:] != ")"):
            raise abi_error(f"{text[:60]!r} returns nothing that stands in brackets")
        return cls(name, inputs, _parameters(outputs[1:-1]) if returns else ())

    @property
    def signature(self) -> str:
        """The canonical signature, ``transfer(address,uint256)``."""
        return f"{self.name}({','.join(str(one.type) for one in self.inputs)})"

    @property
    def selector(self) -> bytes:
        """The four bytes a call begins with."""
        return keccak256(self.signature.encode("ascii"))[:4]

    def encode_call(self, *values: Any) -> bytes:
        """Calldata: the selector and ``values``."""
        return self.selector + encode([one.type for one in self.inputs], values)

    def decode_call(self, data: bytes) -> tuple[Any, ...]:
        """The values in calldata of this function; anything else is refused (``input.abi``)."""
        if type(data) is not bytes or data[:4] != self.selector:
            raise abi_error(f"this is no call of {self.signature}: its first four bytes are others")
        return decode([one.type for one in self.inputs], data[4:])

    def decode_result(self, data: bytes) -> tuple[Any, ...]:
        """The values a call returned."""
        return decode([one.type for one in self.outputs], data)


@dataclass(frozen=True, slots=True)
class AbiEvent:
    """An event of a contract."""

    name: str
    inputs: tuple[Parameter, ...]
    anonymous: bool = False

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``event Transfer(address indexed from, address indexed to, uint256 value)``, ``event`` optional."""
        name, inputs, rest = _head(_without_keyword(text, ("event",)), indexed=True)
        if rest.strip() not in ("", "anonymous"):
            raise abi_error(f"{text[:60]!r} goes on after its parameters")
        return cls(name, inputs, bool(rest.strip()))

    @property
    def signature(self) -> str:
        """The canonical signature, ``Transfer(address,address,uint256)``."""
        return f"{self.name}({','.join(str(one.type) for one in self.inputs)})"

    @property
    def topic(self) -> bytes:
        """The first topic of its logs, unless it is anonymous."""
        return keccak256(self.signature.encode("ascii"))

    def decode(self, topics: Sequence[bytes], data: bytes) -> tuple[Any, ...]:
        """The values of a log in the order of the parameters.

        Of an indexed string, bytes, array or tuple a log holds the Keccak-256 only: those are given as 32 bytes.
        """
        rest = list(topics) if self.anonymous else list(topics[1:])
        if not self.anonymous and (not topics or topics[0] != self.topic):
            raise abi_error(f"this is no log of {self.signature}: its first topic is another")
        indexed = [one for one in self.inputs if one.indexed]
        if len(rest) != len(indexed) or any(type(topic) is not bytes or len(topic) != 32 for topic in rest):
            raise abi_error(
                f"a log of {self.signature} has {len(indexed)} topics of 32 bytes for its indexed parameters"
            )
        plain = iter(decode([one.type for one in self.inputs if not one.indexed], data))
        found = (
            topic if _hashed(one.type) else decode([one.type], topic)[0]
            for one, topic in zip(indexed, rest, strict=True)
        )
        return tuple(next(found) if one.indexed else next(plain) for one in self.inputs)


REVERT: Final = AbiFunction("Error", (Parameter(AbiType(Kind.STRING), "reason"),))
PANIC: Final = AbiFunction("Panic", (Parameter(AbiType(Kind.UINT, 32), "code"),))


def read_abi(entries: object) -> tuple[AbiFunction | AbiEvent, ...]:
    """The functions, events and errors of a compiler's JSON ABI, a list already parsed; the rest is left out."""
    if not isinstance(entries, list) or len(entries) > 4096:
        raise abi_error("a json abi is a list of at most 4096 entries")
    return tuple(_entry(one) for one in entries if isinstance(one, dict) and one.get("type") in _ENTRY_KINDS)


_ENTRY_KINDS: Final = ("function", "event", "error")


def _entry(data: Mapping[str, Any]) -> AbiFunction | AbiEvent:
    name = data.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise abi_error(f"{name!r:.60} is no name of a function or event")
    inputs = _json_parameters(data.get("inputs", []))
    if data["type"] == "event":
        return AbiEvent(name, inputs, data.get("anonymous") is True)
    return AbiFunction(name, inputs, _json_parameters(data.get("outputs", [])))


def _json_parameters(data: object) -> tuple[Parameter, ...]:
    if not isinstance(data, list) or len(data) > MOST_COMPONENTS:
        raise abi_error(f"parameters are a list of at most {MOST_COMPONENTS}")
    return tuple(_json_parameter(one) for one in data)


def _json_parameter(data: object) -> Parameter:
    if not isinstance(data, dict) or not isinstance(data.get("name", ""), str):
        raise abi_error("a parameter of a json abi has a type and a name")
    return Parameter(AbiType.from_text(_json_type(data, MOST_DEPTH)), data.get("name", ""), data.get("indexed") is True)


def _json_type(data: object, depth: int) -> str:
    text = data.get("type") if isinstance(data, dict) else None
    if not isinstance(text, str) or not depth:
        raise abi_error(f"the type of a parameter is a text, and not deeper than {MOST_DEPTH}")
    if text[:5] != "tuple" or not isinstance(data, dict):
        return text
    components = data.get("components")
    if not isinstance(components, list) or len(components) > MOST_COMPONENTS:
        raise abi_error("a tuple of a json abi has a list of components")
    return f"({','.join(_json_type(one, depth - 1) for one in components)}){text[5:]}"


def _hashed(kind: AbiType) -> bool:
    return bool(kind.levels) or kind.kind in (Kind.BYTES, Kind.STRING, Kind.TUPLE)


def _without_keyword(text: str, keywords: tuple[str, ...]) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise abi_error("a signature is a text of at most 4096 characters")
    first, space, rest = text.strip().partition(" ")
    return rest.strip() if space and first in keywords else text.strip()


def _head(text: str, *, indexed: bool = False) -> tuple[str, tuple[Parameter, ...], str]:
    """Name and parameters, and what follows them."""
    name, bracket, _ = text.partition("(")
    end = text.rfind(")")
    if not _NAME.fullmatch(name) or not bracket or end < 0:
        raise abi_error(f"{text[:60]!r} is no signature: a name and types in brackets, like transfer(address,uint256)")
    return name, _parameters(text[len(name) + 1 : end], indexed=indexed), text[end + 1 :]


def _parameters(text: str, *, indexed: bool = False) -> tuple[Parameter, ...]:
    return tuple(_parameter(part.strip(), indexed) for part in split(text))


def _parameter(text: str, indexed: bool) -> Parameter:
    kind, words = _type_and_words(text, MOST_DEPTH)
    marked = indexed and words[:1] == ["indexed"]
    if marked or (words and words[0] in _PLACES):
        words = words[1:]
    return Parameter(AbiType.from_text(kind), _named(words, text), marked)


def _type_and_words(text: str, depth: int) -> tuple[str, list[str]]:
    """The type that ``text`` begins with, the names of its components left out, and the words after it."""
    text = text.strip()
    if not depth:
        raise abi_error(f"types lie deeper than {MOST_DEPTH}")
    end = text.rfind(")")
    if not text.startswith(("(", "tuple(")) or end < 0:
        kind, _, rest = text.partition(" ")
        return kind, rest.split()
    parts = []
    for part in split(text[text.index("(") + 1 : end]):
        kind, words = _type_and_words(part, depth - 1)
        _named(words, part)
        parts.append(kind)
    arrays, _, rest = text[end + 1 :].partition(" ")
    return f"({','.join(parts)}){arrays}", rest.split()


def _named(words: list[str], text: str) -> str:
    """The one name in ``words``, or none."""
    if len(words) > 1 or (words and not _NAME.fullmatch(words[0])):
        raise abi_error(f"{text[:60]!r} is no parameter: a type and a name")
    return words[0] if words else ""
