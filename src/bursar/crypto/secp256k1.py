"""Keys and signatures on secp256k1: ECDSA (RFC 6979, low S), BIP-340 and BIP-341; the only file naming the library."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from bursar.crypto.curve import HALF_ORDER, check_length
from bursar.crypto.curve import ORDER as ORDER
from bursar.crypto.ecdsa import EcdsaSignature as EcdsaSignature
from bursar.crypto.ecdsa import compact_signature, trusted_signature
from bursar.crypto.hashes import tagged_hash_start
from bursar.crypto.known_answers import answers_hold
from bursar.errors import BursarError, InvalidInputError, InvalidSignatureError

LIBRARY_VARIABLE = "BURSAR_SECP256K1"
"""The environment variable that picks ``btclib`` or ``coincurve``; unset, the first that is installed."""


def _btclib() -> tuple[Any, Any]:
    from btclib_secp256k1 import ffi, lib

    return ffi, lib


def _coincurve() -> tuple[Any, Any]:
    from coincurve._libsecp256k1 import ffi, lib

    return ffi, lib


def _load(choice: str | None) -> tuple[str, Any, Any]:
    libraries = {"btclib": _btclib, "coincurve": _coincurve}
    if choice and choice not in libraries:
        raise BursarError(f"{LIBRARY_VARIABLE} is btclib or coincurve, not {choice!r}", code="crypto.library")
    for name in [choice] if choice else libraries:
        try:
            return (name, *libraries[name]())
        except ImportError:
            continue
    raise BursarError("no libsecp256k1: install btclib-secp256k1 (or coincurve)", code="crypto.library")


LIBRARY, ffi, lib = _load(os.environ.get(LIBRARY_VARIABLE))

_CONTEXT_NONE = 1  # these three from secp256k1.h
UNCOMPRESSED = 2
COMPRESSED = 258
_NULL: Any = ffi.NULL
_ZERO_KEYPAIR = bytes(96)
_ZERO_SECRET = bytes(32)


def _new_context() -> Any:
    context = ffi.gc(lib.secp256k1_context_create(_CONTEXT_NONE), lib.secp256k1_context_destroy)
    if not lib.secp256k1_context_randomize(context, os.urandom(32)):
        raise BursarError("libsecp256k1 could not blind its context", code="crypto.self-test")
    return context


def point_hash() -> Any:
    """A hash function for ``secp256k1_ecdh`` that hands out the point itself: 64 bytes, x and y."""
    own = getattr(lib, "btclib_secp256k1_ecdh_hash_function_xy", None)
    if own is not None:
        return own

    def copy(output: Any, x: Any, y: Any, _data: Any) -> int:
        ffi.memmove(output, x, 32)
        ffi.memmove(output + 32, y, 32)
        return 1

    return ffi.callback("int(unsigned char *, const unsigned char *, const unsigned char *, void *)", copy)


# blinded once; every later call takes it as const, so threads may share it
context: Any = _new_context()


class _Scratch(threading.local):
    """Output buffers of one thread: the library releases the interpreter lock while it writes to them."""

    def __init__(self) -> None:
        self.public = ffi.new("secp256k1_pubkey *")
        self.addend = ffi.new("secp256k1_pubkey *")
        self.pair = ffi.new("secp256k1_pubkey *[2]", (self.public, self.addend))
        self.sum = ffi.new("secp256k1_pubkey *")
        self.xonly = ffi.new("secp256k1_xonly_pubkey *")
        self.keypair = ffi.new("secp256k1_keypair *")
        self.keypair_bytes = ffi.buffer(self.keypair)
        self.signature = ffi.new("secp256k1_ecdsa_signature *")
        self.recoverable = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        self.secret = ffi.new("unsigned char[32]")
        self.secret_bytes = ffi.buffer(self.secret)
        self.output = ffi.new("unsigned char[72]")
        self.output_bytes = ffi.buffer(self.output)
        self.length = ffi.new("size_t *")
        self.number = ffi.new("int *")


_scratch = _Scratch()


def _invalid_secret() -> InvalidInputError:
    return InvalidInputError("a secret key must be from 1 to the curve order less one")


def _serialize(public: Any) -> bytes:
    scratch = _scratch
    scratch.length[0] = 33
    lib.secp256k1_ec_pubkey_serialize(context, scratch.output, scratch.length, public, COMPRESSED)
    return scratch.output_bytes[:33]  # type: ignore[no-any-return]


def _parse(public: bytes) -> Any:
    """Parse SEC 1 bytes into this thread's ``public`` buffer and return it."""
    if type(public) is not bytes:
        raise InvalidInputError(f"a public key must be bytes, not {type(public).__name__}")
    # the library would also take the hybrid forms 06 and 07, which nothing here writes
    if not (len(public) == 33 and public[0] in (2, 3)) and not (len(public) == 65 and public[0] == 4):
        raise InvalidInputError("a public key is 33 bytes (02 or 03 first) or 65 bytes (04 first)")
    target = _scratch.public
    if not lib.secp256k1_ec_pubkey_parse(context, target, public, len(public)):
        raise InvalidInputError("the public key is not a point of the curve")
    return target


