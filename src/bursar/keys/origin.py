"""Key origins (BIP-380): the master key's fingerprint and the path walked from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from bursar.errors import InvalidInputError
from bursar.keys.path import DerivationPath

_FINGERPRINT = re.compile("[0-9a-fA-F]{8}")


class Fingerprint(bytes):
    """The first four bytes of a public key's hash160 (BIP-32); its text is eight hex digits."""

    __slots__ = ()

    def __new__(cls, value: bytes) -> Self:
        if not isinstance(value, bytes | bytearray) or len(value) != 4:
            raise InvalidInputError("a fingerprint is four bytes long", code="input.fingerprint")
        return super().__new__(cls, value)

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse eight hex digits, either case."""
        if not isinstance(text, str) or not _FINGERPRINT.fullmatch(text):
            raise InvalidInputError("a fingerprint is eight hex digits, as in d34db33f", code="input.fingerprint")
        return cls(bytes.fromhex(text))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Fingerprint({self.hex()})"


UNKNOWN = Fingerprint(bytes(4))
"""Stands where nobody knows the master key's fingerprint; equal to no signer's."""


@dataclass(frozen=True, slots=True)
class KeyOrigin:
    """Where a key comes from; the text is ``d34db33f/84h/0h/0h``, as inside a descriptor's brackets."""

    fingerprint: Fingerprint
    path: DerivationPath

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse ``d34db33f/84h/0h/0h``; the path's rules are those of :meth:`DerivationPath.from_text`."""
        if not isinstance(text, str):
            raise InvalidInputError("a key origin is a text such as d34db33f/84h/0h/0h", code="input.origin")
        fingerprint, slash, steps = text.partition("/")
        return cls(Fingerprint.from_text(fingerprint), DerivationPath.from_text("m" + slash + steps))

    def __str__(self) -> str:
        return f"{self.fingerprint}{self.path.suffix()}"

    def child(self, index: int) -> Self:
        """The origin of the child key ``index``."""
        return type(self)(self.fingerprint, self.path.child(index))
