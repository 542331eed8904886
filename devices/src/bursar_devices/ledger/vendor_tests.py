"""Descriptors signed by the test keys of the vendor's app, which everybody has: for emulators and simulators only."""

from __future__ import annotations

from typing import Final

from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import ecdsa_sign_der

# app-ethereum, client/src/ledger_app_clients/ethereum/keychain/cal.pem
_ASSETS: Final = bytes.fromhex("7a0c92845a36ad2779bd53c51068af85a8b95f0f42a25fd36b20e1e87bebc2e9")


def signed_by_test_key(message: bytes) -> bytes:
    """A signature (DER) that the app's test builds take for the vendor's, of tokens and of filters."""
    return ecdsa_sign_der(_ASSETS, sha256(message))
