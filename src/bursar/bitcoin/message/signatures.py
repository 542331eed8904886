"""Checking the signatures of one input under BIP-322's rules: hash type ALL (taproot: DEFAULT too), strict, low S."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.sighash import ALL, DEFAULT
from bursar.bitcoin.wire import stack
from bursar.crypto.ecdsa import EcdsaSignature
from bursar.crypto.secp256k1 import ecdsa_verify_der, schnorr_verify
from bursar.errors import InconclusiveError, InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from bursar.bitcoin.sighash import SighashCache
    from bursar.bitcoin.transaction import Transaction

_CHEAP: Final = 50  # weight that each signature of a tapscript must bring along
_DISABLED: Final = 1 << 31
_BY_TIME: Final = 1 << 22
_FIRST_TIME: Final = 500_000_000


def invalid(why: str) -> InvalidSignatureError:
    """The error of a proof that proves nothing."""
    return InvalidSignatureError(f"the message's proof is not valid: {why}")


def unknown(why: str) -> InconclusiveError:
    """The error of a proof that cannot be judged."""
    return InconclusiveError(f"the message's proof cannot be judged here: {why}")


class InputChecker:
    """One input of a transaction whose spent outputs are known."""

    __slots__ = ("_budget", "_hashes", "_index", "_tx", "_value")

    def __init__(self, tx: Transaction, index: int, hashes: SighashCache, value: int) -> None:
        self._tx = tx
        self._index = index
        self._hashes = hashes
        self._value = value
        self._budget = _CHEAP + len(stack(tx.inputs[index].witness))

    def ecdsa(self, key: bytes, signature: bytes, code: bytes, *, segwit: bool) -> bool:
        """Whether an ECDSA signature with its hash type byte holds: empty ones do not, malformed ones are an error."""
        if not signature:
            return False
        if signature[-1] != ALL:
            raise invalid(f"a signature has hash type 0x{signature[-1]:02x}, and only ALL is allowed")
        if segwit:
            digest = self._hashes.segwit_v0(self._index, code, self._value)
        else:
            if _push(signature) in code:
                raise invalid("a signature stands in the script that it signs")
            digest = self._hashes.legacy(self._index, code)
        _check_der(signature[:-1])
        if len(key) not in (33, 65) or key[0] not in ((2, 3) if len(key) == 33 else (4,)):
            raise invalid("a public key is neither compressed nor uncompressed")
        try:
            ecdsa_verify_der(key, digest, signature[:-1])
        except InvalidSignatureError:
            return False
        except InvalidInputError:  # not a point of the curve
            return False
        return True

    def schnorr_key_path(self, key: bytes, signature: bytes) -> None:
        """Raise unless the signature of a taproot key path holds."""
        kind = self._schnorr_type(signature)
        self._schnorr(key, signature, self._hashes.taproot(self._index, kind))

    def schnorr_leaf(self, key: bytes, signature: bytes, leaf: bytes) -> bool:
        """Whether a tapscript's signature holds: empty ones do not, and any other that fails is an error."""
        if not key:
            raise invalid("an empty public key")
        if signature:
            self._budget -= _CHEAP
            if self._budget < 0:
                raise invalid("more signatures than the witness has weight for")
        if len(key) != 32:
            raise unknown(f"public keys of {len(key)} bytes in tapscripts are kept for later versions")
        if not signature:
            return False
        kind = self._schnorr_type(signature)
        self._schnorr(key, signature, self._hashes.tapscript(self._index, leaf, kind))
        return True

    def _schnorr_type(self, signature: bytes) -> int:
        if len(signature) == 64:
            return DEFAULT
        if len(signature) != 65:
            raise invalid(f"a Schnorr signature of {len(signature)} bytes")
        if signature[64] != ALL:
            raise invalid(f"a signature has hash type 0x{signature[64]:02x}, and only ALL is allowed")
        return ALL

    def _schnorr(self, key: bytes, signature: bytes, digest: bytes) -> None:
        try:
            schnorr_verify(key, digest, signature[:64])
        except InvalidInputError as error:
            raise invalid("a Schnorr signature does not verify") from error

    def lock_time_reached(self, wanted: int) -> bool:
        """``OP_CHECKLOCKTIMEVERIFY`` (BIP-65)."""
        locktime = self._tx.locktime
        return (
            (wanted < _FIRST_TIME) == (locktime < _FIRST_TIME)
            and wanted <= locktime
            and self._tx.inputs[self._index].sequence != 0xFFFFFFFF
        )

    def age_reached(self, wanted: int) -> bool:
        """``OP_CHECKSEQUENCEVERIFY`` (BIP-112)."""
        if wanted & _DISABLED:
            return True
        sequence = self._tx.inputs[self._index].sequence
        return (
            self._tx.version >= 2
            and not sequence & _DISABLED
            and (wanted & _BY_TIME) == (sequence & _BY_TIME)
            and wanted & 0xFFFF <= sequence & 0xFFFF
        )


def _push(data: bytes) -> bytes:
    return (bytes((len(data),)) if len(data) < 0x4C else b"\x4c" + bytes((len(data),))) + data


def _check_der(signature: bytes) -> None:
    try:
        EcdsaSignature.from_der(signature)
    except InvalidSignatureError as error:
        raise invalid(f"an ECDSA signature is malformed ({error.message})") from error
