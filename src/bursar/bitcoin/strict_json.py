"""JSON (RFC 8259) from strangers: bounded size and depth, no name twice, fractions exact, canonical writing."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import Any, Final

from bursar.errors import InvalidInputError
from bursar.json_text import read_strictly

_LONGEST_NUMBER: Final = 40  # digits: no amount, height or rate needs more


def parse(data: bytes | str, *, what: str, code: str, largest: int, deepest: int = 16) -> Any:
    """The value of one JSON text of at most ``largest`` bytes; fractions are ``Decimal``.

    ``InvalidInputError`` with ``code``, calling the text ``what``, for anything else, however hostile.
    """
    text = decoded(data, what=what, code=code, largest=largest)
    try:
        value = read_strictly(text, deepest=deepest, digits=_LONGEST_NUMBER, fraction=_fraction)
        if "\\u" in text:
            write(value).encode()  # an escape may have made half a character
    except ValueError as error:
        raise InvalidInputError(f"{what} is not the JSON expected: {str(error)[:120]}", code=code) from error
    return value


def decoded(data: bytes | str, *, what: str, code: str, largest: int) -> str:
    """``data`` as text: UTF-8 of at most ``largest`` bytes, without lone surrogates."""
    if len(data) > largest:
        raise InvalidInputError(f"{what} of {len(data)} bytes is too large: at most {largest}", code=code)
    try:
        raw = data.encode("utf-8") if isinstance(data, str) else bytes(data)
        text = raw.decode("utf-8")
    except UnicodeError as error:
        raise InvalidInputError(f"{what} is not UTF-8 text", code=code) from error
    if len(raw) > largest:
        raise InvalidInputError(f"{what} of {len(raw)} bytes is too large: at most {largest}", code=code)
    return text


def write(value: Any, *, indent: int | None = None) -> str:
    """JSON text of ``None``, booleans, whole numbers, ``Decimal``, texts, lists, tuples and dicts with text names.

    Compact as ``{"a": 1}``, or over several lines with ``indent``. A float is refused: ``TypeError``.
    """
    parts: list[str] = []
    _write(value, parts, "" if indent is None else "\n", " " * (indent or 0))
    return "".join(parts)


def _fraction(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("a number is out of range") from None


def _write(value: Any, parts: list[str], line: str, step: str) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif value is None or isinstance(value, bool):
        parts.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        parts.append(int.__repr__(value))
    elif isinstance(value, Decimal) and value.is_finite():
        parts.append(str(value))
    elif isinstance(value, dict):
        _write_items([(f"{encode_basestring(name)}: ", item) for name, item in value.items()], "{}", parts, line, step)
    elif isinstance(value, list | tuple):
        _write_items([("", item) for item in value], "[]", parts, line, step)
    else:
        raise TypeError(f"{type(value).__name__} has no place in JSON")


def _write_items(items: list[tuple[str, Any]], brackets: str, parts: list[str], line: str, step: str) -> None:
    inner = line + step if line else ""
    parts.append(brackets[0])
    for place, (name, item) in enumerate(items):
        if place:
            parts.append("," if line else ", ")
        parts += [inner, name]
        _write(item, parts, inner, step)
    if items:
        parts.append(line)
    parts.append(brackets[1])
