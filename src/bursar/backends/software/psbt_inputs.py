"""Signing the inputs of a PSBT with keys at hand: single keys, multisig, miniscript, taproot keys and leaves."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import InputDigest, InputDigests, Psbt, note_signature
from bursar.bitcoin.psbt.script_keys import key_stands_in
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.sighash import DEFAULT
from bursar.bitcoin.wire import read_compact_size
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

if TYPE_CHECKING:
    from bursar.backends.software.branch import KeyTree
    from bursar.bitcoin.psbt import PsbtInput

_TX_MODIFIABLE: Final = b"\x06"
_DERIVATION: Final = 0x06
_TAP_DERIVATION: Final = 0x16
_PARTIAL_SIG: Final = b"\x02"
_TAP_KEY_SIG: Final = b"\x13"
_TAP_SCRIPT_SIG: Final = b"\x14"
_TAP_INTERNAL_KEY: Final = b"\x17"
_TAP_MERKLE_ROOT: Final = b"\x18"
_MUSIG2_PARTICIPANTS: Final = 0x1A
_ETHEREUM: Final = (HARDENED + CoinType.ETHEREUM).to_bytes(4, "little")
_FINAL: Final = frozenset({b"\x07", b"\x08"})
_AT_ONCE: Final = 32
_SINGLE_KEY: Final = frozenset({ScriptType.P2WPKH, ScriptType.P2SH_P2WPKH, ScriptType.P2PKH})
_SCRIPTED: Final = frozenset({ScriptType.P2PK, ScriptType.P2PKH, ScriptType.MULTISIG})


_Named = tuple[bytes, bytes, bytes]  # key, path, leaf hashes joined


class InputSigner:
    """Signs for the master key ``fingerprint``; keys come from ``keys`` and stay there."""

    __slots__ = ("_fresh", "_keys", "_low_r", "_verify", "fingerprint")

    def __init__(self, keys: KeyTree, fingerprint: bytes, *, verify: bool, low_r: bool) -> None:
        self._keys = keys
        self.fingerprint = fingerprint
        self._verify = verify
        self._low_r = low_r
        self._fresh = b""

    def sign(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with a signature for every key of ours that its open inputs name.

        Of a script tree the key path is signed where our key is the internal one, else every leaf shown that our key
        stands in. ``InvalidInputError``: what BIP-174 tells a signer to refuse, a hash type other than ALL (taproot:
        DEFAULT or ALL), an outpoint spent twice, a path of Ethereum keys, a key that is not the one at its path or not
        one of the script, or no input of ours at all. ``UnsupportedError``: scripts that are neither of one key, nor
        plain multisig, nor miniscript.
        """
        self._fresh = b""
        outpoints, _, _ = psbt.tx.pieces()
        if len(set(outpoints)) != len(outpoints):
            raise InvalidInputError(
                "psbt refused: an outpoint is spent twice: such a transaction is never valid",
                code="input.psbt.duplicate-input",
            )
        signed = psbt.copy()
        digests = InputDigests(psbt)
        added = 0
        flagged = _TX_MODIFIABLE in signed.fields
        for index, one in enumerate(signed.inputs):
            fields = one.fields
            named = self._named(fields)
            if named:
                asked = digests.digest(index)
                before = len(fields)
                for key, path, leaves in named:
                    if path[4:8] == _ETHEREUM and path[3] >= 0x80:
                        raise _ethereum(index)
                    if asked.script_type is not ScriptType.P2TR:
                        self._sign_input(index, fields, asked, key, path)
                    elif leaves:
                        self._sign_leaves(index, one, digests, asked, key, path, leaves)
                    else:
                        self._sign_taproot(index, fields, asked, key, path)
                added += len(fields) - before
                if flagged and len(fields) > before:
                    note_signature(signed, asked.sighash)
        if not added:
            raise InvalidInputError(
                f"no input still to be signed names a key of {self.fingerprint.hex()}: choose another signer",
                code="input.psbt.nothing-to-sign",
            )
        return signed

    def _named(self, fields: dict[bytes, bytes]) -> list[_Named]:
        """The keys of ours that an open input names, each with its path as the PSBT writes it and its leaf hashes."""
        fingerprint = self.fingerprint
        named: list[_Named] = []
        for key, value in fields.items():
            kind = key[0]
            if kind == _DERIVATION:
                if value[:4] == fingerprint:
                    named.append((key[1:], value[4:], b""))
            elif kind == _TAP_DERIVATION:
                if value[0]:
                    count, at = read_compact_size(value, 0)
                    end = at + 32 * count
                    if value[end : end + 4] == fingerprint:
                        named.append((key[1:], value[end + 4 :], value[at:end]))
                elif value[1:5] == fingerprint:
                    named.append((key[1:], value[5:], b""))
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
            if not key_stands_in(script, key):
                raise _foreign(index, key)
            if classify(script) not in _SCRIPTED:
                if asked.script_type is not ScriptType.P2WSH:
                    raise _unsupported(f"psbt input {index} has a script that is neither of one key nor plain multisig")
                check_miniscript(index, script, key)
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
        """The key path, with the internal key, or with the output key itself where no other makes it."""
        if _TAP_KEY_SIG in fields or len(key) != 32 or _takes_part(fields, key):
            return
        root = fields.get(_TAP_MERKLE_ROOT, b"")
        secret = self._keys.secret(path)
        public = public_key(secret)
        if public[1:] != key:
            raise _another(index, key)
        output_key = asked.script[2:]
        if key != output_key:
            secret = taproot_tweak_secret(secret, root, public=public)
        try:
            signature = self._schnorr(index, secret, output_key, asked)
        except InvalidInputError as error:
            raise _foreign(index, key) from error
        fields[_TAP_KEY_SIG] = signature

    def _sign_leaves(
        self,
        index: int,
        one: PsbtInput,
        digests: InputDigests,
        asked: InputDigest,
        key: bytes,
        path: bytes,
        named: bytes,
    ) -> None:
        """The key path if the key is the internal one too, else each leaf named and shown, with the key in it."""
        fields = one.fields
        if fields.get(_TAP_INTERNAL_KEY) == key:
            self._sign_taproot(index, fields, asked, key, path)
            return
        wanted = {named[at : at + 32] for at in range(0, len(named), 32)}
        secret = b""
        for leaf in digests.leaves(index):
            field = _TAP_SCRIPT_SIG + key + leaf.hash
            if leaf.hash not in wanted or field in fields:
                continue
            if not key_stands_in(leaf.script, key):
                raise _foreign(index, key)
            check_miniscript(index, leaf.script, key, tapscript=True)
            if not secret:
                secret = self._keys.secret(path)
                if public_key(secret)[1:] != key:
                    raise _another(index, key)
            fields[field] = self._schnorr(index, secret, key, digests.leaf(index, leaf))

    def _schnorr(self, index: int, secret: bytes, x_only: bytes, asked: InputDigest) -> bytes:
        fresh = self._fresh
        if not fresh:  # many signatures' randomness at once: asking the system for each costs as much as hashing it
            fresh = os.urandom(32 * _AT_ONCE)
        self._fresh = fresh[32:]
        signature = schnorr_sign(secret, asked.digest, fresh[:32], public=x_only)
        if self._verify:
            try:
                schnorr_verify(x_only, asked.digest, signature)
            except InvalidSignatureError as error:
                raise _faulty(index) from error
        return signature if asked.sighash == DEFAULT else signature + bytes((asked.sighash,))


