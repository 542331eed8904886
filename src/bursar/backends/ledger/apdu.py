"""APDUs (ISO 7816-4, short form): commands out, replies back, and a conversation as a generator of them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from bursar.errors import InvalidInputError, SignerMisbehavedError

OK = 0x9000
MOST_DATA = 255
"""The longest data one command can carry, in bytes."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``confirm`` tells a human what to do on the device; with it the answer may take minutes.

    ``patient`` waits as long without a word, where the device may or may not ask its human.
    """

    cla: int
    ins: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""
    confirm: str | None = None
    patient: bool = False

    def serialize(self) -> bytes:
        """Five bytes of header, the last the data's length, then the data."""
        if len(self.data) > MOST_DATA:
            raise InvalidInputError(f"a command carries at most {MOST_DATA} bytes, not {len(self.data)}")
        return bytes((self.cla, self.ins, self.p1, self.p2, len(self.data))) + self.data


@dataclass(frozen=True, slots=True)
class Reply:
    """What the device answered: the status word (``OK`` is success) and the data before it."""

    status: int
    data: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> Reply:
        """Data and the two bytes of status behind it; ``SignerMisbehavedError`` if there are not even those."""
        if len(raw) < 2:
            raise SignerMisbehavedError(f"the ledger answered {len(raw)} bytes, less than a status word")
        return cls(int.from_bytes(raw[-2:], "big"), bytes(raw[:-2]))


T = TypeVar("T")

Exchange: TypeAlias = Generator[Command, Reply, T]
"""A conversation without I/O: ``reply = yield Command(...)`` until it returns its result."""
