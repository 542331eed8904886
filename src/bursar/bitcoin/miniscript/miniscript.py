"""A miniscript (BIP-379): its text, type, limits and script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic

from bursar.bitcoin.miniscript.context import Context
from bursar.bitcoin.miniscript.fragments import Fragment, K


@dataclass(frozen=True, slots=True)
class Miniscript(Generic[K]):
    """Fragments over keys of one kind: bytes, or key expressions of descriptors."""

    context: Context
    fragments: tuple[Fragment[K], ...]
    problems: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, text: str, context: Context) -> Miniscript[bytes]:
        """From text over hexadecimal keys; descriptors read key expressions."""
        raise NotImplementedError

    @classmethod
    def from_script(cls, script: bytes, context: Context, keys: Iterable[bytes] = ()) -> Miniscript[bytes]:
        """From the script; ``keys`` tells keys of which the script holds only the hash."""
        raise NotImplementedError

    @property
    def sane(self) -> bool:
        """Whether it is safe as a script of its own; ``problems`` names what is against it."""
        return not self.problems

    @property
    def type(self) -> str:
        """``Bondu…``: basic type and properties."""
        raise NotImplementedError

    @property
    def script(self) -> bytes:
        """The script, if the keys are bytes."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The canonical text."""
        raise NotImplementedError

    def write(self, write: Callable[[K], str]) -> str:
        """The canonical text with ``write`` for each key."""
        raise NotImplementedError