def check_miniscript(index: int, script: bytes, key: bytes, *, tapscript: bool = False) -> None:
    """Refuse to sign with ``key`` in a script that nobody can analyse: a signature in it may mean anything."""
    try:
        keys = _miniscript_keys(script, tapscript)
    except InvalidInputError as error:
        raise _unsupported(f"psbt input {index} has a script that is no miniscript ({error.message})") from error
    if key not in keys and hash160(key) not in keys:
        raise _foreign(index, key)


@lru_cache(maxsize=64)
def _miniscript_keys(script: bytes, tapscript: bool) -> frozenset[bytes]:
    """The keys of a miniscript, or their hashes where it holds no more; many keys may be asked about one script."""
    from bursar.bitcoin.miniscript import Context, Miniscript

    return frozenset(Miniscript.from_script(script, Context.TAPSCRIPT if tapscript else Context.P2WSH).keys)


def _takes_part(fields: dict[bytes, bytes], key: bytes) -> bool:
    """Whether the key is a participant of MuSig2 (BIP-373), which no signature of its own serves."""
    return any(
        field[0] == _MUSIG2_PARTICIPANTS and key in (value[at + 1 : at + 33] for at in range(0, len(value), 33))
        for field, value in fields.items()
    )


def _unsupported(what: str) -> UnsupportedError:
    return UnsupportedError(f"{what}: such are not signed in software", operation="sign_psbt", model="software")


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
