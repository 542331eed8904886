"""SipHash-2-4 (Aumasson and Bernstein) of many messages at once: 64-bit lanes side by side in whole numbers."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LANES: Final = 1024  # so many 16-byte lanes stay in a processor's cache
_LANE: Final = 128  # bits: a 64-bit value, and as much room for carries and for what a rotation pushes out
_WORD: Final = (1 << 64) - 1


class _Chunk:
    """Messages of one length as columns of words; they do not depend on the key."""

    __slots__ = ("count", "mask", "ones", "positions", "words")

    def __init__(self, messages: Sequence[bytes], positions: Sequence[int]) -> None:
        self.count = len(messages)
        self.positions = positions
        self.ones = int.from_bytes((b"\1" + bytes(15)) * self.count, "little")
        self.mask = self.ones * _WORD
        size = len(messages[0])
        padded = [message + bytes(7 - size % 8) + bytes((size & 0xFF,)) for message in messages]
        gap = bytes(8)
        self.words = [
            int.from_bytes(b"".join([message[at : at + 8] + gap for message in padded]), "little")
            for at in range(0, len(padded[0]), 8)
        ]

    def hashes(self, key0: int, key1: int) -> int:
        """The hash of every message in its lane."""
        ones, mask = self.ones, self.mask
        v0 = ones * (key0 ^ 0x736F6D6570736575)
        v1 = ones * (key1 ^ 0x646F72616E646F6D)
        v2 = ones * (key0 ^ 0x6C7967656E657261)
        v3 = ones * (key1 ^ 0x7465646279746573)
        for word in (*self.words, None):
            if word is None:
                v2 ^= ones * 0xFF
            else:
                v3 ^= word
            for _ in range(4 if word is None else 2):
                v0 = (v0 + v1) & mask
                v1 = ((v1 << 13) | (v1 >> 51)) & mask ^ v0
                v0 = ((v0 << 32) | (v0 >> 32)) & mask
                v2 = (v2 + v3) & mask
                v3 = ((v3 << 16) | (v3 >> 48)) & mask ^ v2
                v0 = (v0 + v3) & mask
                v3 = ((v3 << 21) | (v3 >> 43)) & mask ^ v0
                v2 = (v2 + v1) & mask
                v1 = ((v1 << 17) | (v1 >> 47)) & mask ^ v2
                v2 = ((v2 << 32) | (v2 >> 32)) & mask
            if word is not None:
                v0 ^= word
        return v0 ^ v1 ^ v2 ^ v3


class Messages:
    """Messages prepared for hashing under many keys."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        lengths: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        self.count = 0
        for position, message in enumerate(messages):
            lengths[len(message)].append((message, position))
            self.count += 1
        self._chunks = [
            _Chunk([message for message, _ in part], [position for _, position in part])
            for same in lengths.values()
            for part in (same[at : at + LANES] for at in range(0, len(same), LANES))
        ]

    def hashes(self, key: bytes) -> list[int]:
        """Every message's 64-bit hash under a 16-byte key, in the order given."""
        return self._values(key, None)

    def scaled(self, key: bytes, size: int) -> list[int]:
        """Every hash mapped evenly to a number below ``size`` (at most 2^64): its product with it, over 2^64."""
        return self._values(key, size)

    def _values(self, key: bytes, size: int | None) -> list[int]:
        key0, key1 = struct.unpack("<QQ", key)
        found = [0] * self.count
        for chunk in self._chunks:
            lanes = chunk.hashes(key0, key1)
            if size is not None:
                lanes = (lanes * size) >> 64 & chunk.mask
            values = struct.unpack(f"<{2 * chunk.count}Q", lanes.to_bytes(_LANE // 8 * chunk.count, "little"))
            for position, value in zip(chunk.positions, values[::2], strict=True):
                found[position] = value
        return found
