"""Block headers: the 80 bytes, their hash, and the proof of work they show."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from bursar.crypto.hashes import sha256d
from bursar.errors import InvalidInputError

SIZE: Final = 80
_FORM: Final = struct.Struct("<i32s32sIII")


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A block header; hashes in internal byte order, ``time`` in Unix seconds, ``bits`` the compact target."""

    version: int
    previous: bytes
    merkle_root: bytes
    time: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, raw: bytes) -> BlockHeader:
        """From exactly 80 bytes; ``InvalidInputError`` (``input.header``) otherwise."""
        if len(raw) != SIZE:
            raise InvalidInputError(f"a block header has {SIZE} bytes, not {len(raw)}", code="input.header")
        return cls(*_FORM.unpack(raw))

    def serialize(self) -> bytes:
        """The 80 bytes."""
        return _FORM.pack(self.version, self.previous, self.merkle_root, self.time, self.bits, self.nonce)

    @property
    def hash(self) -> bytes:
        """Double SHA-256 of the 80 bytes, internal byte order."""
        return sha256d(self.serialize())

    @property
    def name(self) -> str:
        """The hash as people write it."""
        return self.hash[::-1].hex()


def target_of(bits: int) -> int:
    """The number a hash must not exceed; ``InvalidInputError`` (``input.header.bits``) for a form Core refuses."""
    size, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000:
        mantissa = 0  # negative
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    if not 0 < target < 1 << 256:
        raise InvalidInputError(f"compact target {bits:#010x} stands for no target", code="input.header.bits")
    return target


def bits_of(target: int) -> int:
    """The compact form of a target, cut off to its three leading bytes as Core does."""
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def work_of(bits: int) -> int:
    """How many hashes a block of this target takes on average."""
    return (1 << 256) // (target_of(bits) + 1)
