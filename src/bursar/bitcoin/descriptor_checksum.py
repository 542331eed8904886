"""The checksum behind a descriptor's ``#`` (BIP-380)."""

from __future__ import annotations

from typing import Final

from bursar.errors import InvalidInputError

LONGEST: Final = 100_000  # characters: no descriptor in use comes near
CHARACTERS: Final = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
_OUTPUT: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_VALUES: Final = {char: value for value, char in enumerate(CHARACTERS)}


def _mix(top: int) -> int:
    mixed = 0
    for bit, generator in enumerate(_GENERATORS):
        if top >> bit & 1:
            mixed ^= generator
    return mixed


_MIXED: Final = tuple(_mix(top) for top in range(32))


def check_length(text: str) -> None:
    """``InvalidInputError`` if ``text`` is longer than any descriptor."""
    if len(text) > LONGEST:
        raise InvalidInputError(
            f"descriptor of {len(text)} characters is too long: at most {LONGEST}", code="input.descriptor"
        )


def checksum(text: str) -> str:
    """The eight characters that belong behind ``#`` (BIP-380); ``text`` is the descriptor without them."""
    check_length(text)
    state = 1
    group = 0
    for count, char in enumerate(text, 1):
        value = _VALUES.get(char)
        if value is None:
            raise InvalidInputError(f"descriptor, character {count}: {char!r} is not allowed", code="input.descriptor")
        state = (state & 0x7FFFFFFFF) << 5 ^ value & 31 ^ _MIXED[state >> 35]
        group = 3 * group + (value >> 5)
        if count % 3 == 0:
            state = (state & 0x7FFFFFFFF) << 5 ^ group ^ _MIXED[state >> 35]
            group = 0
    if len(text) % 3:
        state = (state & 0x7FFFFFFFF) << 5 ^ group ^ _MIXED[state >> 35]
    for _ in range(8):
        state = (state & 0x7FFFFFFFF) << 5 ^ _MIXED[state >> 35]
    state ^= 1
    return "".join([_OUTPUT[state >> 5 * (7 - place) & 31] for place in range(8)])


def add_checksum(text: str) -> str:
    """``text`` with its checksum behind ``#``; one already there must be right."""
    bare = strip_checksum(text, required=False)
    return f"{bare}#{checksum(bare)}"


def strip_checksum(text: str, *, required: bool = True) -> str:
    """``text`` without its checksum; ``InvalidInputError`` (``input.descriptor.checksum``) if wrong or missing."""
    bare, mark, given = text.partition("#")
    if not mark:
        if required:
            raise InvalidInputError(
                f"descriptor has no checksum: it ends in #{checksum(bare)} if it is copied right",
                code="input.descriptor.checksum",
            )
        return bare
    if given != checksum(bare):
        raise InvalidInputError(
            f"descriptor, character {len(bare) + 2}: the checksum {given[:16]!r} is wrong: copy the descriptor again",
            code="input.descriptor.checksum",
        )
    return bare
