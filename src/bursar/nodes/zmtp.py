"""ZeroMQ's wire (ZMTP 3.0, RFC 23) as far as publishing and subscribing need it: greeting, READY, frames."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from bursar.errors import ChainError

GREETING_SIZE: Final = 64
MAX_FRAME: Final = 8 * 1024 * 1024  # a block is the largest thing published
MAX_PARTS: Final = 8
MAX_COMMAND: Final = 4096
_MORE, _LONG, _COMMAND = 1, 2, 4


def greeting() -> bytes:
    """What each side says first: version 3.0, no authentication."""
    return b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


def check_greeting(data: bytes) -> None:
    """``ChainError`` (``chain.reply``) unless the other side speaks ZMTP 3 without authentication."""
    if len(data) != GREETING_SIZE or data[0] != 0xFF or data[9] != 0x7F or data[10] < 3:
        raise ChainError("the port does not speak ZeroMQ (ZMTP 3)", code="chain.reply")
    if data[12:32].rstrip(b"\0") != b"NULL":
        raise ChainError("the ZeroMQ port asks for authentication, which is not offered here", code="chain.reply")


def ready(kind: str) -> bytes:
    """The command that opens the conversation, naming our kind of socket (``SUB`` or ``PUB``)."""
    name = b"Socket-Type"
    body = b"\x05READY" + bytes((len(name),)) + name + struct.pack(">I", len(kind)) + kind.encode("ascii")
    return bytes((_COMMAND, len(body))) + body


def message(*parts: bytes) -> bytes:
    """One message of several parts."""
    frames: list[bytes] = []
    for at, part in enumerate(parts):
        more = _MORE if at < len(parts) - 1 else 0
        head = bytes((more, len(part))) if len(part) < 256 else struct.pack(">BQ", more | _LONG, len(part))
        frames += [head, part]
    return b"".join(frames)


def subscribe(topic: bytes) -> bytes:
    """The message by which a subscriber asks for messages that begin with a topic."""
    return message(b"\x01" + topic)


class Reader:
    """Messages and commands from the bytes that follow the greeting, in whatever pieces they come."""

    def __init__(self, *, max_frame: int = MAX_FRAME) -> None:
        self._max_frame = max_frame
        self._data = bytearray()
        self._parts: list[bytes] = []
        self.ready = False

    def feed(self, data: bytes) -> Iterator[tuple[bytes, ...]]:
        """The messages that are whole now; commands are taken in silence. ``ChainError`` for what is no ZMTP."""
        self._data += data
        while True:
            frame = self._frame()
            if frame is None:
                return
            flags, body = frame
            if flags & _COMMAND:
                self.ready = self.ready or body.startswith(b"\x05READY")
                continue
            if not self.ready:
                raise _broken("a message comes before READY")
            self._parts.append(body)
            if len(self._parts) > MAX_PARTS:
                raise _broken("a message has too many parts")
            if not flags & _MORE:
                parts, self._parts = tuple(self._parts), []
                yield parts

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._data
        if len(data) < 2:
            return None
        flags = data[0]
        if flags > 7 or (flags & _COMMAND and flags & _MORE):
            raise _broken("a frame has unknown flags")
        at = 9 if flags & _LONG else 2
        if len(data) < at:
            return None
        size = int.from_bytes(data[1:at], "big")
        if size > (MAX_COMMAND if flags & _COMMAND else self._max_frame):
            raise _broken(f"a frame of {size} bytes is too large")
        if len(data) < at + size:
            return None
        body = bytes(data[at : at + size])
        del data[: at + size]
        return flags, body


def _broken(what: str) -> ChainError:
    return ChainError(f"the node does not speak ZeroMQ properly: {what}", code="chain.reply")
