"""Output descriptors of single-key accounts with their checksum (BIP-380, 381, 382, 386, 389)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme

_INPUT: Final = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
_OUTPUT: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_LONGEST: Final = 100_000  # characters: the checksum is slow, and no descriptor in use comes near
_WRAPPERS: Final = {
    Scheme.BIP44: ("pkh(", ")"),
    Scheme.BIP49: ("sh(wpkh(", "))"),
    Scheme.BIP84: ("wpkh(", ")"),
    Scheme.BIP86: ("tr(", ")"),
}
_KEY: Final = re.compile(
    r"\[([0-9a-fA-F]{8}(?:/[0-9]+[hH']?)*)\]([a-zA-Z0-9]{100,120})/(?:([0-9]{1,10})|<([0-9]{1,10});([0-9]{1,10})>)/\*"
)


def _step(state: int, value: int) -> int:
    top = state >> 35
    state = (state & 0x7FFFFFFFF) << 5 ^ value
    for bit, generator in enumerate(_GENERATORS):
        if top >> bit & 1:
            state ^= generator
    return state


def checksum(text: str) -> str:
    """The eight characters that belong behind ``#`` (BIP-380); ``text`` is the descriptor without them."""
    if len(text) > _LONGEST:
        raise InvalidInputError(
            f"descriptor of {len(text)} characters is too long: at most {_LONGEST}", code="input.descriptor"
        )
    state = 1
    group = 0
    for count, char in enumerate(text, 1):
        value = _INPUT.find(char)
        if value < 0:
            raise InvalidInputError(f"descriptor character {char!r} is not allowed", code="input.descriptor")
        state = _step(state, value & 31)
        group = 3 * group + (value >> 5)
        if count % 3 == 0:
            state = _step(state, group)
            group = 0
    if len(text) % 3:
        state = _step(state, group)
    for _ in range(8):
        state = _step(state, 0)
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
            f"descriptor checksum {given[:16]!r} is wrong: copy the descriptor again", code="input.descriptor.checksum"
        )
    return bare


@dataclass(frozen=True, slots=True)
class SingleKeyDescriptor:
    """``pkh``, ``sh(wpkh)``, ``wpkh`` or ``tr`` over one extended key with origin; one or two ``branches``."""

    scheme: Scheme
    origin: KeyOrigin
    xpub: ExtendedPublicKey
    branches: tuple[int, ...]

    def __str__(self) -> str:
        before, after = _WRAPPERS[self.scheme]
        numbers = [str(branch) for branch in self.branches]
        branch = numbers[0] if len(numbers) == 1 else f"<{';'.join(numbers)}>"
        return add_checksum(f"{before}[{self.origin}]{self.xpub}/{branch}/*{after}")

    @classmethod
    def from_text(cls, text: str, *, checksum_required: bool = True) -> SingleKeyDescriptor:
        """Raises ``InvalidInputError`` (``input.descriptor``) for any other kind of descriptor."""
        bare = strip_checksum(text, required=checksum_required)
        for scheme, (before, after) in _WRAPPERS.items():
            if bare.startswith(before) and bare.endswith(after):
                match = _KEY.fullmatch(bare[len(before) : len(bare) - len(after)])
                if match is None:
                    continue
                numbers = [number for number in match.groups()[2:] if number is not None]
                if any(str(int(number)) != number or int(number) >= 1 << 31 for number in numbers):
                    break
                return cls(
                    scheme,
                    KeyOrigin.from_text(match[1]),
                    ExtendedPublicKey.from_text(match[2]),
                    tuple(int(number) for number in numbers),
                )
        raise InvalidInputError(
            "descriptor is not pkh, sh(wpkh), wpkh or tr over one [origin]xpub/branch/*", code="input.descriptor"
        )
