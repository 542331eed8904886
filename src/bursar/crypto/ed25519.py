"""Ed25519 (RFC 8032): signatures of others verified, and public keys added up as CoSi does; nothing secret is here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEYS: Final = 8
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_NEUTRAL: Final = (0, 1)

_Point = tuple[int, int]


def verify(public_key: bytes, message: bytes, signature: bytes) -> None:
    """``InvalidSignatureError`` unless the 64-byte ``signature`` of ``message`` is by the 32-byte ``public_key``."""
    _decode(public_key)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature as error:
        raise InvalidSignatureError(
            f"no ed25519 signature by {public_key.hex()}: do not trust what it signs"
        ) from error


def combine(public_keys: Sequence[bytes]) -> bytes:
    """The sum of one to eight public keys: the key that a CoSi signature of all of them verifies under.

    The keys must be known to belong to who signs: whoever may choose the last one chooses the sum.
    """
    if not 1 <= len(public_keys) <= MOST_KEYS or len(set(public_keys)) != len(public_keys):
        raise InvalidInputError(f"one to {MOST_KEYS} different public keys are combined, here are {len(public_keys)}")
    total = _NEUTRAL
    for key in public_keys:
        total = _add(total, _decode(key))
    encoded = _encode(total)
    _decode(encoded)  # a sum of small order would verify what nobody signed
    return encoded


def _add(one: _Point, other: _Point) -> _Point:
    """The complete addition law of RFC 8032, 5.1.4, in affine coordinates."""
    (x1, y1), (x2, y2) = one, other
    both = _D * x1 * x2 * y1 * y2 % _P
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, _P) % _P
    y = (y1 * y2 + x1 * x2) * pow(1 - both, -1, _P) % _P
    return x, y


def _encode(point: _Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(key: bytes) -> _Point:
    """The point of a public key (RFC 8032, 5.1.3); one that is not canonical, or of small order, is none."""
    number = int.from_bytes(key, "little")
    odd, y = number >> 255, number & (2**255 - 1)
    if len(key) != 32 or y >= _P:
        raise _no_key(key)
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if x * x % _P != square:
        x = x * _ROOT_OF_MINUS_ONE % _P
    if x * x % _P != square or (x == 0 and odd):
        raise _no_key(key)
    point = (x if x & 1 == odd else _P - x, y)
    eightfold = point
    for _ in range(3):
        eightfold = _add(eightfold, eightfold)
    if eightfold == _NEUTRAL:
        raise _no_key(key)
    return point


def _no_key(key: bytes) -> InvalidInputError:
    return InvalidInputError(f"{key[:32].hex()} is no ed25519 public key: 32 bytes that name a point of the curve")
