"""Application protocol data units (ISO 7816-4) as Ledger devices read and answer them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar_devices.device import Page


class Status(IntEnum):
    """Status words the simulated firmware answers with."""

    OK = 0x9000
    LOCKED = 0x5515
    USER_REFUSED_ON_DASHBOARD = 0x5501
    NO_SUCH_APP = 0x6807
    AMOUNT_TOO_LONG = 0x6807
    BUSY = 0x6901
    DENIED = 0x6985
    SECURITY = 0x6982
    COMMAND_NOT_ALLOWED = 0x6980
    PARAMETER_ERROR = 0x6A00
    INCORRECT_DATA = 0x6A80
    NOT_SUPPORTED = 0x6A82
    WRONG_P1_P2 = 0x6A86
    WRONG_LENGTH = 0x6A87
    DATA_NOT_FOUND = 0x6A88
    PATH_NOT_HARDENED = 0x6A12
    PATH_NOT_ALLOWED = 0x6A15
    TYPE_NOT_SUPPORTED = 0x6501
    WRONG_P1_P2_ETHEREUM = 0x6B00
    INS_NOT_SUPPORTED = 0x6D00
    CLA_NOT_SUPPORTED = 0x6E00
    BAD_STATE = 0xB007
    SIGNATURE_FAIL = 0xB008
    INTERRUPTED = 0xE000


class RefusalError(Exception):
    """The firmware answers with a status word other than 9000, perhaps a detail, perhaps a page that stays."""

    def __init__(self, status: Status, detail: int | None = None, *, notice: Page | None = None) -> None:
        super().__init__(f"{status.name} {status:04x}" + ("" if detail is None else f" {detail:04x}"))
        self.status = status
        self.notice = notice
        self.detail = b"" if detail is None else detail.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Apdu:
    """One request: class, instruction, two parameters and up to 255 bytes."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Apdu:
        """As the vendor's kit reads it: a missing length is none, a wrong one is refused."""
        if len(raw) < 4 or (len(raw) > 4 and raw[4] != len(raw) - 5):
            raise RefusalError(Status.WRONG_LENGTH)
        return cls(raw[0], raw[1], raw[2], raw[3], raw[5:])


class Reader:
    """A request's bytes, taken from the front; running out raises ``EOFError``."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise EOFError
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def big_endian(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def varint(self) -> int:
        """Bitcoin's compact size; like the firmware, whatever its length."""
        first = self.byte()
        if first < 0xFD:
            return first
        return int.from_bytes(self.take(2 << (first - 0xFD)), "little")

    def path(self, steps: int) -> tuple[int, ...]:
        return tuple([self.big_endian(4) for _ in range(steps)])

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    @property
    def left(self) -> int:
        return len(self._data) - self._at
