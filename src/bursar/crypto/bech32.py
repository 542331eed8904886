"""Bech32 (BIP-173) and Bech32m (BIP-350), raw and as segregated-witness addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import lru_cache, reduce
from operator import getitem, xor

from bursar.errors import InvalidInputError

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_LETTERS = _CHARSET.encode().ljust(256, b"?")
_VALUES = {character: value for value, character in enumerate(_CHARSET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CODE = "input.bech32."


class Variant(IntEnum):
    """Which checksum; the value is the constant the checksum ends on."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


def _feedback(top: int) -> int:
    return reduce(xor, (generator for bit, generator in enumerate(_GENERATORS) if top >> bit & 1), 0)


_FEEDBACK = tuple(_feedback(top) for top in range(32))


def _step(state: int, value: int) -> int:
    return (state & 0x1FFFFFF) << 5 ^ value ^ _FEEDBACK[state >> 25]


def _polymod(values: Iterable[int]) -> int:
    return reduce(_step, values, 1)


def _expand(hrp: str) -> list[int]:
    return [ord(character) >> 5 for character in hrp] + [0] + [ord(character) & 31 for character in hrp]


def _check_hrp(hrp: str) -> None:
    if not 1 <= len(hrp) <= 83 or any(not 33 <= ord(character) <= 126 for character in hrp):
        raise InvalidInputError("the human-readable part is 1 to 83 printable ascii characters", code=_CODE + "hrp")
    if hrp != hrp.lower():
        raise InvalidInputError(f"the human-readable part is written in lower case, not {hrp!r}", code=_CODE + "hrp")


def encode_raw(hrp: str, values: Sequence[int], variant: Variant, *, limit: int = 90) -> str:
    """Bech32 text of five-bit ``values``; the whole is at most ``limit`` characters (90 in BIP-173)."""
    _check_hrp(hrp)
    if any(type(value) is not int or not 0 <= value < 32 for value in values):
        raise InvalidInputError("bech32 carries values from 0 to 31", code=_CODE + "value")
    if len(hrp) + len(values) + 7 > limit:
        raise InvalidInputError(f"the bech32 text would be longer than {limit} characters", code=_CODE + "length")
    checksum = _polymod([*_expand(hrp), *values, 0, 0, 0, 0, 0, 0]) ^ variant
    symbols = [*values, *(checksum >> shift & 31 for shift in (25, 20, 15, 10, 5, 0))]
    return hrp + "1" + "".join([_CHARSET[symbol] for symbol in symbols])


def decode_raw(text: str, *, limit: int = 90) -> tuple[str, tuple[int, ...], Variant]:
    """The human-readable part (lower case), the five-bit values and the variant of a Bech32 text."""
    if len(text) > limit:
        raise InvalidInputError(f"a bech32 text has at most {limit} characters, not {len(text)}", code=_CODE + "length")
    if any(not 33 <= ord(character) <= 126 for character in text):
        raise InvalidInputError("a bech32 text is printable ascii without spaces", code=_CODE + "character")
    lowered = text.lower()
    if text not in (lowered, text.upper()):
        raise InvalidInputError("upper and lower case are mixed: copy the text again", code=_CODE + "case")
    hrp, separator, data = lowered.rpartition("1")
    if not separator or not hrp:
        raise InvalidInputError("the bech32 text has no human-readable part before a '1'", code=_CODE + "hrp")
    _check_hrp(hrp)
    if len(data) < 6:
        raise InvalidInputError("the bech32 text is too short to hold a checksum", code=_CODE + "length")
    values = []
    for position, character in enumerate(data, len(hrp) + 2):
        value = _VALUES.get(character)
        if value is None:
            raise InvalidInputError(f"character {position} is not in the bech32 alphabet", code=_CODE + "character")
        values.append(value)
    checksum = _polymod(_expand(hrp) + values)
    for variant in Variant:
        if checksum == variant:
            return hrp, tuple(values[:-6]), variant
    raise InvalidInputError(
        "the bech32 checksum does not match: look for a mistyped character", code=_CODE + "checksum"
    )


