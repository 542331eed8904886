"""An input's signatures held to their keys, digests and hash types before anything is final (BIP-174)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.psbt import rules as r
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import InputDigests
    from bursar.bitcoin.psbt.taproot import TapLeaf


class InputSignatures:
    """One input's signature fields. What is handed out was verified, if there are digests to verify it with."""

    __slots__ = ("_by_leaf", "_digest", "_digests", "fields", "place")

    def __init__(self, place: int, fields: dict[bytes, bytes], digests: InputDigests | None) -> None:
        self.place = place
        self.fields = fields
        self._digests = digests
        self._digest: bytes | None = None
        self._by_leaf: dict[bytes, list[tuple[bytes, bytes]]] | None = None

    def of(self, fields: dict[bytes, bytes]) -> InputSignatures:
        """The same input's, after fields were added."""
        return InputSignatures(self.place, fields, self._digests)

    def ecdsa(self, key: bytes) -> bytes | None:
        """The signature of ``key`` with its hash type byte, ``None`` without one.

        ``InvalidSignatureError`` if it does not verify, ``input.psbt.script`` for a hash type that was not asked for.
        """
        signature = self.fields.get(r.PARTIAL_SIG + key)
        if signature is None:
            return None
        asked = self.fields.get(r.SIGHASH_TYPE)
        if signature[-1] != (1 if asked is None else asked[0]):
            raise unfit(self.place, f"the signature's hash type 0x{signature[-1]:02x} is not the one asked for")
        if self._digests is not None:
            if self._digest is None:
                self._digest = self._digests.digest(self.place).digest
            ecdsa_verify_der(key, self._digest, signature[:-1])
        return signature

    def all_ecdsa(self) -> dict[bytes, bytes]:
        """Every ECDSA signature by its key."""
        found = {}
        for field in self.fields:
            if field[0] == r.PARTIAL_SIG[0]:
                signature = self.ecdsa(field[1:])
                assert signature is not None
                found[field[1:]] = signature
        return found

    def key_path(self, output_key: bytes) -> bytes | None:
        """The signature of the taproot output key, ``None`` without one."""
        signature = self.fields.get(r.TAP_KEY_SIG)
        if signature is None:
            return None
        self._check_schnorr_type(signature)
        if self._digests is not None:
            schnorr_verify(output_key, self._digests.digest(self.place).digest, signature[:64])
        return signature

    def of_leaf(self, leaf: TapLeaf) -> dict[bytes, bytes]:
        """The signatures that a leaf carries, by x-only key."""
        if self._by_leaf is None:
            self._by_leaf = {}  # once: there may be as many leaves as signatures
            for field, signature in self.fields.items():
                if field[0] == r.TAP_SCRIPT_SIG[0]:
                    self._by_leaf.setdefault(field[33:], []).append((field[1:33], signature))
        found = {}
        for key, signature in self._by_leaf.get(leaf.hash, ()):
            self._check_schnorr_type(signature)
            if self._digests is not None:
                schnorr_verify(key, self._digests.leaf(self.place, leaf).digest, signature[:64])
            found[key] = signature
        return found

    def _check_schnorr_type(self, signature: bytes) -> None:
        if len(signature) == 65 and signature[64] == 0:
            raise unfit(self.place, "a taproot signature with hash type byte 0 is invalid")
        asked = self.fields.get(r.SIGHASH_TYPE)
        if asked is not None and asked[0] != (signature[64] if len(signature) == 65 else 0):
            raise unfit(self.place, "the signature's hash type is not the one asked for")


def unsigned(place: int, lacking: str = "a signature: sign it first") -> InvalidInputError:
    """What a finaliser says where it cannot go on yet."""
    return InvalidInputError(f"psbt input {place} lacks {lacking}", code="input.psbt.unsigned")


def unfit(place: int, reason: str) -> InvalidInputError:
    """What a finaliser says where it never can."""
    return InvalidInputError(f"psbt input {place}: {reason}", code="input.psbt.script")
