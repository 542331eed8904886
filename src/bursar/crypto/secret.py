"""A secret in a coat: prints ``<redacted>``, refuses pickling, copying and hashing, is wiped on exit."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NoReturn, Self, SupportsIndex

from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from types import TracebackType


class Secret:
    """Bytes that must not be shown.

    ``wipe()`` overwrites the buffer this object owns. That is best effort: Python may have copied the bytes before
    they arrived here, ``expose()`` hands out a copy that nobody can wipe, and the operating system may have paged
    either of them out. It shortens a secret's life; it does not promise its end.
    """

    __slots__ = ("_buffer", "_wiped")

    def __init__(self, value: bytes | bytearray) -> None:
        if not isinstance(value, bytes | bytearray):
            raise InvalidInputError("a secret is made of bytes: use Secret.from_text for a text")
        self._buffer = bytearray(value)
        self._wiped = False

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The UTF-8 bytes of ``text``."""
        try:
            return cls(text.encode("utf-8"))
        except UnicodeEncodeError:
            # the original error holds the text
            raise InvalidInputError("a secret text must be valid unicode, without lone surrogates") from None

    def expose(self) -> bytes:
        """A copy of the bytes, out of the coat: never log, format or store it."""
        if self._wiped:
            raise InvalidInputError("this secret was wiped: ask for it again")
        return bytes(self._buffer)

    def wipe(self) -> None:
        """Overwrite the buffer with zeros; idempotent."""
        self._buffer[:] = bytes(len(self._buffer))
        self._wiped = True

    def __len__(self) -> int:
        return len(self._buffer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self._wiped or other._wiped:
            return self is other
        return hmac.compare_digest(self._buffer, other._buffer)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<redacted>"

    def __format__(self, spec: str) -> str:
        return format("<redacted>", spec)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()

    def __del__(self) -> None:
        if hasattr(self, "_buffer"):
            self._buffer[:] = bytes(len(self._buffer))

    def _refuse(self, *_args: object) -> NoReturn:
        raise TypeError("a Secret cannot be converted, copied or pickled: call expose() where the bytes are needed")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse(protocol)

    __bytes__ = _refuse
    __iter__ = _refuse
    __getitem__ = _refuse
    __copy__ = _refuse
    __deepcopy__ = _refuse
    __getstate__ = _refuse
