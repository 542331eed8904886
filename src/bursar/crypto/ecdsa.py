"""ECDSA signatures as values: compact form (64 bytes) and strict DER (BIP-66)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from bursar.crypto.curve import HALF_ORDER, ORDER
from bursar.errors import InvalidSignatureError


def _integer_to_der(value: int) -> bytes:
    body = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes((len(body),)) + body


def _integer_from_der(data: bytes, offset: int, name: str) -> tuple[int, int]:
    if len(data) < offset + 2 or data[offset] != 0x02:
        raise InvalidSignatureError(f"not a DER signature: {name} is not an integer")
    start, end = offset + 2, offset + 2 + data[offset + 1]
    if data[offset + 1] == 0 or data[offset + 1] > 33 or end > len(data):
        raise InvalidSignatureError(f"not a DER signature: {name} has a wrong length")
    if data[start] & 0x80:
        raise InvalidSignatureError(f"not a DER signature: {name} is negative")
    if data[start] == 0 and (end - start == 1 or not data[start + 1] & 0x80):
        raise InvalidSignatureError(f"not a DER signature: {name} is zero or padded")
    return int.from_bytes(data[start:end], "big"), end


@dataclass(frozen=True, slots=True)
class EcdsaSignature:
    """An ECDSA signature on secp256k1: 1 <= r, s < n; ``y_parity`` (0 or 1) is known when it is recoverable.

    The constructor checks ranges only, so that a signature can be examined; ``from_compact`` and ``from_der``, the
    doors for what comes from outside, also refuse a high ``s`` unless told otherwise.
    """

    r: int
    s: int
    y_parity: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("r", self.r), ("s", self.s)):
            if type(value) is not int or not 1 <= value < ORDER:
                raise InvalidSignatureError(f"a signature's {name} must be from 1 to the curve order less one")
        if self.y_parity is not None and (type(self.y_parity) is not int or self.y_parity not in (0, 1)):
            raise InvalidSignatureError(f"a signature's y parity is 0 or 1, not {self.y_parity!r}")

    @property
    def low_s(self) -> bool:
        """Whether ``s`` is in the lower half, as BIP-146 and EIP-2 demand."""
        return self.s <= HALF_ORDER

    def normalized(self) -> Self:
        """The equivalent signature with a low ``s``."""
        if self.low_s:
            return self
        return type(self)(self.r, ORDER - self.s, None if self.y_parity is None else self.y_parity ^ 1)

    def compact(self) -> bytes:
        """r and s, 32 bytes each, big-endian."""
        return self.r.to_bytes(32, "big") + self.s.to_bytes(32, "big")

    @classmethod
    def from_compact(cls, data: bytes, *, y_parity: int | None = None, allow_high_s: bool = False) -> Self:
        """Parse 64 bytes; InvalidSignatureError on a wrong length, range, or high ``s``."""
        if not isinstance(data, bytes) or len(data) != 64:
            raise InvalidSignatureError("a compact signature is 64 bytes long")
        return cls(int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big"), y_parity)._checked(allow_high_s)

    def to_der(self) -> bytes:
        """The DER form, without a sighash byte (at most 72 bytes)."""
        body = _integer_to_der(self.r) + _integer_to_der(self.s)
        return b"\x30" + bytes((len(body),)) + body

    @classmethod
    def from_der(cls, data: bytes, *, y_parity: int | None = None, allow_high_s: bool = False) -> Self:
        """Parse strict DER (BIP-66, without a sighash byte); InvalidSignatureError on anything else or a high ``s``."""
        if not isinstance(data, bytes) or not 8 <= len(data) <= 72:
            raise InvalidSignatureError("a DER signature is 8 to 72 bytes long")
        if data[0] != 0x30 or data[1] != len(data) - 2:
            raise InvalidSignatureError("not a DER signature: the outer sequence has a wrong tag or length")
        r, offset = _integer_from_der(data, 2, "r")
        s, end = _integer_from_der(data, offset, "s")
        if end != len(data):
            raise InvalidSignatureError("not a DER signature: bytes follow s")
        return cls(r, s, y_parity)._checked(allow_high_s)

    def _checked(self, allow_high_s: bool) -> Self:
        if not allow_high_s and not self.low_s:
            raise InvalidSignatureError("the signature's s is in the upper half: a malleable form that is not accepted")
        return self


_slots: Any = EcdsaSignature
_set_r, _set_s, _set_y_parity = _slots.r.__set__, _slots.s.__set__, _slots.y_parity.__set__


def trusted_signature(compact: bytes, y_parity: int) -> EcdsaSignature:
    """The value of a signature the curve library has just made; its ranges hold by construction."""
    signature = object.__new__(EcdsaSignature)
    _set_r(signature, int.from_bytes(compact[:32], "big"))
    _set_s(signature, int.from_bytes(compact[32:], "big"))
    _set_y_parity(signature, y_parity)
    return signature


def compact_signature(signature: bytes) -> bytes:
    """Check only the shape of a 64-byte signature; InvalidSignatureError otherwise."""
    if type(signature) is not bytes or len(signature) != 64:
        raise InvalidSignatureError("a signature must be 64 bytes long")
    return signature
