"""One ENS name: normalised (ENSIP-15), its hash (ERC-137) and its form on the wire (RFC 1035, ENSIP-10)."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any, Self

from bursar.crypto.hashes import keccak256
from bursar.errors import InvalidInputError, MissingExtraError

MOST_CHARACTERS = 255
_MOST_LABEL = 255  # bytes; the length on the wire is one byte


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.ens-name")


def _library() -> Any:
    try:
        import ens_normalize
    except ImportError as error:
        raise MissingExtraError("names need ens-normalize: install bursar[ethereum]", extra="ethereum") from error
    return ens_normalize


@dataclass(frozen=True, slots=True)
class EnsName:
    """A name in its normal form: two names that people read as one are one, or one of them is refused."""

    text: str

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The normal form of what was typed; ``InvalidInputError`` (``input.ens-name``) for what has none.

        Refused are mixtures of scripts that look like another name, invisible characters, empty labels, and names
        without a dot.
        """
        if not isinstance(text, str) or not 0 < len(text) <= MOST_CHARACTERS:
            raise _invalid(f"a name has 1 to {MOST_CHARACTERS} characters")
        library = _library()
        try:
            normal = library.ens_normalize(text)
        except library.DisallowedSequence as error:
            reason = str(getattr(error, "general_info", "")) or "it has no normal form"
            raise _invalid(f"{text!a:.90} is no name: {_plain(reason)}") from error
        if "." not in normal:
            raise _invalid(f"{text!a:.90} is no name: one like pay.example.eth has a dot")
        if any(not 0 < len(label.encode("utf-8")) <= _MOST_LABEL for label in normal.split(".")):
            raise _invalid(f"{text!a:.90} is no name: a part of it is empty or longer than {_MOST_LABEL} bytes")
        return cls(normal)

    @property
    def labels(self) -> tuple[str, ...]:
        """Its parts, the most special first."""
        return tuple(self.text.split("."))

    @property
    def node(self) -> bytes:
        """The 32 bytes contracts know it by (namehash, ERC-137)."""
        return namehash(self.labels)

    @property
    def wire(self) -> bytes:
        """Each label behind its length, and a zero byte."""
        encoded = (label.encode("utf-8") for label in self.labels)
        return b"".join(bytes([len(label)]) + label for label in encoded) + b"\0"

    @property
    def plain(self) -> bool:
        """Whether it is of ASCII letters, digits and hyphens alone, which nothing else looks like in this font."""
        return self.text.isascii()

    def spelled(self) -> str:
        """The characters outside ASCII by their Unicode names, for people who compare; empty for a plain name."""
        foreign = dict.fromkeys(one for one in self.text if not one.isascii())
        return ", ".join(f"U+{ord(one):04X} {unicodedata.name(one, 'unnamed')}" for one in foreign)

    def __str__(self) -> str:
        return self.text


def namehash(labels: tuple[str, ...]) -> bytes:
    """The node of a name given as its labels; 32 zero bytes for none."""
    node = bytes(32)
    for label in reversed(labels):
        node = keccak256(node + keccak256(label.encode("utf-8")))
    return node


def looks_like_name(text: str) -> bool:
    """Whether ``text`` is meant as a name rather than an address; says nothing about whether it is a valid one."""
    return "." in text and not text.lower().startswith("0x")


def _plain(text: str) -> str:
    return "".join(one if one.isascii() and one.isprintable() else "?" for one in text)[:120]
