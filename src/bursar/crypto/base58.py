"""Base58 and Base58Check, as Bitcoin writes addresses and extended keys."""

from __future__ import annotations

from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_LONGEST = 1024  # the conversion is quadratic: nothing in Bitcoin comes near


def encode(data: bytes) -> str:
    """``data`` (at most 1,024 bytes) in Base58, one ``1`` for each leading zero byte."""
    if len(data) > _LONGEST:
        raise InvalidInputError(f"base58 is for at most {_LONGEST} bytes, not {len(data)}", code="input.base58.length")
    number = int.from_bytes(data, "big")
    zeros = len(data) - len(data.lstrip(b"\x00"))
    pieces = []
    while number:
        number, pair = divmod(number, 3364)
        pieces.append(_PAIRS[pair])
    text = "".join(reversed(pieces)).lstrip("1")
    return "1" * zeros + text


def decode(text: str) -> bytes:
    """The bytes of a Base58 text; InvalidInputError on any other character."""
    if len(text) > 2 * _LONGEST:
        raise InvalidInputError(f"the base58 text is too long: {len(text)} characters", code="input.base58.length")
    number = 0
    for position, character in enumerate(text):
        value = _VALUES.get(character)
        if value is None:
            raise InvalidInputError(f"character {position + 1} is not base58", code="input.base58.character")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_check(payload: bytes) -> str:
    """``payload`` and its four checksum bytes in Base58."""
    return encode(payload + sha256d(payload)[:4])


def decode_check(text: str) -> bytes:
    """The payload of a Base58Check text; InvalidInputError (``input.base58.checksum``) if it does not match."""
    data = decode(text)
    if len(data) < 4:
        raise InvalidInputError("the base58 text is too short to hold a checksum", code="input.base58.length")
    payload, checksum = data[:-4], data[-4:]
    if sha256d(payload)[:4] != checksum:
        raise InvalidInputError(
            "the base58 checksum does not match: look for a mistyped character", code="input.base58.checksum"
        )
    return payload
