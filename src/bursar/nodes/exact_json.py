"""JSON (RFC 8259) without floats: fractions are ``Decimal`` both ways, amounts in BTC keep their eight places."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NoReturn

from bursar.bitcoin.units import COIN, MAX_MONEY
from bursar.errors import InvalidInputError
from bursar.json_text import nested_deeply

_SATOSHI: Final = Decimal("0.00000001")
_DEEPEST: Final = 64


class Btc(int):
    """An amount in satoshi that is written in BTC, as Bitcoin Core does: ``0.00015000``."""

    __slots__ = ()


def loads(data: bytes | str) -> Any:
    """The value of one JSON text; ``InvalidInputError`` (``input.json``) for anything else, however hostile."""
    if nested_deeply(data if isinstance(data, bytes) else data.encode("utf-8", "replace"), most=_DEEPEST):
        raise InvalidInputError("json is nested too deeply", code="input.json")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        return _DECODER.decode(text)
    except ValueError as error:  # also UnicodeDecodeError and integers of thousands of digits
        raise InvalidInputError(f"json cannot be read: {str(error)[:200]}", code="input.json") from error


def _decimal(text: str) -> Decimal:
    if len(text) > 64:
        raise ValueError("a number has too many digits")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


_DECODER: Final = json.JSONDecoder(parse_float=_decimal, parse_constant=_refuse)


def satoshi(value: Any) -> int:
    """A BTC amount from JSON (number or text) in satoshi, exactly; else ``InvalidInputError`` (``input.amount``)."""
    try:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str) or len(str(value)) > 64:
            raise ValueError
        amount = Decimal(value)
        if not amount.is_finite() or amount.adjusted() > 8:
            raise ValueError
        exact = amount.quantize(_SATOSHI)
        if exact != amount:
            raise ValueError
    except (ValueError, InvalidOperation):
        raise InvalidInputError(f"{str(value)[:64]!r} is not an amount in BTC", code="input.amount") from None
    number = int(exact.scaleb(8))
    if not 0 <= number <= MAX_MONEY:
        raise InvalidInputError(f"{str(value)[:64]} BTC is out of range", code="input.amount.range")
    return number


def dumps(value: Any) -> str:
    """Compact JSON text of ``None``, booleans, whole numbers, ``Btc``, ``Decimal``, texts, sequences and mappings."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring_ascii(value))
    elif value is None or isinstance(value, bool):
        parts.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, Btc):
        sign, amount = ("-", -value) if value < 0 else ("", value)
        parts.append(f"{sign}{amount // COIN}.{amount % COIN:08d}")
    elif isinstance(value, int):
        parts.append(int.__repr__(value))
    elif isinstance(value, Decimal):
        parts.append(str(value).lower())
    elif isinstance(value, dict):
        _write_object(value, parts)
    elif isinstance(value, list | tuple):
        parts.append("[")
        for position, item in enumerate(value):
            if position:
                parts.append(",")
            _write(item, parts)
        parts.append("]")
    else:
        raise TypeError(f"{type(value).__name__} has no place in JSON")


def _write_object(value: dict[str, Any], parts: list[str]) -> None:
    parts.append("{")
    for position, (key, item) in enumerate(value.items()):
        if position:
            parts.append(",")
        parts.append(encode_basestring_ascii(key))
        parts.append(":")
        _write(item, parts)
    parts.append("}")
