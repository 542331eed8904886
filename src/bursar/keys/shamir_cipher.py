"""The passphrase of SLIP-39: a four-round Feistel network over PBKDF2-HMAC-SHA-256."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bursar.crypto.secret import Secret
from bursar.keys.shamir_share import check_secret_size, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_EXPONENT: Final = 10
"""The largest iteration exponent worked through unless asked for: some seconds. 15, the largest there is, takes
minutes."""

_ROUNDS = 4
_BASE_ITERATIONS = 2500
_LONGEST_PASSPHRASE = 4096


def check_exponent(exponent: int, largest: int = LARGEST_EXPONENT) -> None:
    if exponent > largest:
        raise invalid(
            f"the iteration exponent {exponent} asks for {10000 << exponent} iterations and is above {largest}: "
            "allow it explicitly, and be patient",
            "exponent",
        )


def check_passphrase(passphrase: Secret | None) -> bytes:
    """The passphrase's bytes; the standard allows the characters 32 to 126 only, so that any keyboard can type it."""
    plain = b"" if passphrase is None else passphrase.expose()
    if len(plain) > _LONGEST_PASSPHRASE:
        raise invalid(f"the passphrase is longer than {_LONGEST_PASSPHRASE} bytes", "passphrase")
    if any(not 32 <= byte <= 126 for byte in plain):
        raise invalid("a passphrase of slip-39 has printable ascii characters only", "passphrase")
    return plain


def encrypt(secret: Secret, passphrase: Secret | None, *, exponent: int, identifier: int, extendable: bool) -> Secret:
    """The encrypted master secret."""
    check_secret_size(len(secret))
    salt = _salt(identifier, extendable)
    return _network(secret, check_passphrase(passphrase), salt, exponent, range(_ROUNDS))


def decrypt(
    encrypted: Secret, passphrase: Secret | None, *, exponent: int, identifier: int, extendable: bool
) -> Secret:
    """The master secret; another passphrase gives another one, and none is known to be wrong."""
    salt = _salt(identifier, extendable)
    return _network(encrypted, check_passphrase(passphrase), salt, exponent, reversed(range(_ROUNDS)))


def _salt(identifier: int, extendable: bool) -> bytes:
    return b"" if extendable else b"shamir" + identifier.to_bytes(2, "big")


def _network(secret: Secret, passphrase: bytes, salt: bytes, exponent: int, rounds: Iterable[int]) -> Secret:
    plain = secret.expose()
    half = len(plain) // 2
    left, right = plain[:half], plain[half:]
    for number in rounds:
        stream = hashlib.pbkdf2_hmac(
            "sha256", bytes((number,)) + passphrase, salt + right, _BASE_ITERATIONS << exponent, half
        )
        left, right = right, bytes(a ^ b for a, b in zip(left, stream, strict=True))
    return Secret(right + left)
