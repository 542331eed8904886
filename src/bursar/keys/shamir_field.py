"""Polynomials over GF(256) and GF(32), as SLIP-39 and codex32 (BIP-93) share secrets with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Field:
    """GF(2**bits) modulo ``polynomial``; a vector is bytes, one element in each.

    Places (the x of a point) are public. Values are secret: a whole vector is one number, which is shifted and masked,
    so that no table is read at a secret place and nothing branches on a secret.
    """

    bits: int
    polynomial: int

    def _double(self, vector: int, ones: int) -> int:
        kept = ones * ((1 << self.bits - 1) - 1)
        return (vector & kept) << 1 ^ (vector >> self.bits - 1 & ones) * (self.polynomial ^ 1 << self.bits)

    def _scale(self, vector: int, factor: int, ones: int) -> int:
        """``vector`` times ``factor``, which is public."""
        total = 0
        while factor:
            if factor & 1:
                total ^= vector
            vector = self._double(vector, ones)
            factor >>= 1
        return total

    def multiply(self, first: int, second: int) -> int:
        """The product of two public elements."""
        return self._scale(first, second, 1)

    def inverse(self, element: int) -> int:
        """The inverse of a public element other than 0."""
        power, exponent = 1, (1 << self.bits) - 2
        while exponent:
            if exponent & 1:
                power = self.multiply(power, element)
            element = self.multiply(element, element)
            exponent >>= 1
        return power

    def interpolate(self, points: Sequence[tuple[int, bytes]], place: int) -> bytes:
        """The vector at ``place`` of the polynomial of least degree through ``points``, whose places are distinct."""
        length = len(points[0][1])
        ones = int.from_bytes(b"\1" * length, "big")
        total = 0
        for x, vector in points:
            above = below = 1
            for other, _ in points:
                if other != x:
                    above = self.multiply(above, place ^ other)
                    below = self.multiply(below, x ^ other)
            factor = self.multiply(above, self.inverse(below))
            total ^= self._scale(int.from_bytes(vector, "big"), factor, ones)
        return total.to_bytes(length, "big")


GF256 = Field(8, 0x11B)
"""Bytes, modulo x**8 + x**4 + x**3 + x + 1 (SLIP-39)."""

GF32 = Field(5, 0x29)
"""Bech32 characters, modulo x**5 + x**3 + 1 (BIP-93)."""
