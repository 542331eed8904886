"""Aggregation of public keys (BIP-327 ``KeyAgg``): many keys become one whose owners sign together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto.curve import ORDER
from bursar.crypto.hashes import tagged_hash
from bursar.crypto.secp256k1 import COMPRESSED, context, ffi, lib
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def aggregate_keys(keys: Sequence[bytes]) -> bytes:
    """The plain aggregate (33 bytes) of compressed public keys in the order given; a key may stand there twice.

    ``InvalidInputError`` names the first key that is no point of the curve. Sort first where BIP-327's ``KeySort`` is
    asked for.
    """
    if not keys:
        raise InvalidInputError("an aggregate needs at least one public key")
    points = [ffi.new("secp256k1_pubkey *") for _ in keys]
    listed = tagged_hash("KeyAgg list", b"".join(keys))
    second = next((key for key in keys if key != keys[0]), b"")
    for place, (key, point) in enumerate(zip(keys, points, strict=True), 1):
        if len(key) != 33 or key[0] not in (2, 3) or not lib.secp256k1_ec_pubkey_parse(context, point, key, 33):
            raise InvalidInputError(f"public key {place} of the aggregate is not a compressed point of the curve")
        if key == second:
            continue
        factor = int.from_bytes(tagged_hash("KeyAgg coefficient", listed + key), "big") % ORDER
        if not lib.secp256k1_ec_pubkey_tweak_mul(context, point, factor.to_bytes(32, "big")):
            raise InvalidInputError("these public keys have no aggregate")
    total, pointers = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *[]", points)
    if not lib.secp256k1_ec_pubkey_combine(context, total, pointers, len(points)):
        raise InvalidInputError("these public keys have no aggregate")
    output, length = ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
    lib.secp256k1_ec_pubkey_serialize(context, output, length, total, COMPRESSED)
    return bytes(ffi.buffer(output))
