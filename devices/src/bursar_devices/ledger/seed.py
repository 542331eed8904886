"""The device's secret: keys by path (BIP-32, SLIP-21), and signatures, false ones when told to lie."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from bursar.crypto.curve import ORDER
from bursar.crypto.secp256k1 import (
    EcdsaSignature,
    ecdsa_sign_recoverable,
    public_key,
    schnorr_sign,
    taproot_tweak_secret,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar_devices.device import Lie

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

_MOST_CACHED = 4096


class Seed:
    """Holds the seed and derives from it; the keys on the way are kept, for a simulator guards nothing."""

    def __init__(self, mnemonic: str, lies: AbstractSet[Lie]) -> None:
        self._seed = Mnemonic.from_text(mnemonic).to_seed().expose()
        self._lies = lies
        self._master = ExtendedPrivateKey.from_seed(self._seed)
        self._cache: dict[tuple[int, ...], ExtendedPrivateKey] = {(): self._master}
        self.fingerprint = bytes(self._master.fingerprint)

    def key(self, path: tuple[int, ...]) -> ExtendedPrivateKey:
        """The key at ``path``, hardened steps with 2^31 added."""
        found = self._cache.get(path)
        if found is None:
            if len(self._cache) >= _MOST_CACHED:
                self._cache = {(): self._master}
            found = self._cache[path] = self.key(path[:-1]).child(path[-1])
        return found

    def symmetric_key(self, label: bytes) -> bytes:
        """The SLIP-21 key of one label."""
        master = hmac.digest(b"Symmetric key seed", self._seed, "sha512")
        return hmac.digest(master[:32], b"\x00" + label, "sha512")[32:]

    def sign_ecdsa(self, path: tuple[int, ...], digest: bytes) -> tuple[bytes, EcdsaSignature]:
        """The public key (33 bytes) and an RFC 6979 signature with low S."""
        key = self.key(path)
        if Lie.WRONG_KEY in self._lies:
            key = self.key((*path[:-1], path[-1] ^ 1)) if path else self.key((1,))
        signature = ecdsa_sign_recoverable(key.secret().expose(), digest)
        if Lie.WRONG_SIGNATURE in self._lies:
            signature = EcdsaSignature(signature.r, signature.s ^ 1 or 2, signature.y_parity)
        if Lie.HIGH_S in self._lies:
            assert signature.y_parity is not None
            signature = EcdsaSignature(signature.r, ORDER - signature.s, signature.y_parity ^ 1)
        return key.public_key, signature

    def sign_schnorr(self, path: tuple[int, ...], digest: bytes, tweak: bytes | None) -> tuple[bytes, bytes]:
        """The x-only key that verifies and a randomised BIP-340 signature; ``tweak`` is BIP-341's merkle root."""
        if Lie.WRONG_KEY in self._lies:
            path = (*path[:-1], path[-1] ^ 1)
        secret = self.key(path).secret().expose()
        if tweak is not None:
            secret = taproot_tweak_secret(secret, tweak)
        signature = schnorr_sign(secret, digest)
        if Lie.WRONG_SIGNATURE in self._lies or Lie.HIGH_S in self._lies:
            signature = signature[:-1] + bytes((signature[-1] ^ 1,))
        return public_key(secret)[1:], signature


def digest_of(*parts: bytes) -> bytes:
    """SHA-256 of the parts, joined."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.digest()
