"""Sums and multiples of points of secp256k1 (SEC 2), as the library's own objects; secret scalars in constant time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.secp256k1 import COMPRESSED, check_secret_key, context, ffi, lib, wipe_buffer
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

INFINITY = bytes(33)
"""How BIP-327 writes the point at infinity."""


def parse_point(public: bytes) -> Any:
    """The point of a compressed public key (33 bytes); ``InvalidInputError`` if it is none."""
    point = ffi.new("secp256k1_pubkey *")
    if (
        type(public) is not bytes
        or len(public) != 33
        or public[0] not in (2, 3)
        or not lib.secp256k1_ec_pubkey_parse(context, point, public, 33)
    ):
        raise InvalidInputError("not a compressed public key: 33 bytes that are a point of the curve")
    return point


def serialize_point(point: Any) -> bytes:
    """The compressed form (33 bytes)."""
    output, length = ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
    lib.secp256k1_ec_pubkey_serialize(context, output, length, point, COMPRESSED)
    return bytes(ffi.buffer(output))


def multiply_point(point: Any, factor: int) -> None:
    """Multiply ``point`` in place by a public ``factor`` that is not a multiple of the order; not constant time."""
    if not lib.secp256k1_ec_pubkey_tweak_mul(context, point, (factor % ORDER).to_bytes(32, "big")):
        raise InvalidInputError("a point times zero is no point")


def negate_point(point: Any) -> None:
    """Negate ``point`` in place."""
    lib.secp256k1_ec_pubkey_negate(context, point)


def add_points(points: Sequence[Any]) -> Any:
    """The sum, or ``None`` where it is the point at infinity."""
    total = ffi.new("secp256k1_pubkey *")
    if not points or not lib.secp256k1_ec_pubkey_combine(
        context, total, ffi.new("secp256k1_pubkey *[]", list(points)), len(points)
    ):
        return None
    return total


def tweak_point(point: Any, tweak: bytes) -> Any:
    """``point`` plus a public ``tweak`` below the order times G, changed in place; ``None`` for infinity."""
    return point if lib.secp256k1_ec_pubkey_tweak_add(context, point, tweak) else None


def base_point(scalar: bytes | Any) -> Any:
    """``scalar`` times G in constant time; ``InvalidInputError`` if it is zero or not below the order."""
    point = ffi.new("secp256k1_pubkey *")
    if not lib.secp256k1_ec_pubkey_create(context, point, scalar):
        raise InvalidInputError("a secret scalar must be from 1 to the curve order less one")
    return point


def add_public_keys(publics: Sequence[bytes]) -> bytes | None:
    """The sum of compressed public keys (33 bytes each) as 33 bytes, or ``None`` where it is the point at infinity."""
    total = add_points([parse_point(public) for public in publics])
    return None if total is None else serialize_point(total)


def add_secret_keys(secrets: Sequence[bytes]) -> bytes | None:
    """The sum of secret keys modulo the order, or ``None`` where it is zero; a sum on the way may be zero."""
    total = ffi.new("unsigned char[32]")
    view = ffi.buffer(total)
    empty = True
    try:
        for secret in secrets:
            check_secret_key(secret)
            if empty:
                view[:] = secret
                empty = False
            elif not lib.secp256k1_ec_seckey_tweak_add(context, total, secret):
                empty = True  # the library zeroed it: the sum so far is zero
        return None if empty else bytes(view)
    finally:
        wipe_buffer(total)


def negate_secret_key(secret: bytes) -> bytes:
    """The secret key of the negated public key."""
    check_secret_key(secret)
    buffer = ffi.new("unsigned char[32]", secret)
    try:
        lib.secp256k1_ec_seckey_negate(context, buffer)
        return bytes(ffi.buffer(buffer))
    finally:
        wipe_buffer(buffer)


def multiply_secret_key(secret: bytes, factor: bytes) -> bytes:
    """``secret`` times ``factor`` modulo the order; ``InvalidInputError`` if one is zero or over."""
    check_secret_key(secret)
    check_length(factor, 32, "a factor")
    buffer = ffi.new("unsigned char[32]", secret)
    try:
        if not lib.secp256k1_ec_seckey_tweak_mul(context, buffer, factor):
            raise InvalidInputError("the factor is zero or not below the curve order")
        return bytes(ffi.buffer(buffer))
    finally:
        wipe_buffer(buffer)
