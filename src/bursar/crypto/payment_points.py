"""The points of silent payments (BIP-352): shared secrets in constant time, output keys, labels."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from bursar.crypto.curve import ORDER, check_length
from bursar.crypto.hashes import tagged_hash_start
from bursar.crypto.points import parse_point
from bursar.crypto.secp256k1 import COMPRESSED, context, ffi, lib, point_hash
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


_POINT: Any = point_hash()
_shared_secret = tagged_hash_start("BIP0352/SharedSecret")
_create = lib.secp256k1_ec_pubkey_create
_combine = lib.secp256k1_ec_pubkey_combine
_serialize = lib.secp256k1_ec_pubkey_serialize
_parse = lib.secp256k1_ec_pubkey_parse
_ecdh = lib.secp256k1_ecdh
_NULL: Any = ffi.NULL


class _Buffers(threading.local):
    """What one thread writes to: the library releases the interpreter lock."""

    def __init__(self) -> None:
        self.given = ffi.new("secp256k1_pubkey *")
        self.point = ffi.new("unsigned char[64]")
        self.point_bytes = ffi.buffer(self.point)
        self.addend = ffi.new("secp256k1_pubkey *")
        self.output = ffi.new("secp256k1_pubkey *")
        self.other = ffi.new("secp256k1_pubkey *")
        self.pair = ffi.new("secp256k1_pubkey *[2]")
        self.raw = ffi.new("unsigned char[33]")
        self.raw_bytes = ffi.buffer(self.raw)
        self.length = ffi.new("size_t *", 33)


_buffers = _Buffers()


def shared_point(public: bytes, secret: bytes) -> bytes:
    """``secret`` times the compressed public key, in constant time (33 bytes)."""
    buffers = _buffers
    if type(public) is not bytes or len(public) != 33 or not _parse(context, buffers.given, public, 33):
        raise InvalidInputError("not a compressed public key: 33 bytes that are a point of the curve")
    return multiply_in_secret(buffers.given, secret)


def multiply_in_secret(public: Any, secret: bytes) -> bytes:
    """As :func:`shared_point`, of a point of the library."""
    check_length(secret, 32, "a secret key")
    buffers = _buffers
    if not _ecdh(context, buffers.point, public, secret, _POINT, _NULL):
        raise InvalidInputError("a secret key must be from 1 to the curve order less one")
    point: bytes = buffers.point_bytes[:]
    return (b"\x03" if point[63] & 1 else b"\x02") + point[:32]


def payment_tweak(shared: bytes, number: int) -> bytes:
    """The tweak (32 bytes) of the ``number``-th output of one shared point: ``t_k``."""
    state = _shared_secret()
    state.update(shared + number.to_bytes(4, "big"))
    tweak: bytes = state.digest()
    return tweak


class SpendPoint:
    """A spend public key with its labels' public keys, parsed once."""

    __slots__ = ("_labels", "_spend")

    def __init__(self, spend: bytes, labels: Sequence[bytes] = ()) -> None:
        self._spend = parse_point(spend)
        self._labels = [parse_point(label) for label in labels]

    def key(self, tweak: bytes) -> bytes:
        """The spend key plus ``tweak`` times G as 33 bytes; it stays in this thread's buffers for the two below.

        ``InvalidInputError`` if the tweak is zero or not below the order, or the sum no point: once in 2**128.
        """
        buffers = _buffers
        pair = buffers.pair
        pair[0], pair[1] = self._spend, buffers.addend
        if not _create(context, buffers.addend, tweak) or not _combine(context, buffers.output, pair, 2):
            raise InvalidInputError("this shared secret gives no output key")
        _serialize(context, buffers.raw, buffers.length, buffers.output, COMPRESSED)
        return buffers.raw_bytes[:]  # type: ignore[no-any-return]

    def labelled(self) -> list[bytes | None]:
        """The x-only keys (32 bytes) of the key just made plus each label, ``None`` where that is no point."""
        buffers = _buffers
        pair, other, raw, length, view = buffers.pair, buffers.other, buffers.raw, buffers.length, buffers.raw_bytes
        pair[0] = buffers.output
        keys: list[bytes | None] = []
        for label in self._labels:
            pair[1] = label
            if _combine(context, other, pair, 2):
                _serialize(context, raw, length, other, COMPRESSED)
                keys.append(view[1:])
            else:
                keys.append(None)
        return keys

    def differences(self, x_only: bytes) -> list[bytes]:
        """What must be added (33 bytes) to the key just made for either point with this x; none if there is no such."""
        buffers = _buffers
        if not _parse(context, buffers.given, b"\x02" + x_only, 33):
            return []
        pair = buffers.pair
        pair[0], pair[1] = buffers.given, buffers.addend
        buffers.addend[0] = buffers.output[0]
        lib.secp256k1_ec_pubkey_negate(context, buffers.addend)
        found = []
        for _ in range(2):
            if _combine(context, buffers.other, pair, 2):
                _serialize(context, buffers.raw, buffers.length, buffers.other, COMPRESSED)
                found.append(buffers.raw_bytes[:])
            lib.secp256k1_ec_pubkey_negate(context, buffers.given)
        return found


def check_tweak(tweak: bytes) -> None:
    """Refuse a hash that is no scalar from 1 to the order less one; ``InvalidInputError``."""
    check_length(tweak, 32, "a tweak")
    if not 0 < int.from_bytes(tweak, "big") < ORDER:
        raise InvalidInputError("this hash is not a number below the curve order: change the inputs")
