"""Output descriptors of single-key accounts with their checksum (BIP-380, 381, 382, 386, 389)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bursar.bitcoin.descriptor_checksum import add_checksum as add_checksum
from bursar.bitcoin.descriptor_checksum import checksum as checksum
from bursar.bitcoin.descriptor_checksum import strip_checksum as strip_checksum
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme

_WRAPPERS: Final = {
    Scheme.BIP44: ("pkh(", ")"),
    Scheme.BIP49: ("sh(wpkh(", "))"),
    Scheme.BIP84: ("wpkh(", ")"),
    Scheme.BIP86: ("tr(", ")"),
}
_KEY: Final = re.compile(
    r"\[([0-9a-fA-F]{8}(?:/[0-9]+[hH']?)*)\]([a-zA-Z0-9]{100,120})/(?:([0-9]{1,10})|<([0-9]{1,10});([0-9]{1,10})>)/\*"
)


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