def check_secret_key(seckey: bytes) -> None:
    """Raise InvalidInputError unless ``seckey`` is 32 bytes from 1 to the curve order less one."""
    check_length(seckey, 32, "a secret key")
    if not lib.secp256k1_ec_seckey_verify(context, seckey):
        raise _invalid_secret()


def public_key(seckey: bytes) -> bytes:
    """The compressed public key (33 bytes) of a 32-byte secret key."""
    check_length(seckey, 32, "a secret key")
    target = _scratch.public
    if not lib.secp256k1_ec_pubkey_create(context, target, seckey):
        raise _invalid_secret()
    return _serialize(target)


def parse_public_key(public: bytes) -> bytes:
    """The compressed form (33 bytes) of a SEC 1 public key of 33 or 65 bytes; InvalidInputError if it is no point."""
    return _serialize(_parse(public))


def uncompressed(public: bytes) -> bytes:
    """The uncompressed form (65 bytes, 04 first) of a SEC 1 public key."""
    target = _parse(public)
    scratch = _scratch
    scratch.length[0] = 65
    lib.secp256k1_ec_pubkey_serialize(context, scratch.output, scratch.length, target, UNCOMPRESSED)
    return scratch.output_bytes[:65]  # type: ignore[no-any-return]


def x_only(public: bytes) -> bytes:
    """The BIP-340 form (32 bytes) of a SEC 1 public key; the key itself is not checked to be on the curve."""
    if type(public) is not bytes or not (
        (len(public) == 33 and public[0] in (2, 3)) or (len(public) == 65 and public[0] == 4)
    ):
        raise InvalidInputError("a public key is 33 bytes (02 or 03 first) or 65 bytes (04 first)")
    return public[1:33]


def tweak_add_secret(seckey: bytes, tweak: bytes) -> bytes:
    """(seckey + tweak) mod n; InvalidInputError if ``tweak`` is not below n or the sum is zero."""
    check_length(seckey, 32, "a secret key")
    return _add_secret(seckey, tweak, negate=False)


def _add_secret(seckey: bytes, tweak: bytes, *, negate: bool) -> bytes:
    check_length(tweak, 32, "a tweak")
    scratch = _scratch
    secret, view = scratch.secret, scratch.secret_bytes
    view[:] = seckey
    if negate:
        lib.secp256k1_ec_seckey_negate(context, secret)
    added = lib.secp256k1_ec_seckey_tweak_add(context, secret, tweak)
    total: bytes = view[:]
    view[:] = _ZERO_SECRET
    if not added:
        check_secret_key(seckey)
        raise InvalidInputError("the tweak is not below the curve order, or the sum is zero")
    return total


def wipe_buffer(buffer: Any) -> None:
    """Overwrite a cffi buffer with zeros."""
    view = ffi.buffer(buffer)
    view[:] = bytes(len(view))


def tweak_add_public(public: bytes, tweak: bytes) -> bytes:
    """public + tweak*G as 33 bytes; InvalidInputError if ``tweak`` is not below n or the sum is no point."""
    target = _parse(public)
    check_length(tweak, 32, "a tweak")
    return _serialize(add_tweak(target, tweak))


def add_tweak(target: Any, tweak: bytes) -> Any:
    """``target`` (this thread's ``public`` buffer) + tweak*G in a buffer of this thread."""
    scratch = _scratch
    # creating the tweak's point and adding is quicker than the library's own tweak_add
    if lib.secp256k1_ec_pubkey_create(context, scratch.addend, tweak):
        if lib.secp256k1_ec_pubkey_combine(context, scratch.sum, scratch.pair, 2):
            return scratch.sum
    elif lib.secp256k1_ec_pubkey_tweak_add(context, target, tweak):  # a zero tweak
        return target
    raise InvalidInputError("the tweak is not below the curve order, or the sum is not a point")


