"""The ciphers and bounded key derivations of Web3 Secret Storage, version 3: scrypt (RFC 7914), PBKDF2 (RFC 8018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bursar.crypto.curve import check_length
from bursar.crypto.hashes import scrypt_of_pycryptodome
from bursar.crypto.kdf import MAX_MEMORY
from bursar.errors import InvalidInputError, KeystoreError

_DERIVED = 32
_MOST_WORK = 4 * MAX_MEMORY
_MOST_ROUNDS = 50_000_000


def _check(value: object, low: int, high: int, name: str) -> None:
    # a bool is an int to isinstance
    if type(value) is not int or not low <= value <= high:
        raise InvalidInputError(f"{name} is a whole number from {low} to {high}", code="input.kdf")


@dataclass(frozen=True, slots=True)
class StorageScrypt:
    """scrypt with ``n`` a power of two: 128 * n * r bytes of memory, at most 1 GiB, and at most 4 GiB of work."""

    n: int = 1 << 18
    r: int = 8
    p: int = 1
    name: ClassVar[str] = "scrypt"

    def __post_init__(self) -> None:
        _check(self.n, 2, 1 << 24, "scrypt's n")
        _check(self.r, 1, 64, "scrypt's r")
        _check(self.p, 1, 64, "scrypt's p")
        if self.n & (self.n - 1):
            raise InvalidInputError("scrypt's n is a power of two", code="input.kdf")
        memory = 128 * self.n * self.r
        if memory > MAX_MEMORY or memory * self.p > _MOST_WORK:
            raise InvalidInputError("these scrypt parameters need too much memory or time", code="input.kdf")

    @property
    def weak(self) -> bool:
        """Whether guessing passwords is cheap: less than a quarter of the work of n = 2^14, r = 8."""
        return self.n * self.r * self.p < 1 << 15

    def derive(self, password: bytes, salt: bytes) -> bytes:
        """32 bytes of key."""
        try:
            if self.n.bit_length() > 16 * self.r:  # more than RFC 7914 allows, and old files of Ethereum have it
                return scrypt_of_pycryptodome(password, salt, _DERIVED, n=self.n, r=self.r, p=self.p)
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt as Function

            return Function(salt=salt, length=_DERIVED, n=self.n, r=self.r, p=self.p).derive(password)
        except MemoryError:
            size = 128 * self.n * self.r >> 20
            raise KeystoreError(f"deriving the key takes {size} MiB of memory, which this machine has not") from None


@dataclass(frozen=True, slots=True)
class StoragePbkdf2:
    """PBKDF2 with HMAC-SHA-256 and ``c`` rounds."""

    c: int = 1_000_000
    name: ClassVar[str] = "pbkdf2"

    def __post_init__(self) -> None:
        _check(self.c, 1, _MOST_ROUNDS, "pbkdf2's c")

    @property
    def weak(self) -> bool:
        """Whether guessing passwords is cheap."""
        return self.c < 10_000

    def derive(self, password: bytes, salt: bytes) -> bytes:
        """32 bytes of key."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

        return PBKDF2HMAC(algorithm=SHA256(), length=_DERIVED, salt=salt, iterations=self.c).derive(password)


def aes128_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """``data`` enciphered or deciphered by AES-128 in counter mode (NIST SP 800-38A); it authenticates nothing."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES128
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    check_length(key, 16, "an AES-128 key")
    check_length(counter, 16, "a counter block")
    context = Cipher(AES128(key), CTR(counter)).encryptor()
    return context.update(data) + context.finalize()
