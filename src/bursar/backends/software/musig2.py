"""MuSig2 with keys at hand: a nonce for each signature, kept in memory, used once and wiped (BIP-327, BIP-373)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import InputDigests, Psbt, note_signature
from bursar.bitcoin.psbt.musig2 import MusigSpend, musig_spends
from bursar.crypto.musig2 import SecretNonce, generate_nonce
from bursar.crypto.secp256k1 import public_key
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.backends.software.branch import KeyTree

_MOST_NONCES: Final = 256
_PUB_NONCE: Final = b"\x1b"
_PARTIAL_SIG: Final = b"\x1c"


class MusigRounds:
    """Both rounds for the master key ``fingerprint``; what a restart forgets is signed again from the first round."""

    __slots__ = ("_fingerprint", "_keys", "_nonces")

    def __init__(self, keys: KeyTree, fingerprint: bytes) -> None:
        self._keys = keys
        self._fingerprint = fingerprint
        self._nonces: dict[bytes, SecretNonce] = {}  # by public nonce

    def nonces(self, psbt: Psbt) -> Psbt:
        """A copy with a public nonce for every participant key of ours that has none yet (``generate_nonce``)."""
        result = psbt.copy()
        added = 0
        for spend, key, path in self._ours(psbt):
            field = _PUB_NONCE + spend.field_key(key)
            if field in result.inputs[spend.index].fields:
                continue
            with Secret(self._secret(spend, key, path)) as secret:
                nonce = generate_nonce(key, secret=secret, aggregate=spend.aggregate, message=spend.digest)
            while len(self._nonces) >= _MOST_NONCES:
                self._nonces.pop(next(iter(self._nonces))).wipe()
            self._nonces[nonce.public] = nonce
            result.inputs[spend.index].fields[field] = nonce.public
            added += 1
        if not added:
            raise self._nothing("asks for a nonce")
        return result

    def sign(self, psbt: Psbt) -> Psbt:
        """A copy with our partial signature wherever every nonce is there, ours made here; each nonce is gone after."""
        result = psbt.copy()
        added = 0
        for spend, key, path in self._ours(psbt):
            fields = result.inputs[spend.index].fields
            field = _PARTIAL_SIG + spend.field_key(key)
            session = spend.session(psbt)
            if field in fields or session is None:
                continue
            nonce = self._nonces.pop(fields[_PUB_NONCE + spend.field_key(key)], None)
            if nonce is None:
                raise InvalidInputError(
                    f"psbt input {spend.index} holds a nonce that this signer did not make or has used: begin again "
                    "from the first round",
                    code="input.psbt.nonce",
                )
            with Secret(self._secret(spend, key, path)) as secret:
                fields[field] = session.sign(secret, nonce)
            note_signature(result, spend.sighash)
            added += 1
        if not added:
            raise self._nothing("has all nonces and waits for a partial signature")
        return result

    def wipe(self) -> None:
        """Forget every nonce; idempotent."""
        for nonce in self._nonces.values():
            nonce.wipe()
        self._nonces.clear()

    def _ours(self, psbt: Psbt) -> Iterator[tuple[MusigSpend, bytes, bytes]]:
        """Every signature a key of ours takes part in, with that key and its path as PSBTs write it."""
        digests = InputDigests(psbt)
        for index, one in enumerate(psbt.inputs):
            if one.is_final or not len(one.musig2_participants):
                continue
            paths = {
                key: b"".join([step.to_bytes(4, "little") for step in origin.path.indexes])
                for key, (_, origin) in one.tap_bip32_derivations.pairs()
                if bytes(origin.fingerprint) == self._fingerprint
            }
            for spend in musig_spends(digests, psbt, index):
                for key in dict.fromkeys(spend.aggregate.keys):
                    if key[1:] in paths:
                        yield spend, key, paths[key[1:]]

    def _secret(self, spend: MusigSpend, key: bytes, path: bytes) -> bytes:
        secret = self._keys.secret(path)
        if public_key(secret) != key:
            raise InvalidInputError(
                f"psbt input {spend.index} names the key {key.hex()}, which is not ours at its path",
                code="input.psbt.key",
            )
        return secret

    def _nothing(self, what: str) -> InvalidInputError:
        return InvalidInputError(
            f"no input in which a key of {self._fingerprint.hex()} takes part {what}", code="input.psbt.nothing-to-sign"
        )
