"""Bytewords in their minimal form: two letters for a byte, with a CRC-32 behind (BCR-2020-012)."""

from __future__ import annotations

import zlib
from typing import Final

from bursar.errors import InvalidInputError

# the first and last letters of the 256 words, in the order of the bytes they stand for
_PAIRS: Final = (
    "aeadaoaxaaahamatayasbkbdbnbtbabsbebybgbwbbbzcmchcscfcycwcecackctcxclcpcndkdadsdidedtdrdndwdpdmdldyeheyeo"
    "eeecenemetesftfrfnfsfmfhfzfpfwfxfyfefgflfdgagegrgsgtglgwgdgygmgughgohfhghdhkhthphhhlhyhehnhsidiaieihiyio"
    "isinimjejzjnjtjljojsjpjkjykpkoktkskkknkgkekikblblalylflslrlplnltloldlelulklgmnmymhmemomumwmdmtmsmknlnynd"
    "nsntnnnenboyoeotoxonolospdptpkpypspmplpepfpaprqdqzrerprlrorhrdrkrfryrnrsrtsesasrssskswstspsosgsbsfsntotk"
    "titttdtetytltbtstptatnuyuoutueurvtvyvovlvevwvavdvswlwdwmwpwewywswtwnwzwfwkykynylyaytzszoztzczezm"
)
_LETTERS: Final = tuple(_PAIRS[place : place + 2] for place in range(0, 512, 2))
_BYTES: Final = {pair: value for value, pair in enumerate(_LETTERS)}


def encode(data: bytes) -> str:
    """Lower-case letters, two for each byte and eight for the checksum."""
    return "".join(_LETTERS[value] for value in data + zlib.crc32(data).to_bytes(4, "big"))


def decode(text: str) -> bytes:
    """The reverse; ``InvalidInputError`` (``input.qr``) for other letters or a wrong checksum."""
    try:
        raw = bytes(_BYTES[text[place : place + 2].lower()] for place in range(0, len(text), 2))
    except KeyError as error:
        raise InvalidInputError("qr refused: its text is no bytewords", code="input.qr") from error
    data, checksum = raw[:-4], raw[-4:]
    if len(raw) < 5 or zlib.crc32(data).to_bytes(4, "big") != checksum:
        raise InvalidInputError("qr refused: the checksum of its bytewords is wrong", code="input.qr")
    return data
