"""A Trezor emulator's two UDP ports: the main one to set it up, and debug link for its screen and its buttons."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TypeAlias

from bursar_devices.trezor.packets import PACKET, Assembler, packets

LOOPBACK = "127.0.0.1"
_LONGEST = 1 << 16
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Fields: TypeAlias = Sequence[tuple[int, int | bytes]]


class Kind(IntEnum):
    """The message types spoken here, with their numbers on the wire."""

    INITIALIZE = 0
    SUCCESS = 2
    FAILURE = 3
    LOAD_DEVICE = 13
    FEATURES = 17
    LOCK_DEVICE = 24
    BUTTON_REQUEST = 26
    BUTTON_ACK = 27
    GET_FEATURES = 55
    DECISION = 100
    GET_STATE = 101
    STATE = 102


class NoReplyError(Exception):
    """The emulator did not answer in time."""


class Port:
    """One of the two ports. Each request has a socket of its own: no late reply is taken for another's."""

    def __init__(self, port: int) -> None:
        self._address = (LOOPBACK, port)

    def ping(self) -> bool:
        """Whether somebody is there."""
        with self._socket(0.2) as wire:
            try:
                wire.send(b"PINGPING")
                return wire.recv(PACKET) == b"PONGPONG"
            except OSError:
                return False

    def tell(self, kind: Kind, fields: Fields = ()) -> None:
        """Send what has no reply."""
        with self._socket(1) as wire:
            _send(wire, kind, fields)

    def ask(self, kind: Kind, fields: Fields = (), *, within: float = 2.0) -> tuple[int, dict[int, int | bytes]]:
        """Send a request; the type of the reply and its fields by number (the last one of each)."""
        with self._socket(within) as wire:
            _send(wire, kind, fields)
            return _receive(wire, within)

    def _socket(self, seconds: float) -> socket.socket:
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.settimeout(seconds)
        wire.connect(self._address)
        return wire


def _send(wire: socket.socket, kind: Kind, fields: Fields) -> None:
    for packet in packets(kind, b"".join(_field(number, value) for number, value in fields)):
        wire.send(packet)


def _receive(wire: socket.socket, within: float) -> tuple[int, dict[int, int | bytes]]:
    assembler = Assembler(_LONGEST)
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            message = assembler.feed(wire.recv(PACKET))
        except OSError as error:
            raise NoReplyError(f"no reply: {error}") from error
        if message is not None:
            return message[0], dict(_fields(message[1]))
    raise NoReplyError(f"no reply in {within:g} s")


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _read_varint(data, at)
        else:
            length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if length is None:
                length, at = _read_varint(data, at)
            value = data[at : at + length]
            at += length
        yield number, value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise NoReplyError("the reply is cut short")