def _sign(seckey: bytes, digest: bytes, low_r: bool) -> Any:
    """Sign into this thread's buffers: ``signature``, and when grinding also ``output`` (compact)."""
    check_length(seckey, 32, "a secret key")
    check_length(digest, 32, "a digest")
    scratch = _scratch
    signature = scratch.signature
    if not lib.secp256k1_ecdsa_sign(context, signature, digest, seckey, _NULL, _NULL):
        raise _invalid_secret()
    if low_r:
        counter = 0
        output = scratch.output
        while True:
            lib.secp256k1_ecdsa_signature_serialize_compact(context, output, signature)
            if output[0] < 0x80:
                break
            counter += 1
            extra = counter.to_bytes(32, "little")
            if not lib.secp256k1_ecdsa_sign(context, signature, digest, seckey, _NULL, ffi.from_buffer(extra)):
                raise _invalid_secret()
    return signature


def ecdsa_sign(seckey: bytes, digest: bytes, *, low_r: bool = False) -> bytes:
    """Sign a 32-byte digest: RFC 6979 nonce, low S, 64 bytes compact; ``low_r`` grinds as Bitcoin Core does."""
    signature = _sign(seckey, digest, low_r)
    scratch = _scratch
    lib.secp256k1_ecdsa_signature_serialize_compact(context, scratch.output, signature)
    return scratch.output_bytes[:64]  # type: ignore[no-any-return]


def ecdsa_sign_der(seckey: bytes, digest: bytes, *, low_r: bool = False) -> bytes:
    """As :func:`ecdsa_sign`, in DER (at most 71 bytes, 70 with ``low_r``)."""
    signature = _sign(seckey, digest, low_r)
    scratch = _scratch
    length = scratch.length
    length[0] = 72
    lib.secp256k1_ecdsa_signature_serialize_der(context, scratch.output, length, signature)
    return scratch.output_bytes[: length[0]]  # type: ignore[no-any-return]


def ecdsa_sign_recoverable(seckey: bytes, digest: bytes) -> EcdsaSignature:
    """Sign a 32-byte digest (RFC 6979, low S), with the parity that lets the public key be recovered."""
    check_length(seckey, 32, "a secret key")
    check_length(digest, 32, "a digest")
    scratch = _scratch
    signature = scratch.recoverable
    if not lib.secp256k1_ecdsa_sign_recoverable(context, signature, digest, seckey, _NULL, _NULL):
        raise _invalid_secret()
    number = scratch.number
    lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(context, scratch.output, number, signature)
    parity = number[0]
    if parity > 1:  # r overflowed the order: nobody has seen it happen, and no format can carry it
        raise InvalidInputError("this digest gives a signature that cannot be recovered: sign another")
    return trusted_signature(scratch.output_bytes[:64], parity)


def _verify(public: bytes, digest: bytes) -> None:
    check_length(digest, 32, "a digest")
    if not lib.secp256k1_ecdsa_verify(context, _scratch.signature, digest, _parse(public)):
        raise InvalidSignatureError("the signature does not verify under this public key")


def ecdsa_verify(public: bytes, digest: bytes, signature: bytes) -> None:
    """Raise InvalidSignatureError unless the compact ``signature`` (64 bytes, low S) verifies; returns nothing."""
    compact_signature(signature)
    if not lib.secp256k1_ecdsa_signature_parse_compact(context, _scratch.signature, signature):
        raise InvalidSignatureError("the signature's r or s is not below the curve order")
    _verify(public, digest)


def ecdsa_verify_der(public: bytes, digest: bytes, der: bytes, *, allow_high_s: bool = False) -> None:
    """Raise InvalidSignatureError unless ``der`` (strict DER, no sighash byte) verifies; returns nothing."""
    if type(der) is not bytes or not lib.secp256k1_ecdsa_signature_parse_der(
        context, _scratch.signature, der, len(der)
    ):
        raise InvalidSignatureError("the signature is not strict DER")
    if allow_high_s:
        lib.secp256k1_ecdsa_signature_normalize(context, _scratch.signature, _scratch.signature)
    _verify(public, digest)


