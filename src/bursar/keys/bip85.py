"""Child seeds (BIP-85): mnemonics, keys, bytes, passwords and dice derived from a master key."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from bursar.crypto import base58
from bursar.crypto.secp256k1 import check_secret_key
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError, PolicyDeniedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import LENGTHS, Mnemonic
from bursar.keys.origin import Fingerprint
from bursar.keys.path import HARDENED, DerivationPath

if TYPE_CHECKING:
    from collections.abc import Sequence

LANGUAGES: Final = (
    "english",
    "japanese",
    "korean",
    "spanish",
    "chinese_simplified",
    "chinese_traditional",
    "french",
    "italian",
    "czech",
    "portuguese",
)
"""A language's place here is its code."""

MOST_ROLLS: Final = 10_000
"""Of dice; the standard allows more, which nobody needs and which would take long."""

_PURPOSE: Final = 83696968
_MNEMONIC, _WIF, _XPRV, _HEX, _BASE64, _BASE85, _DICE = 39, 2, 32, 128169, 707764, 707785, 89101


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.child-seed")


class Drng:
    """The standard's endless, repeatable stream of bytes: SHAKE-256 of 64 bytes of entropy."""

    def __init__(self, entropy: Secret) -> None:
        if len(entropy) != 64:
            raise _invalid(f"the generator starts from 64 bytes, not {len(entropy)}")
        self._stream = hashlib.shake_256(entropy.expose())
        self._position = 0

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        begin, self._position = self._position, self._position + size
        return self._stream.digest(self._position)[begin:]


class ChildSeeds:
    """What BIP-85 derives from the master key ``root``; ``index`` counts the children of a kind from 0.

    Whoever has the master key has every child; a child tells nothing about the master key or another child. A child
    leaves the keystore as soon as it is made: without ``allow_export`` every method raises ``PolicyDeniedError``
    (rule ``child-seeds``), so that a service that keeps keys for others cannot be made to hand them out.
    """

    def __init__(self, root: ExtendedPrivateKey, *, allow_export: bool) -> None:
        if root.depth != 0:
            raise _invalid(f"child seeds are derived from a master key, not from one of depth {root.depth}")
        self._root = root
        self._allowed = allow_export is True

    def entropy(self, steps: Sequence[int]) -> Secret:
        """The 64 bytes at ``m/83696968h/`` and then ``steps``, application first, each hardened."""
        if not self._allowed:
            reason = "secrets derived from this key may not leave it"
            raise PolicyDeniedError(f"{reason}: allow it explicitly", rule="child-seeds", reason=reason)
        path = DerivationPath(tuple(HARDENED + _checked("step", step, 0, HARDENED - 1) for step in (_PURPOSE, *steps)))
        with self._root.derive(path) as key, key.secret() as secret:
            return Secret(hmac.digest(b"bip-entropy-from-k", secret.expose(), "sha512"))

    def mnemonic(self, *, words: int = 12, language: str = "english", index: int = 0) -> Mnemonic:
        """A BIP-39 mnemonic of 12, 15, 18, 21 or 24 words."""
        if language not in LANGUAGES:
            raise _invalid(f"{language!r} is not a language of bip-39: choose one of {', '.join(sorted(LANGUAGES))}")
        if words not in LENGTHS:
            raise _invalid(f"a mnemonic has 12, 15, 18, 21 or 24 words, not {words!r}")
        with self.entropy((_MNEMONIC, LANGUAGES.index(language), words, index)) as entropy:
            return Mnemonic(entropy.expose()[: words * 4 // 3], language)

    def wif(self, *, index: int = 0) -> Secret:
        """A private key as text (WIF, compressed): Bitcoin Core's former ``hdseed``."""
        with self.entropy((_WIF, index)) as entropy:
            key = entropy.expose()[:32]
        check_secret_key(key)
        return Secret.from_text(base58.encode_check((b"\xef" if self._root.testnet else b"\x80") + key + b"\1"))

    def extended_key(self, *, index: int = 0) -> ExtendedPrivateKey:
        """A master key, of the same network as ours."""
        with self.entropy((_XPRV, index)) as entropy:
            chain_code, key = entropy.expose()[:32], entropy.expose()[32:]
        return ExtendedPrivateKey(0, Fingerprint(bytes(4)), 0, chain_code, Secret(key), self._root.testnet)

    def secret_bytes(self, size: int, *, index: int = 0) -> Secret:
        """16 to 64 bytes (the standard's HEX)."""
        with self.entropy((_HEX, _checked("number of bytes", size, 16, 64), index)) as entropy:
            return Secret(entropy.expose()[:size])

    def base64_password(self, length: int, *, index: int = 0) -> Secret:
        """20 to 86 characters, 6 bits each."""
        with self.entropy((_BASE64, _checked("length", length, 20, 86), index)) as entropy:
            return Secret(base64.b64encode(entropy.expose())[:length])

    def base85_password(self, length: int, *, index: int = 0) -> Secret:
        """10 to 80 characters, 6.4 bits each."""
        with self.entropy((_BASE85, _checked("length", length, 10, 80), index)) as entropy:
            return Secret(base64.b85encode(entropy.expose())[:length])

    def dice(self, sides: int, rolls: int, *, index: int = 0) -> tuple[int, ...]:
        """``rolls`` throws of a die with ``sides`` faces, numbered from 0: PINs, or secrets of any alphabet."""
        _checked("number of sides", sides, 2, HARDENED - 1)
        _checked("number of rolls", rolls, 1, MOST_ROLLS)
        with self.entropy((_DICE, sides, rolls, index)) as entropy:
            stream = Drng(entropy)
        bits = (sides - 1).bit_length()
        size = -(-bits // 8)
        found: list[int] = []
        while len(found) < rolls:
            block = stream.read(2 * size * (rolls - len(found)))
            numbers = [
                int.from_bytes(block[at : at + size], "big") >> 8 * size - bits for at in range(0, len(block), size)
            ]
            found += [number for number in numbers if number < sides]
        return tuple(found[:rolls])


def _checked(what: str, value: int, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise _invalid(f"the {what} is from {least} to {most}, not {value!r}")
    return value
