"""Which keys the operating system lets the app derive, and which the app hands out unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar_devices.ledger.seed import Seed

_ALWAYS: Final = (HARDENED + 4541509, HARDENED + 45)  # Electrum's encryption keys, BIP-45
_ELECTRUM: Final = (HARDENED + 4541509, HARDENED + 1112098098)
_HARDENED_STEPS: Final = {44: 3, 45: 3, 48: 4, 49: 3, 84: 3, 86: 3}
_HIGHEST_ACCOUNT: Final = 100


class ForbiddenPathError(Exception):
    """The operating system refuses to derive there."""


class Keyring:
    """The seed behind the rules of one app: ``m/*/coin'`` and what lies below."""

    def __init__(self, seed: Seed, coin_type: int, *, testnet: bool) -> None:
        self._seed = seed
        self.coin_type = coin_type
        self.testnet = testnet
        self.fingerprint = seed.fingerprint
        self.symmetric_key = seed.symmetric_key

    def check(self, path: tuple[int, ...]) -> None:
        """Raise ForbiddenPathError outside the app's paths."""
        if (path and path[0] in _ALWAYS) or (len(path) >= 2 and path[1] == HARDENED + self.coin_type):
            return
        raise ForbiddenPathError

    def _key(self, path: tuple[int, ...]) -> ExtendedPrivateKey:
        self.check(path)
        return self._seed.key(path)

    def xpub(self, path: tuple[int, ...]) -> ExtendedPublicKey:
        """The extended public key at ``path``, in the app's version."""
        if len(path) > 1:
            self.check(path[:-1])  # the parent's key is derived too, for its fingerprint
        key = self._key(path).public()
        return ExtendedPublicKey(key.depth, key.parent, key.index, key.chain_code, key.key, self.testnet)

    def owns(self, fingerprint: bytes, path: tuple[int, ...], text: str) -> bool:
        """Whether the extended key with this origin is really ours."""
        if fingerprint != self.fingerprint:
            return False
        try:
            return str(self.xpub(path)) == text
        except ForbiddenPathError:
            return False

    def sign_ecdsa(self, path: tuple[int, ...], digest: bytes) -> tuple[bytes, EcdsaSignature]:
        """The public key and an ECDSA signature."""
        self.check(path)
        return self._seed.sign_ecdsa(path, digest)

    def sign_schnorr(self, path: tuple[int, ...], digest: bytes, tweak: bytes | None) -> tuple[bytes, bytes]:
        """The x-only key and a BIP-340 signature."""
        self.check(path)
        return self._seed.sign_schnorr(path, digest, tweak)


def is_shown_without_asking(path: tuple[int, ...], coin_type: int) -> bool:
    """Whether the app hands out the extended key at ``path`` without the human's consent."""
    if path == _ELECTRUM:
        return True
    if len(path) < 3:
        return False
    hardened = _HARDENED_STEPS.get(path[0] & (HARDENED - 1))
    if hardened is None or len(path) < hardened:
        return False
    if any((step >= HARDENED) != (at < hardened) for at, step in enumerate(path)):
        return False
    if path[1] != HARDENED + coin_type or path[2] > HARDENED + _HIGHEST_ACCOUNT:
        return False
    return hardened == 3 or path[3] in (HARDENED + 1, HARDENED + 2)
