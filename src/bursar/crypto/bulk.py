"""Many curve operations in one call, at little more than the library's own cost (BIP-32, BIP-341)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.crypto.hashes import tagged_hash_start
from bursar.crypto.secp256k1 import (
    COMPRESSED,
    UNCOMPRESSED,
    check_secret_key,
    context,
    ffi,
    lib,
    parse_public_key,
    wipe_buffer,
)
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_create = lib.secp256k1_ec_pubkey_create
_combine = lib.secp256k1_ec_pubkey_combine
_serialize = lib.secp256k1_ec_pubkey_serialize
_negate = lib.secp256k1_ec_pubkey_negate


def _invalid(position: int) -> InvalidInputError:
    return InvalidInputError(f"tweak {position} of the list gives no valid key", code="input.tweak")


def _short() -> InvalidInputError:
    return InvalidInputError("a tweak is at least 32 bytes long", code="input.tweak")


def _public_points(public: bytes, tweaks: Iterable[bytes]) -> Iterator[Any]:
    """public + tweak*G for every tweak, always in the same buffer."""
    parent, addend, total = (ffi.new("secp256k1_pubkey *") for _ in range(3))
    lib.secp256k1_ec_pubkey_parse(context, parent, parse_public_key(public), 33)
    pair = ffi.new("secp256k1_pubkey *[2]", (parent, addend))
    shared, create, combine = context, _create, _combine
    for position, tweak in enumerate(tweaks):
        # the library reads 32 bytes behind the pointer: BIP-32's 64-byte HMAC outputs need no slicing
        if type(tweak) is not bytes or len(tweak) < 32:
            raise _short()
        if create(shared, addend, tweak):
            if not combine(shared, total, pair, 2):
                raise _invalid(position)
        else:  # zero, or not below the order
            total[0] = parent[0]
            if not lib.secp256k1_ec_pubkey_tweak_add(shared, total, tweak):
                raise _invalid(position)
        yield total


def _secret_points(seckey: bytes, tweaks: Iterable[bytes]) -> Iterator[Any]:
    """(seckey + tweak)*G for every tweak, always in the same buffer."""
    check_secret_key(seckey)
    secret, total = ffi.new("unsigned char[32]"), ffi.new("secp256k1_pubkey *")
    view = ffi.buffer(secret)
    shared, create, add = context, _create, lib.secp256k1_ec_seckey_tweak_add
    try:
        for position, tweak in enumerate(tweaks):
            if type(tweak) is not bytes or len(tweak) < 32:
                raise _short()
            view[:] = seckey
            if not (add(shared, secret, tweak) and create(shared, total, secret)):
                raise _invalid(position)
            yield total
    finally:
        wipe_buffer(secret)


def _serialized(points: Iterator[Any], form: int, size: int) -> list[bytes]:
    output, length = ffi.new("unsigned char[]", size), ffi.new("size_t *", size)
    view, shared, serialize = ffi.buffer(output), context, _serialize
    keys: list[bytes] = []
    append = keys.append
    for point in points:
        serialize(shared, output, length, point, form)
        append(view[:])
    return keys


def _taproot_outputs(points: Iterator[Any]) -> list[bytes]:
    """The x-only BIP-341 output key of every internal point, without a script tree."""
    addend, total = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *")
    output, length = ffi.new("unsigned char[33]"), ffi.new("size_t *", 33)
    view, shared, create, combine, serialize = ffi.buffer(output), context, _create, _combine, _serialize
    start = tagged_hash_start("TapTweak")
    pair = None
    keys: list[bytes] = []
    append = keys.append
    for position, point in enumerate(points):
        if pair is None:
            pair = ffi.new("secp256k1_pubkey *[2]", (point, addend))
        serialize(shared, output, length, point, COMPRESSED)
        if output[0] == 3:
            _negate(shared, point)
        state = start()
        state.update(view[1:])
        if not (create(shared, addend, state.digest()) and combine(shared, total, pair, 2)):
            raise _invalid(position)
        serialize(shared, output, length, total, COMPRESSED)
        append(view[1:])
    return keys


def tweak_add_publics(public: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """public + tweak*G for every tweak, 33 bytes each; InvalidInputError names the first tweak that gives no key."""
    return _serialized(_public_points(public, tweaks), COMPRESSED, 33)


def tweak_add_publics_uncompressed(public: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """As :func:`tweak_add_publics`, 65 bytes each (04 first)."""
    return _serialized(_public_points(public, tweaks), UNCOMPRESSED, 65)


def tweak_add_publics_taproot(public: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """As :func:`tweak_add_publics`, then the BIP-341 output key without a script tree of each, 32 bytes x-only."""
    return _taproot_outputs(_public_points(public, tweaks))


def public_keys(seckey: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """(seckey + tweak)*G for every tweak, 33 bytes each; InvalidInputError names the first that gives no key."""
    return _serialized(_secret_points(seckey, tweaks), COMPRESSED, 33)


def public_keys_uncompressed(seckey: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """As :func:`public_keys`, 65 bytes each (04 first)."""
    return _serialized(_secret_points(seckey, tweaks), UNCOMPRESSED, 65)


def public_keys_taproot(seckey: bytes, tweaks: Iterable[bytes]) -> list[bytes]:
    """As :func:`public_keys`, then the BIP-341 output key without a script tree of each, 32 bytes x-only."""
    return _taproot_outputs(_secret_points(seckey, tweaks))
