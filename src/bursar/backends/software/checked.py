"""A recoverable ECDSA signature (SEC 1, RFC 6979), held against its key before anybody gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto.secp256k1 import ecdsa_recover, ecdsa_sign_recoverable
from bursar.errors import InvalidSignatureError, SignerError

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature


def checked_signature(secret: bytes, public: bytes, digest: bytes) -> EcdsaSignature:
    """The signature of a 32-byte ``digest``; ``SignerError`` (``signer.fault``) where it is not that of ``public``."""
    signature = ecdsa_sign_recoverable(secret, digest)
    try:
        right = ecdsa_recover(digest, signature) == public
    except InvalidSignatureError:
        right = False
    if not right:
        message = "the signature does not verify: this machine computes wrongly, do not sign on it"
        raise SignerError(message, code="signer.fault")
    return signature
