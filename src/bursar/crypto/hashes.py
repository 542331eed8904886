"""SHA-2 (FIPS 180-4), RIPEMD-160, Keccak-256, HMAC-SHA-512, BIP-340 tagged hashes and PBKDF2 (RFC 8018)."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

_IPAD = bytes(byte ^ 0x36 for byte in range(256))
_OPAD = bytes(byte ^ 0x5C for byte in range(256))

# copying an empty hash object is quicker than making one, and safe from several threads
_sha256_start = hashlib.sha256().copy
_sha512_start = hashlib.sha512().copy


def _find_ripemd160() -> Callable[[bytes], bytes]:
    try:
        start = hashlib.new("ripemd160").copy
    except ValueError:  # OpenSSL without it, or in FIPS mode
        from bursar.crypto.ripemd160 import ripemd160

        return ripemd160

    def digest(data: bytes) -> bytes:
        state = start()
        state.update(data)
        return state.digest()

    return digest


def _keccak256_of_pycryptodome(data: bytes) -> bytes:
    from Crypto.Hash import keccak  # slow to import: only who hashes for Ethereum pays

    digest: bytes = keccak.new(data=data, digest_bits=256).digest()
    return digest


def _find_keccak256() -> Callable[[bytes], bytes]:
    try:
        from _pysha3 import keccak_256
    except ImportError:
        return _keccak256_of_pycryptodome

    def digest(data: bytes) -> bytes:
        value: bytes = keccak_256(data).digest()
        return value

    return digest


ripemd160: Callable[[bytes], bytes] = _find_ripemd160()
keccak256: Callable[[bytes], bytes] = _find_keccak256()


def sha256(data: bytes) -> bytes:
    """The 32-byte SHA-256 of ``data``."""
    state = _sha256_start()
    state.update(data)
    return state.digest()


def sha256d(data: bytes) -> bytes:
    """SHA-256 of the SHA-256 of ``data``: Bitcoin's transaction and block hash (32 bytes)."""
    state = _sha256_start()
    state.update(data)
    outer = _sha256_start()
    outer.update(state.digest())
    return outer.digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of the SHA-256 of ``data``: Bitcoin's key and script hash (20 bytes)."""
    state = _sha256_start()
    state.update(data)
    return ripemd160(state.digest())


def hmac_sha512(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-512 (RFC 2104), 64 bytes."""
    return hmac.digest(key, data, "sha512")


def hmac_sha512_states(key: bytes) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Two functions that start the inner and the outer hash of HMAC-SHA-512 under ``key`` (at most 128 bytes)."""
    if len(key) > 128:
        raise InvalidInputError(f"an hmac mid-state takes a key of at most 128 bytes, not {len(key)}")
    block = key.ljust(128, b"\x00")
    inner = _sha512_start()
    inner.update(block.translate(_IPAD))
    outer = _sha512_start()
    outer.update(block.translate(_OPAD))
    return inner.copy, outer.copy


@lru_cache(maxsize=64)
def tagged_hash_start(tag: str) -> Callable[[], Any]:
    """A function that starts the BIP-340 tagged hash of ``tag``, its first block already hashed."""
    prefix = sha256(tag.encode("utf-8"))
    state = _sha256_start()
    state.update(prefix + prefix)
    return state.copy


def tagged_hash(tag: str, data: bytes) -> bytes:
    """The BIP-340 tagged hash: SHA-256(SHA-256(tag) || SHA-256(tag) || data), 32 bytes."""
    state = tagged_hash_start(tag)()
    state.update(data)
    digest: bytes = state.digest()
    return digest


def pbkdf2_hmac_sha512(password: bytes, salt: bytes, iterations: int) -> bytes:
    """PBKDF2 with HMAC-SHA-512, 64 bytes out; ``iterations`` at least 1."""
    if iterations < 1:
        raise InvalidInputError(f"pbkdf2 needs at least one iteration, not {iterations}")
    # measured quicker than hashlib: its wheel carries a newer OpenSSL
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    return PBKDF2HMAC(algorithm=hashes.SHA512(), length=64, salt=salt, iterations=iterations).derive(password)


def scrypt_of_pycryptodome(password: bytes, salt: bytes, length: int, *, n: int, r: int, p: int) -> bytes:
    """scrypt beyond RFC 7914 (n of 2^(16 * r) and more), which OpenSSL refuses; the caller bounds the parameters."""
    try:
        from Crypto.Protocol import KDF
    except ImportError as error:
        problem = f"scrypt with n = {n} and r = {r} needs pycryptodome: install bursar[ethereum]"
        raise MissingExtraError(problem, extra="ethereum") from error
    function: Any = KDF.scrypt  # its stub knows texts only
    return bytes(function(password, salt, length, n, r, p))