def ecdsa_recover(digest: bytes, signature: EcdsaSignature, *, allow_high_s: bool = False) -> bytes:
    """The public key (33 bytes) that made a recoverable signature; InvalidSignatureError if there is none."""
    check_length(digest, 32, "a digest")
    if signature.y_parity is None:
        raise InvalidSignatureError("the signature carries no parity: its key cannot be recovered")
    if signature.s > HALF_ORDER and not allow_high_s:
        raise InvalidSignatureError("the signature's s is in the upper half: a malleable form that is not accepted")
    scratch = _scratch
    if not lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
        context, scratch.recoverable, signature.compact(), signature.y_parity
    ) or not lib.secp256k1_ecdsa_recover(context, scratch.public, scratch.recoverable, digest):
        raise InvalidSignatureError("no public key made this signature")
    return _serialize(scratch.public)


def schnorr_sign(seckey: bytes, message: bytes, aux: bytes | None = None, *, public: bytes | None = None) -> bytes:
    """The BIP-340 signature (64 bytes) of a 32-byte message; ``aux`` is 32 bytes, fresh randomness when ``None``.

    Given ``public`` (32 bytes, x-only), InvalidInputError unless it belongs to ``seckey``; the check costs next to
    nothing here, where the key is at hand.
    """
    check_length(seckey, 32, "a secret key")
    check_length(message, 32, "a message")
    if aux is None:
        aux = os.urandom(32)
    else:
        check_length(aux, 32, "auxiliary randomness")
    scratch = _scratch
    keypair, output = scratch.keypair, scratch.output
    if not lib.secp256k1_keypair_create(context, keypair, seckey):
        raise _invalid_secret()
    try:
        if public is not None:
            lib.secp256k1_keypair_xonly_pub(context, scratch.xonly, _NULL, keypair)
            lib.secp256k1_xonly_pubkey_serialize(context, output, scratch.xonly)
            if scratch.output_bytes[:32] != public:
                raise InvalidInputError("the public key does not belong to the secret key")
        if not lib.secp256k1_schnorrsig_sign32(context, output, message, keypair, aux):
            raise _invalid_secret()
    finally:
        scratch.keypair_bytes[:] = _ZERO_KEYPAIR
    return scratch.output_bytes[:64]  # type: ignore[no-any-return]


def schnorr_verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Raise InvalidSignatureError unless the BIP-340 ``signature`` (64 bytes) verifies; returns nothing.

    ``public`` is the 32-byte x-only key; InvalidInputError if it is no point of the curve.
    """
    check_length(public, 32, "an x-only public key")
    check_length(message, 32, "a message")
    compact_signature(signature)
    target = _scratch.xonly
    if not lib.secp256k1_xonly_pubkey_parse(context, target, public):
        raise InvalidInputError("the x-only public key is not a point of the curve")
    if not lib.secp256k1_schnorrsig_verify(context, signature, message, 32, target):
        raise InvalidSignatureError("the signature does not verify under this public key")


_tap_tweak = tagged_hash_start("TapTweak")


def tap_tweak(internal: bytes, merkle_root: bytes = b"") -> bytes:
    """The BIP-341 tweak (32 bytes) of an x-only internal key and an optional 32-byte script tree root."""
    check_length(internal, 32, "an x-only public key")
    if merkle_root:
        check_length(merkle_root, 32, "a merkle root")
    state = _tap_tweak()
    state.update(internal + merkle_root)
    digest: bytes = state.digest()
    return digest


def taproot_tweak_secret(seckey: bytes, merkle_root: bytes = b"", *, public: bytes | None = None) -> bytes:
    """The secret key (32 bytes) of the BIP-341 output key; ``public`` (33 bytes), if known, saves deriving it."""
    if public is None:
        public = public_key(seckey)
    else:
        check_length(seckey, 32, "a secret key")
        check_length(public, 33, "a public key")
    return _add_secret(seckey, tap_tweak(public[1:], merkle_root), negate=public[0] == 3)


def taproot_output_key(internal: bytes, merkle_root: bytes = b"") -> tuple[bytes, int]:
    """The BIP-341 output key (32 bytes x-only, y parity) of an x-only internal key and a script tree root."""
    tweak = tap_tweak(internal, merkle_root)
    output = _serialize(add_tweak(_parse(b"\x02" + internal), tweak))
    return output[1:], output[0] - 2


if not answers_hold(sys.modules[__name__]):
    raise BursarError(f"libsecp256k1 ({LIBRARY}) gave a wrong answer: do not use it", code="crypto.self-test")
