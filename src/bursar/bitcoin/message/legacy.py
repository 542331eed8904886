"""Signed messages in 65 bytes: Bitcoin Core's form for P2PKH and BIP-137's for segwit keys."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.wire import sized
from bursar.crypto.hashes import hash160, sha256d
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover, uncompressed
from bursar.errors import InvalidInputError, InvalidSignatureError

if TYPE_CHECKING:
    from bursar.bitcoin.address import Address

_PREFIX: Final = b"\x18Bitcoin Signed Message:\n"
_HEADERS: Final = {ScriptType.P2PKH: 31, ScriptType.P2SH_P2WPKH: 35, ScriptType.P2WPKH: 39}


def message_digest(message: bytes) -> bytes:
    """The 32 bytes a message signer signs."""
    return sha256d(_PREFIX + sized(message))


def encode_signature(signature: EcdsaSignature, script_type: ScriptType) -> str:
    """65 bytes in base64: header (27 + recovery id + 4 for compressed, BIP-137's offsets for segwit), r, s."""
    header = _HEADERS.get(script_type)
    if header is None:
        raise InvalidInputError(
            f"messages are not signed for {script_type.value} addresses: BIP-137 has no header for them",
            code="input.message",
        )
    if signature.y_parity is None:
        raise InvalidInputError("the signature lacks its recovery id", code="input.signature")
    return base64.b64encode(bytes((header + signature.y_parity,)) + signature.compact()).decode("ascii")


def verify_legacy(address: Address, message: bytes, signature_text: str) -> None:
    """Raise ``InvalidSignatureError`` unless the signature proves that the address's key signed the message.

    A segwit address also accepts the plain compressed header (31 to 34) that several wallets write.
    """
    try:
        raw = base64.b64decode(signature_text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSignatureError("the signature is not base64: copy it in full") from None
    if len(raw) != 65 or not 27 <= raw[0] <= 42:
        raise InvalidSignatureError("the signature is not a 65-byte message signature (BIP-137)")
    kind = classify(address.script)
    if kind not in (ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH):
        raise InvalidInputError(
            f"messages of {kind.value} addresses are not verified this way: BIP-137 has no header for them",
            code="input.message",
        )
    header = raw[0] - 27
    signature = EcdsaSignature.from_compact(raw[1:], y_parity=header & 3, allow_high_s=True)
    key = ecdsa_recover(message_digest(message), signature, allow_high_s=True)
    if _script(kind, header, key) != address.script:
        raise InvalidSignatureError(f"the signature was not made by {address} for this message")


def _script(kind: ScriptType, header: int, key: bytes) -> bytes | None:
    if kind is ScriptType.P2PKH and header < 8:
        return b"\x76\xa9\x14" + hash160(key if header >= 4 else uncompressed(key)) + b"\x88\xac"
    program = b"\x00\x14" + hash160(key)
    if kind is ScriptType.P2WPKH and (4 <= header < 8 or header >= 12):
        return program
    if kind is ScriptType.P2SH and 4 <= header < 12:
        return b"\xa9\x14" + hash160(program) + b"\x87"
    return None
