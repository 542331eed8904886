"""Where a simulator told to lie does: in keys, signatures and what was agreed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto import secp256k1
from bursar.crypto.hashes import sha256
from bursar_devices.device import Lie

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from bursar.keys.bip32 import ExtendedPrivateKey


def _secret(lies: AbstractSet[Lie], key: ExtendedPrivateKey) -> bytes:
    return (key.child(0) if Lie.WRONG_KEY in lies else key).secret().expose()


def _digest(lies: AbstractSet[Lie], digest: bytes) -> bytes:
    return sha256(digest) if lies & {Lie.WRONG_SIGNATURE, Lie.CHANGED_TRANSACTION} else digest


def recoverable(lies: AbstractSet[Lie], key: ExtendedPrivateKey, digest: bytes) -> tuple[int, int, int]:
    """An ECDSA signature (RFC 6979) as r, s and the parity of R's y."""
    signature = secp256k1.ecdsa_sign_recoverable(_secret(lies, key), _digest(lies, digest))
    parity = signature.y_parity or 0
    if Lie.HIGH_S in lies:
        return signature.r, secp256k1.ORDER - signature.s, 1 - parity
    return signature.r, signature.s, parity


def _integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(content)]) + content


def ecdsa_der(lies: AbstractSet[Lie], key: ExtendedPrivateKey, digest: bytes) -> bytes:
    """An ECDSA signature in DER, without hash type."""
    r, s, _ = recoverable(lies, key, digest)
    content = _integer(r) + _integer(s)
    return bytes([0x30, len(content)]) + content


def schnorr(lies: AbstractSet[Lie], key: ExtendedPrivateKey, digest: bytes) -> bytes:
    """A BIP-340 signature of the BIP-86 output key; no randomness, as the firmware."""
    secret = secp256k1.taproot_tweak_secret(_secret(lies, key))
    return secp256k1.schnorr_sign(secret, _digest(lies, digest), bytes(32))


def amount(lies: AbstractSet[Lie], sats: int) -> int:
    """An output's amount as it is written into the finished transaction."""
    return max(sats - 1, 0) if Lie.CHANGED_TRANSACTION in lies else sats
