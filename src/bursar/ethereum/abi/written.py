"""Values of the contract ABI as people write them, and as they are shown: the way of a command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bursar.ethereum.abi.types import AbiType, Kind, abi_error
from bursar.ethereum.address import Address
from bursar.ethereum.units import Wei
from bursar.json_text import nested_deeply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.ethereum.abi.signatures import Parameter

MOST_CHARACTERS: Final = 262_144
MOST_DEPTH: Final = 20


def read_values(parameters: Sequence[Parameter], texts: Sequence[str]) -> list[Any]:
    """One value for each parameter, for ``encode_call``; ``input.abi`` names the parameter that does not fit.

    Numbers are decimal, ``0x`` hex, or amounts with a unit of ether (``1.5eth`` is 10^18 and a half of it); bytes are
    ``0x`` hex; truth is ``true`` or ``false``; arrays and tuples are JSON lists with texts in them.
    """
    if len(texts) != len(parameters):
        kinds = ", ".join(f"{one.type} {one.name}".strip() for one in parameters) or "none"
        raise abi_error(f"{len(texts)} values are given and {len(parameters)} are needed: {kinds}")
    return [
        _read(one.type, text, one.name or f"value {place}")
        for place, (one, text) in enumerate(zip(parameters, texts, strict=True), 1)
    ]


def _read(kind: AbiType, text: str, where: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise abi_error(f"{where}: longer than {MOST_CHARACTERS} characters")
    if not kind.levels and kind.kind is not Kind.TUPLE:
        return _plain(kind, text, where)
    try:
        if nested_deeply(text.encode("utf-8"), most=MOST_DEPTH):
            raise ValueError("too deep")
        listed = json.loads(text, parse_float=_refuse, parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError, UnicodeEncodeError) as error:
        raise abi_error(f'{where}: a {kind} is written as a JSON list, as in ["1", "2"]') from error
    return _listed(kind, listed, where)


def _listed(kind: AbiType, value: object, where: str) -> Any:
    if kind.levels or kind.kind is Kind.TUPLE:
        if not isinstance(value, list):
            raise abi_error(f"{where}: a {kind} is written as a JSON list")
        kinds = (kind.item,) * len(value) if kind.levels else kind.components
        if len(value) != len(kinds):
            raise abi_error(f"{where}: {kind} has {len(kinds)} parts, and {len(value)} are given")
        return [
            _listed(part, one, f"{where}[{place}]") for place, (part, one) in enumerate(zip(kinds, value, strict=True))
        ]
    if isinstance(value, bool) and kind.kind is Kind.BOOL:
        return value
    if not isinstance(value, str):
        raise abi_error(f"{where}: a {kind} stands in quotes")
    return _plain(kind, value, where)


def _plain(kind: AbiType, text: str, where: str) -> Any:
    match kind.kind:
        case Kind.STRING:
            return text
        case Kind.BOOL if text in ("true", "false"):
            return text == "true"
        case Kind.ADDRESS:
            return Address.from_text(text)
        case Kind.UINT | Kind.INT:
            return _number(text, where)
        case Kind.BYTES | Kind.FIXED_BYTES:
            return _bytes(kind, text, where)
    raise abi_error(f"{where}: {text[:60]!r} is no {kind}")


def _number(text: str, where: str) -> int:
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= 80:
        return int(text)
    if digits[:2] == "0x" and 2 < len(digits) <= 66 and all(one in "0123456789abcdefABCDEF" for one in digits[2:]):
        return int(text, 16)
    if digits[-1:].isalpha() and digits[:2] != "0x":
        return int(Wei.from_text(digits)) * (-1 if digits != text else 1)
    raise abi_error(f"{where}: {text[:60]!r} is no number: write 1000000, 0xf4240 or 1.5eth")


def _bytes(kind: AbiType, text: str, where: str) -> bytes:
    try:
        if text[:2] != "0x" or not text.isascii() or any(one.isspace() for one in text):
            raise ValueError
        found = bytes.fromhex(text[2:])
    except ValueError:
        raise abi_error(f"{where}: {kind} is written as 0x and pairs of hex digits") from None
    if kind.kind is Kind.FIXED_BYTES and len(found) != kind.size:
        raise abi_error(f"{where}: {len(found)} bytes are given for {kind}")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(text)


def shown(value: Any) -> Any:
    """A decoded value as JSON data that nothing rounds: numbers as text, bytes as ``0x`` hex, arrays as lists."""
    match value:
        case bool() | str():
            return value
        case int():
            return str(value)
        case bytes():
            return "0x" + value.hex()
        case list() | tuple():
            return [shown(one) for one in value]
    return str(value)
