"""Signing the inputs of a PSBT with keys at hand: P2PKH, P2SH-P2WPKH, P2WPKH, P2TR key path, plain multisig."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import InputDigest, InputDigests, Psbt
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import (
    ecdsa_sign_der,
    ecdsa_verify_der,
    public_key,
    schnorr_sign,
    schnorr_verify,
    taproot_tweak_secret,
)
from bursar.errors import InvalidInputError, InvalidSignatureError, SignerError, UnsupportedError
from bursar.keys.path import HARDENED
from bursar.keys.scheme import CoinType
from bursar.signing.ownership import key_stands_in

if TYPE_CHECKING:
    from bursar.backends.software.branch import KeyTree

_DERIVATION: Final = 0x06
_TAP_DERIVATION: Final = 0x16
_PARTIAL_SIG: Final = b"\x02"
_TAP_KEY_SIG: Final = b"\x13"
_TAP_MERKLE_ROOT: Final = b"\x18"
_ETHEREUM: Final = (HARDENED + CoinType.ETHEREUM).to_bytes(4, "little")
_FINAL: Final = frozenset({b"\x07", b"\x08"})
_SINGLE_KEY: Final = frozenset({ScriptType.P2WPKH, ScriptType.P2SH_P2WPKH, ScriptType.P2PKH})
_SCRIPTED: Final = frozenset({ScriptType.P2PK, ScriptType.MULTISIG})


class InputSigner:
    """Signs for the master key ``fingerprint``; keys come from ``keys`` and stay there."""

    __slots__ = ("_fingerprint", "_keys", "_low_r", "_verify")

    def __init__(self, keys: KeyTree, fingerprint: bytes, *, verify: bool, low_r: bool) -> None:
        self._keys = keys
        self._fingerprint = fingerprint
        self._verify = verify
        self._low_r = low_r

    def sign(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with a signature for every key of ours that its open inputs name.

        ``InvalidInputError``: what BIP-174 tells a signer to refuse, a hash type other than ALL (taproot: DEFAULT or
        ALL), an outpoint spent twice, a path of Ethereum keys, a key that is not the one at its path or not one of
        the script, or no input of ours at all. ``UnsupportedError``: scripts other than of one key or plain multisig,
        taproot script paths.
        """
        outpoints, _, _ = psbt.tx.pieces()
        if len(set(outpoints)) != len(outpoints):
            raise InvalidInputError(
                "psbt refused: an outpoint is spent twice: such a transaction is never valid",
                code="input.psbt.duplicate-input",
            )
        signed = psbt.copy()
        digests = InputDigests(psbt)
        added = 0
        for index, one in enumerate(signed.inputs):
            fields = one.fields
            named = self._named(index, fields)
            if named:
                asked = digests.digest(index)
                before = len(fields)
                for key, path in named:
                    if path[4:8] == _ETHEREUM and path[3] >= 0x80:
                        raise _ethereum(index)
                    self._sign_input(index, fields, asked, key, path)
                added += len(fields) - before
        if not added:
            raise InvalidInputError(
                f"no input still to be signed names a key of {self._fingerprint.hex()}: choose another signer",
                code="input.psbt.nothing-to-sign",
            )
        return signed

    def _named(self, index: int, fields: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """The keys of ours that an open input names, each with its path as the PSBT writes it."""
        fingerprint = self._fingerprint
        named = []
        for key, value in fields.items():
            kind = key[0]
            if kind == _DERIVATION:
                if value[:4] == fingerprint:
                    named.append((key[1:], value[4:]))
            elif kind == _TAP_DERIVATION:
                if value[0]:
                    if value[1 + 32 * value[0] :][:4] == fingerprint:
                        raise _unsupported(f"psbt input {index} asks for a taproot script path")
                elif value[1:5] == fingerprint:
                    named.append((key[1:], value[5:]))
            elif key in _FINAL:
                return []
        return named

    def _sign_input(self, index: int, fields: dict[bytes, bytes], asked: InputDigest, key: bytes, path: bytes) -> None:
        if asked.script_type is ScriptType.P2TR:
            self._sign_taproot(index, fields, asked, key, path)
            return
        field = _PARTIAL_SIG + key
        if field in fields:
            return
        script = asked.script
        if asked.script_type in _SINGLE_KEY:
            if script[3:23] != hash160(key):
                raise _foreign(index, key)
        else:
            if classify(script) not in _SCRIPTED:
                raise _unsupported(f"psbt input {index} has a script that is neither of one key nor plain multisig")
            if not key_stands_in(script, key):
                raise _foreign(index, key)
        secret = self._keys.secret(path)
        if public_key(secret) != key:
            raise _another(index, key)
        signature = ecdsa_sign_der(secret, asked.digest, low_r=self._low_r)
        if self._verify:
            try:
                ecdsa_verify_der(key, asked.digest, signature)
            except InvalidSignatureError as error:
                raise _faulty(index) from error
        fields[field] = signature + bytes((asked.sighash,))

    def _sign_taproot(
        self, index: int, fields: dict[bytes, bytes], asked: InputDigest, key: bytes, path: bytes
    ) -> None:
        if _TAP_KEY_SIG in fields or len(key) != 32:
            return
        root = fields.get(_TAP_MERKLE_ROOT, b"")
        secret = self._keys.secret(path)
        public = public_key(secret)
        if public[1:] != key:
            raise _another(index, key)
        tweaked = taproot_tweak_secret(secret, root, public=public)
        output_key = asked.script[2:]
        try:
            signature = schnorr_sign(tweaked, asked.digest, public=output_key)
        except InvalidInputError as error:
            raise _foreign(index, key) from error
        if self._verify:
            try:
                schnorr_verify(output_key, asked.digest, signature)
            except InvalidSignatureError as error:
                raise _faulty(index) from error
        fields[_TAP_KEY_SIG] = signature if asked.sighash == DEFAULT else signature + bytes((asked.sighash,))


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(f"{what}: such are not signed in software yet", operation="sign_psbt", model="software")


def _foreign(index: int, key: bytes) -> InvalidInputError:
    return InvalidInputError(
        f"psbt input {index} names the key {key.hex()}, which its script does not contain", code="input.psbt.key"
    )


def _ethereum(index: int) -> InvalidInputError:
    return InvalidInputError(
        f"psbt input {index} names a path of ethereum keys: a bitcoin transaction is not signed there",
        code="input.path",
    )


def _another(index: int, key: bytes) -> InvalidInputError:
    return InvalidInputError(
        f"psbt input {index} names the key {key.hex()}, which is not ours at its path", code="input.psbt.key"
    )


def _faulty(index: int) -> SignerError:
    return SignerError(
        f"the signature of input {index} does not verify: this machine computes wrongly, do not sign on it",
        code="signer.fault",
    )
