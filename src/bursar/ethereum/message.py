"""Messages (EIP-191): personal (0x45) and for a validator (0x00), signatures as text (EIP-2098 too), verification."""

from __future__ import annotations

import re

from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_recover
from bursar.errors import InvalidSignatureError
from bursar.ethereum.address import Address

_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}", re.ASCII)
_COMPACT = re.compile(r"0x[0-9a-fA-F]{128}", re.ASCII)
_PARITY_BIT = 1 << 255


def personal_digest(message: bytes) -> bytes:
    """The 32 bytes to sign: Keccak-256 of ``0x19 "Ethereum Signed Message:\\n"``, the length and the message."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d%b" % (len(message), message))


def validator_digest(validator: Address, data: bytes) -> bytes:
    """The 32 bytes to sign for one contract: Keccak-256 of 0x19, 0x00, its address and the data (version 0x00)."""
    return keccak256(b"\x19\x00" + validator.value + data)


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


def encode_compact_signature(signature: EcdsaSignature) -> str:
    """``0x`` and 128 digits: r, and s with the parity as its highest bit (EIP-2098)."""
    if signature.y_parity is None or not signature.low_s:
        raise InvalidSignatureError("a compact signature has a parity and a low s (EIP-2098)")
    return f"0x{signature.r:064x}{signature.s | signature.y_parity << 255:064x}"


def decode_compact_signature(text: str) -> EcdsaSignature:
    """The signature of :func:`encode_compact_signature`.

    Verification takes the 65-byte form only, so that one signature has one text: ``encode_signature`` gives that.
    """
    if not _COMPACT.fullmatch(text):
        raise InvalidSignatureError("a compact signature is 0x and 128 hexadecimal digits")
    last = int(text[66:], 16)
    s = (last & ~_PARITY_BIT).to_bytes(32, "big")
    return EcdsaSignature.from_compact(bytes.fromhex(text[2:66]) + s, y_parity=last >> 255)


def recover_signer(digest: bytes, signature_text: str) -> Address:
    """The account whose key made a signature of ``digest``, in the 65-byte form."""
    return Address.from_public_key(ecdsa_recover(digest, decode_signature(signature_text)))


def verify_message(address: Address, message: bytes, signature_text: str) -> None:
    """Raise InvalidSignatureError unless ``address`` signed ``message``; returns nothing."""
    signer = recover_signer(personal_digest(message), signature_text)
    if signer != address:
        raise InvalidSignatureError(f"the message was signed by {signer}, not by {address}")


def verify_validator_message(address: Address, validator: Address, data: bytes, signature_text: str) -> None:
    """Raise InvalidSignatureError unless ``address`` signed ``data`` for ``validator``; returns nothing."""
    signer = recover_signer(validator_digest(validator, data), signature_text)
    if signer != address:
        raise InvalidSignatureError(f"the data was signed by {signer}, not by {address}")
