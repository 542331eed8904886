"""Personal messages (EIP-191 version 0x45): digest, 65-byte signatures as text, verification."""

from __future__ import annotations

import re

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidSignatureError
from bursar.ethereum.address import Address

_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)


def personal_digest(message: bytes) -> bytes:
    """The 32 bytes to sign: Keccak-256 of ``0x19 "Ethereum Signed Message:\\n"``, the length and the message."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d%b" % (len(message), message))


def encode_signature(signature: EcdsaSignature) -> str:
    """``0x`` and 130 digits: r, s and v (27 or 28), the form wallets exchange."""
    if signature.y_parity is None:
        raise InvalidSignatureError("the signature carries no parity: its signer could not be recovered")
    return f"0x{signature.compact().hex()}{27 + signature.y_parity:02x}"


def decode_signature(text: str) -> EcdsaSignature:
    """The signature of :func:`encode_signature`; v 0 and 1, as some devices write it, are read too; no high S."""
    if not _SIGNATURE.fullmatch(text):
        raise InvalidSignatureError("a message signature is 0x and 130 hexadecimal digits")
    data = bytes.fromhex(text[2:])
    parity = {0: 0, 1: 1, 27: 0, 28: 1}.get(data[64])
    if parity is None:
        raise InvalidSignatureError(f"the last byte of a message signature is 27 or 28, not {data[64]}")
    return EcdsaSignature.from_compact(data[:64], y_parity=parity)


def verify_message(address: Address, message: bytes, signature_text: str) -> None:
    """Raise InvalidSignatureError unless ``address`` signed ``message``; returns nothing."""
    signer = Address.from_public_key(ecdsa_recover(personal_digest(message), decode_signature(signature_text)))
    if signer != address:
        raise InvalidSignatureError(f"the message was signed by {signer}, not by {address}")
