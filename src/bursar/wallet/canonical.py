"""Canonical JSON (sorted keys, no spaces, ASCII with escapes, no floats) and the digests taken over it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bursar.errors import InvalidInputError


def canonical_json(value: object) -> bytes:
    """The one byte string that stands for ``value``: dicts with text keys, lists, text, integers, booleans and null."""
    _check(value, "value")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of ``value``, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def open_record(data: object, kind: str, version: int) -> dict[str, Any]:
    """``data`` as a dict, once its ``kind`` and ``version`` are the expected ones; ``InvalidInputError`` otherwise."""
    if not isinstance(data, dict):
        raise InvalidInputError(f"a {kind} is a json object, not {type(data).__name__}", code="input.json")
    if data.get("kind") != kind:
        raise InvalidInputError(f"expected a {kind}, found {str(data.get('kind'))[:40]!r}", code="input.json")
    found = data.get("version")
    if type(found) is not int or found != version:
        raise InvalidInputError(
            f"{kind} version {str(found)[:20]} is not readable here (known: {version})", code="input.json"
        )
    return data


def field(data: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """``data[name]`` when it has exactly one of the types ``kind`` (``bool`` is not ``int`` here)."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if name not in data:
        raise InvalidInputError(f"field {name!r} is missing", code="input.json")
    value = data[name]
    if type(value) not in kinds:
        raise InvalidInputError(f"field {name!r} has the wrong type {type(value).__name__}", code="input.json")
    return value


def _check(value: object, where: str) -> None:
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInputError(f"{where}: keys must be text", code="input.json")
            _check(item, f"{where}.{key}")
        return
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{where}[{index}]")
        return
    raise InvalidInputError(f"{where}: {type(value).__name__} has no canonical json form", code="input.json")
