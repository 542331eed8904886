"""Signed messages: Bitcoin Core's form for P2PKH, BIP-137's for segwit keys, BIP-322's for every script."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bursar.bitcoin.message.legacy import encode_signature as encode_signature
from bursar.bitcoin.message.legacy import message_digest as message_digest

if TYPE_CHECKING:
    from bursar.bitcoin.message.proof import MessageFormat as MessageFormat
    from bursar.bitcoin.message.proof import MessageProof as MessageProof
    from bursar.bitcoin.message.signing import MESSAGE_FIELD as MESSAGE_FIELD
    from bursar.bitcoin.message.signing import encode_proof as encode_proof
    from bursar.bitcoin.message.signing import message_psbt as message_psbt
    from bursar.bitcoin.message.signing import signed_message as signed_message
    from bursar.bitcoin.message.verification import verify_message as verify_message

# signers hash messages at every start; only who proves or verifies pays for scripts and PSBTs
_HOMES = {
    "MESSAGE_FIELD": "signing",
    "MessageFormat": "proof",
    "MessageProof": "proof",
    "encode_proof": "signing",
    "message_psbt": "signing",
    "signed_message": "signing",
    "verify_message": "verification",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
