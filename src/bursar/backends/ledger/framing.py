"""How APDUs travel: Ledger's 64-byte USB HID packets and the length-prefixed frames of the Speculos emulator."""

from __future__ import annotations

from typing import Final

from bursar.errors import InvalidInputError, SignerMisbehavedError

PACKET: Final = 64
MOST_REPLY: Final = 0xFFFF
"""The longest message either framing carries, in bytes, status word included."""

_TAG: Final = 5
_HEADER: Final = 5


def hid_packets(channel: int, message: bytes) -> list[bytes]:
    """``message`` as packets of 64 bytes: channel, tag 05, number, then the length (first packet only) and the data."""
    if not 0 < len(message) <= MOST_REPLY:
        raise InvalidInputError(f"a message has 1 to {MOST_REPLY} bytes, not {len(message)}")
    rest = len(message).to_bytes(2, "big") + message
    head = channel.to_bytes(2, "big") + bytes((_TAG,))
    room = PACKET - _HEADER
    return [
        (head + number.to_bytes(2, "big") + rest[start : start + room]).ljust(PACKET, b"\0")
        for number, start in enumerate(range(0, len(rest), room))
    ]


class HidAssembler:
    """Puts one message together from the packets of one channel; packets of other channels are not ours and ignored.

    A device answers on the channel it was asked on, so a channel of its own keeps a connection from taking the
    answer to an earlier one's question for its own.
    """

    __slots__ = ("_channel", "_data", "_next", "_size")

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._data = bytearray()
        self._next = 0
        self._size = 0

    def feed(self, packet: bytes) -> bytes | None:
        """The whole message with its last packet, else ``None``; ``SignerMisbehavedError`` if it does not fit."""
        if len(packet) != PACKET:
            raise _broken(f"a packet of {len(packet)} bytes where all have {PACKET}")
        if int.from_bytes(packet[:2], "big") != self._channel:
            return None
        if packet[2] != _TAG:
            raise _broken(f"a packet with tag {packet[2]:02x}, which carries no apdu")
        number = int.from_bytes(packet[3:5], "big")
        if number != self._next:
            raise _broken(f"packet {number} where packet {self._next} was due")
        self._next += 1
        if number:
            self._data += packet[_HEADER:]
        else:
            self._size = int.from_bytes(packet[5:7], "big")
            self._data += packet[7:]
            if self._size < 2:
                raise _broken("a message without a status word")
        if len(self._data) < self._size:
            return None
        return bytes(self._data[: self._size])


def tcp_frame(message: bytes) -> bytes:
    """``message`` behind its length in four bytes."""
    if not 0 < len(message) <= MOST_REPLY:
        raise InvalidInputError(f"a message has 1 to {MOST_REPLY} bytes, not {len(message)}")
    return len(message).to_bytes(4, "big") + message


def tcp_reply_frame(reply: bytes) -> bytes:
    """A reply (data and status word) as Speculos frames it: its length does not count the status word."""
    if not 2 <= len(reply) <= MOST_REPLY:
        raise InvalidInputError(f"a reply has 2 to {MOST_REPLY} bytes, not {len(reply)}")
    return (len(reply) - 2).to_bytes(4, "big") + reply


class TcpAssembler:
    """Cuts a stream of replies into messages, however the bytes arrive."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes have come that are no whole message yet."""
        return len(self._data)

    def feed(self, chunk: bytes) -> None:
        """More bytes of the stream."""
        self._data += chunk

    def take(self) -> bytes | None:
        """The next whole reply, status word included, or ``None``; ``SignerMisbehavedError`` if it can be none."""
        data = self._data
        if len(data) < 4:
            return None
        end = 4 + int.from_bytes(data[:4], "big") + 2
        if end > 4 + MOST_REPLY:
            raise _broken(f"a reply of {end - 4} bytes, more than any has")
        if len(data) < end:
            return None
        reply = bytes(data[4:end])
        del data[:end]
        return reply


def _broken(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the ledger sent {reason}: unplug it and try again", code="signer.protocol")
