"""Trezor's wire protocol v1: messages cut into 64-byte packets, ``?##`` type length data, then ``?`` data."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKET = 64
_HEADER = struct.Struct(">3sHL")
_START = b"?##"
_MORE = b"?"


class OversizedError(Exception):
    """A packet announces a message longer than the device takes."""


@dataclass(slots=True)
class Assembler:
    """Puts the packets of one host together; a packet that belongs to no message is dropped, as the firmware does."""

    limit: int
    _kind: int = 0
    _length: int = -1
    _data: bytearray = field(default_factory=bytearray)

    def feed(self, packet: bytes) -> tuple[int, bytes] | None:
        """The message (type, data) this packet completes, or ``None``; OversizedError for a length over the limit."""
        if len(packet) != PACKET:
            return None
        if self._length < 0:
            if not packet.startswith(_START):
                return None
            _, self._kind, length = _HEADER.unpack_from(packet)
            if length > self.limit:
                raise OversizedError
            self._length = length
            self._data = bytearray(packet[_HEADER.size :])
        elif packet.startswith(_MORE):
            self._data += packet[1:]
        else:
            self._length = -1
            return None
        if len(self._data) < self._length:
            return None
        data = bytes(self._data[: self._length])
        self._length = -1
        return self._kind, data


def packets(kind: int, data: bytes) -> Iterator[bytes]:
    """The message of type ``kind`` as 64-byte packets."""
    stream = _HEADER.pack(_START, kind, len(data))[1:] + data
    for start in range(0, len(stream), PACKET - 1):
        yield _MORE + stream[start : start + PACKET - 1].ljust(PACKET - 1, b"\x00")