def to_values(data: bytes) -> list[int]:
    """Eight-bit ``data`` as five-bit values, zero bits appended to fill the last."""
    count = -(-len(data) * 8 // 5)
    number = int.from_bytes(data, "big") << (count * 5 - len(data) * 8)
    return [number >> shift & 31 for shift in range((count - 1) * 5, -1, -5)]


def from_values(values: Sequence[int]) -> bytes:
    """The bytes of five-bit ``values``; InvalidInputError unless the padding is under five bits and all zero."""
    number = reduce(lambda state, value: state << 5 | value, values, 0)
    padding = len(values) * 5 % 8
    if padding >= 5 or number & ((1 << padding) - 1):
        raise InvalidInputError("the bech32 text ends in wrong padding", code=_CODE + "padding")
    return (number >> padding).to_bytes(len(values) * 5 // 8, "big")


def _check_program(version: int, length: int) -> None:
    if not 0 <= version <= 16:
        raise InvalidInputError(f"a witness version is from 0 to 16, not {version}", code=_CODE + "version")
    if not 2 <= length <= 40:
        raise InvalidInputError(f"a witness program has 2 to 40 bytes, not {length}", code=_CODE + "program")
    if version == 0 and length not in (20, 32):
        raise InvalidInputError(f"a version 0 program has 20 or 32 bytes, not {length}", code=_CODE + "program")


@lru_cache(maxsize=16)
def _tables(hrp: str, version: int, length: int) -> tuple[str, int, int, tuple[tuple[int, ...], ...]]:
    """What ``encode`` needs for programs of one length: text before, symbol count, the zero program, byte tables.

    The symbols, one to a byte of an integer, and the checksum among them are an affine function of the program's bits:
    an address is the zero program's symbols and one table entry for each byte, all added without carry.
    """
    _check_hrp(hrp)
    _check_program(version, length)
    count = -(-length * 8 // 5)
    if len(hrp) + count + 8 > 90:
        raise InvalidInputError("the address would be longer than 90 characters", code=_CODE + "length")
    variant = Variant.BECH32M if version else Variant.BECH32

    def spread(checksum: int) -> int:
        return sum((checksum >> 5 * place & 31) << 8 * place for place in range(6))

    def contribution(symbol: int, bit: int) -> int:
        state = 1 << bit
        for _ in range(count - symbol + 5):
            state = _step(state, 0)
        return 1 << (8 * (count - symbol + 5) + bit) ^ spread(state)

    tables = []
    for place in range(length):
        entries = [0]
        for bit in range(8):  # from the lowest bit of the byte
            number = place * 8 + 7 - bit
            single = contribution(number // 5, 4 - number % 5)
            entries += [entry ^ single for entry in entries]
        tables.append(tuple(entries))
    zero = spread(_polymod([*_expand(hrp), version, *[0] * (count + 6)]) ^ variant)
    return hrp + "1" + _CHARSET[version], count + 6, zero, tuple(tables)


def encode(hrp: str, version: int, program: bytes) -> str:
    """The segregated-witness address of a witness program: Bech32 for version 0, Bech32m above (BIP-350)."""
    prefix, count, zero, tables = _tables(hrp, version, len(program))
    symbols = reduce(xor, map(getitem, tables, program), zero)
    return prefix + symbols.to_bytes(count, "big").translate(_LETTERS).decode()


def decode(hrp: str, text: str) -> tuple[int, bytes]:
    """The witness version and program of an address for the network of ``hrp``; InvalidInputError names the fault."""
    found, values, variant = decode_raw(text)
    if found != hrp:
        raise InvalidInputError(f"the address begins with {found!r}, not {hrp!r}: another network", code=_CODE + "hrp")
    if not values:
        raise InvalidInputError("the address holds no witness version", code=_CODE + "length")
    version = values[0]
    if version > 16:
        raise InvalidInputError(f"a witness version is from 0 to 16, not {version}", code=_CODE + "version")
    program = from_values(values[1:])
    _check_program(version, len(program))
    if (variant is Variant.BECH32M) != (version > 0):
        wanted = "bech32m" if version else "bech32"
        raise InvalidInputError(
            f"a version {version} address has a {wanted} checksum, and this one has the other: ask for it again",
            code=_CODE + "variant",
        )
    return version, program
