"""Trezor's protocol v1: messages in 64-byte packets, a type, a length, no request numbers."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import vendor
from bursar.errors import SignerMisbehavedError

if TYPE_CHECKING:
    from bursar.backends.trezor.wire import Wire

_HEADER = struct.Struct(">HL")
_FIRST, _NEXT = b"?##", b"?"
LONGEST = 1 << 16  # no firmware sends a quarter of that


def write(wire: Wire, message: Any) -> None:
    """Send one message, whole."""
    kind, data = vendor.encode(message)
    framed = _HEADER.pack(kind, len(data)) + data
    size = wire.CHUNK_SIZE
    if size is None:
        wire.write_chunk(framed)
        return
    framed = b"##" + framed
    step = size - len(_NEXT)
    for start in range(0, len(framed), step):
        wire.write_chunk((_NEXT + framed[start : start + step]).ljust(size, b"\0"))


def read(wire: Wire, *, skip: bool = False) -> Any:
    """The next message, within the time the wire allows; ``SignerMisbehavedError`` where it is malformed.

    ``skip`` passes over packets that begin no message: the rest of one that nobody waited for.
    """
    chunked = wire.CHUNK_SIZE is not None
    data = bytearray(_packet(wire, _FIRST if chunked else b"", skip=skip))
    if len(data) < _HEADER.size:
        raise _broken("a packet without a header")
    kind, length = _HEADER.unpack_from(data)
    if length > LONGEST:
        raise _broken(f"an answer of {length} bytes")
    del data[: _HEADER.size]
    while len(data) < length:
        data += _packet(wire, _NEXT if chunked else b"", skip=skip)
    return vendor.decode(kind, bytes(data[:length]))


def drain(wire: Wire, *, quiet: float = 0.1, most: int = 4096) -> None:
    """Throw away what an earlier conversation left behind, until the wire is quiet."""
    if wire.CHUNK_SIZE is None:
        return  # a bridge hands out nothing unasked
    for _ in range(most):
        if wire.poll(quiet) is None:
            return
    raise SignerMisbehavedError("the trezor sends without being asked: unplug it")


def _packet(wire: Wire, magic: bytes, *, skip: bool) -> bytes:
    chunk = wire.read_chunk()
    while not chunk.startswith(magic):
        if not skip:
            raise _broken("a packet that begins with other bytes than the protocol's")
        chunk = wire.read_chunk()
    return chunk[len(magic) :]


def _broken(what: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the trezor sent {what}: unplug it and open it again")
