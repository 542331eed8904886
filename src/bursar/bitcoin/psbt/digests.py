"""What a signer signs for each input of a PSBT, after the consistency checks BIP-174 demands of signers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bursar.bitcoin import sighash as hashing
from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.taproot import TAPSCRIPT, TapLeaf, leaves_of
from bursar.bitcoin.script import MAX_PUSH, MAX_SCRIPT, ScriptType, classify
from bursar.bitcoin.transaction import TxOut
from bursar.crypto.hashes import hash160, sha256
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.psbt.document import Psbt

_ALLOWED_ECDSA: Final = frozenset({hashing.ALL})
_ALLOWED_SCHNORR: Final = frozenset({hashing.DEFAULT, hashing.ALL})


# without any of these, utxo() has read a P2PKH input's amount from its previous transaction
_LEGACY_FIELDS: Final = frozenset({r.WITNESS_UTXO, r.IN_REDEEM_SCRIPT, r.IN_WITNESS_SCRIPT})


class InputDigest(NamedTuple):
    """``script_type`` of the key's place (``P2WSH`` also inside P2SH), hash type and the 32 bytes to sign.

    ``script`` is what a signing key must stand in: the output script for P2TR's key path, the leaf for its script
    path, the script code otherwise.
    """

    script_type: ScriptType
    sighash: int
    digest: bytes
    script: bytes


class InputDigests:
    """The digests of one PSBT's inputs; what the inputs share is computed once.

    Raises ``InvalidInputError`` with codes below ``input.psbt``: ``.utxo`` spent output unknown or contradictory ·
    ``.script`` a redeem or witness script that does not hash to its output · ``.sighash`` a hash type other than ALL
    (taproot: DEFAULT or ALL) unless ``allow_any_sighash``.
    """

    __slots__ = ("_allow_any", "_cache", "_leaves", "_psbt", "_spent")

    def __init__(self, psbt: Psbt, *, allow_any_sighash: bool = False) -> None:
        self._psbt = psbt
        self._allow_any = allow_any_sighash
        self._cache: hashing.SighashCache | None = None
        self._spent: list[bytes] | None = None
        self._leaves: dict[int, tuple[TapLeaf, ...]] = {}

    def digest(self, index: int) -> InputDigest:
        """The digest of input ``index``."""
        psbt = self._psbt
        fields = psbt.inputs[index].fields
        raw = psbt.utxo_bytes(index) if self._spent is None else self._spent[index]
        asked = fields.get(r.SIGHASH_TYPE)
        sighash = None if asked is None else int.from_bytes(asked, "little")
        start = raw[8:11]
        if start == b"\x22\x51\x20":
            return self._taproot(index, raw, sighash)
        if start == b"\x16\x00\x14" and r.IN_REDEEM_SCRIPT not in fields and r.IN_WITNESS_SCRIPT not in fields:
            return self._v0_key(index, raw[11:], raw[:8], sighash, ScriptType.P2WPKH)
        if start == b"\x19\x76\xa9" and raw[32:] == b"\x88\xac" and _LEGACY_FIELDS.isdisjoint(fields):
            if sighash != hashing.ALL:
                sighash = self._sighash(index, sighash, _ALLOWED_ECDSA, hashing.ALL)
            script = raw[9:]
            return InputDigest(ScriptType.P2PKH, sighash, self._hashes().legacy(index, script, sighash), script)
        return self._scripted(index, TxOut.parse(raw), sighash)

    def leaf(self, index: int, leaf: TapLeaf) -> InputDigest:
        """What signs in a leaf of the script tree that input ``index`` spends (BIP-342), proven by ``leaves_of``."""
        if leaf.version != TAPSCRIPT:
            raise _bad_script(index, f"leaf version 0x{leaf.version:02x} has no meaning yet: anybody could spend it")
        path = self.digest(index)
        if path.script_type is not ScriptType.P2TR or self._cache is None:
            raise _bad_script(index, "a leaf belongs to no taproot output")
        digest = self._cache.tapscript(index, leaf.hash, path.sighash)
        return InputDigest(ScriptType.P2TR, path.sighash, digest, leaf.script)

    def leaves(self, index: int) -> tuple[TapLeaf, ...]:
        """The leaves that input ``index`` shows, each proven (``input.psbt.script``)."""
        found = self._leaves.get(index)
        if found is None:
            found = leaves_of(index, self._psbt.inputs[index], self._psbt.utxo(index).script)
            self._leaves[index] = found
        return found

    def _hashes(self) -> hashing.SighashCache:
        if self._cache is None:
            self._cache = hashing.SighashCache(self._psbt.tx)
        return self._cache

    def _sighash(self, index: int, sighash: int | None, allowed: frozenset[int], default: int) -> int:
        if sighash is None:
            return default
        if sighash not in allowed and not self._allow_any:
            raise InvalidInputError(
                f"psbt input {index} asks for hash type 0x{sighash:02x}, which leaves part of the transaction open: "
                "only ALL is signed",
                code="input.psbt.sighash",
            )
        return sighash

    def _v0_key(self, index: int, key_hash: bytes, value: bytes, sighash: int | None, kind: ScriptType) -> InputDigest:
        if sighash != hashing.ALL:
            sighash = self._sighash(index, sighash, _ALLOWED_ECDSA, hashing.ALL)
        code = b"\x76\xa9\x14" + key_hash + b"\x88\xac"
        digest = (self._cache or self._hashes()).segwit_v0(index, code, int.from_bytes(value, "little"), sighash)
        return InputDigest(kind, sighash, digest, code)

    def _taproot(self, index: int, raw: bytes, sighash: int | None) -> InputDigest:
        cache = self._cache
        if cache is None or self._spent is None:
            psbt = self._psbt
            self._spent = [psbt.utxo_bytes(place) for place in range(len(psbt.inputs))]
            cache = self._cache = hashing.SighashCache.of_serialized(psbt.tx, self._spent)
        if sighash is None:
            sighash = hashing.DEFAULT
        elif sighash:
            sighash = self._sighash(index, sighash, _ALLOWED_SCHNORR, hashing.DEFAULT)
        return InputDigest(ScriptType.P2TR, sighash, cache.taproot(index, sighash), raw[9:])

    def _scripted(self, index: int, output: TxOut, sighash: int | None) -> InputDigest:
        fields = self._psbt.inputs[index].fields
        script = output.script
        kind = classify(script)
        redeem = fields.get(r.IN_REDEEM_SCRIPT)
        witness_script = fields.get(r.IN_WITNESS_SCRIPT)
        if kind is ScriptType.P2SH:
            if redeem is None or hash160(redeem) != script[2:22]:
                raise _bad_script(index, "redeem script is missing or does not hash to the spent output")
            if len(redeem) > MAX_PUSH:
                raise _too_long(index, "redeem script", MAX_PUSH)
            script = redeem
            kind = classify(script)
        elif redeem is not None:
            raise _bad_script(index, "redeem script belongs to no pay-to-script-hash output")
        if kind is ScriptType.P2WPKH and witness_script is None:
            kind = ScriptType.P2WPKH if redeem is None else ScriptType.P2SH_P2WPKH
            return self._v0_key(index, script[2:], output.value.to_bytes(8, "little"), sighash, kind)
        chosen = self._sighash(index, sighash, _ALLOWED_ECDSA, hashing.ALL)
        if kind is ScriptType.P2WSH:
            if witness_script is None or sha256(witness_script) != script[2:]:
                raise _bad_script(index, "witness script is missing or does not hash to the spent output")
            if len(witness_script) > MAX_SCRIPT:
                raise _too_long(index, "witness script", MAX_SCRIPT)
            digest = self._hashes().segwit_v0(index, witness_script, output.value, chosen)
            return InputDigest(kind, chosen, digest, witness_script)
        if witness_script is not None:
            raise _bad_script(index, "witness script belongs to no witness program")
        if r.NON_WITNESS_UTXO not in fields:
            raise InvalidInputError(
                f"psbt input {index} is not segwit and has no previous transaction: its amount is unproven, add it",
                code="input.psbt.utxo",
            )
        if r.WITNESS_UTXO in fields:
            raise InvalidInputError(
                f"psbt input {index} is not segwit but has a witness utxo: remove it", code="input.psbt.utxo"
            )
        if len(script) > MAX_SCRIPT:
            raise _too_long(index, "output script", MAX_SCRIPT)
        if kind in (ScriptType.ANCHOR, ScriptType.WITNESS_UNKNOWN):
            raise _bad_script(index, f"output type {kind.value} is not signed with a key")
        kind = ScriptType.P2SH if redeem is not None else kind
        return InputDigest(kind, chosen, self._hashes().legacy(index, script, chosen), script)


def _bad_script(index: int, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {index}: {reason}", code="input.psbt.script")


def _too_long(index: int, what: str, most: int) -> InvalidInputError:
    return _bad_script(index, f"{what} is longer than {most} bytes: nobody can ever spend it")
