"""Answers of a remote signer held to the question: the same transaction in every field, by the key that was asked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.remote.json_rpc import printable
from bursar.crypto.secp256k1 import ecdsa_recover
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.address import Address
from bursar.ethereum.message import decode_signature
from bursar.ethereum.transaction import SignedTransaction, UnsignedTransaction

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature

_FIELDS: Final = tuple(one.name for one in dataclasses.fields(UnsignedTransaction) if one.compare)
_SHOWN: Final = 80


def accepted_transaction(answer: Any, tx: UnsignedTransaction, address: Address, *, name: str) -> EcdsaSignature:
    """The signature in a raw transaction that is ``tx`` signed by ``address``; ``SignerMisbehavedError`` otherwise."""
    if not isinstance(answer, str) or answer[:2] != "0x":
        raise _misbehaved(name, "it answered with no raw transaction")
    try:
        signed = SignedTransaction.parse(bytes.fromhex(answer[2:]))
        sender = signed.sender
    except InvalidInputError as error:
        raise _misbehaved(name, f"its answer is no transaction, {error.message}") from error
    except ValueError as error:
        raise _misbehaved(name, "its answer is not hexadecimal") from error
    for field in _FIELDS:
        asked, got = getattr(tx, field), getattr(signed.unsigned, field)
        if asked != got:
            raise _misbehaved(
                name, f"it signed another transaction: {field} is {_shown(got)}, asked was {_shown(asked)}"
            )
    if sender != address:
        raise _misbehaved(name, f"it signed with the key of {sender}, asked was {address}")
    return signed.signature


def accepted_signature(answer: Any, digest: bytes, address: Address, *, name: str) -> EcdsaSignature:
    """The signature of ``digest`` by ``address`` in 65 bytes of hexadecimal; ``SignerMisbehavedError`` otherwise."""
    if not isinstance(answer, str):
        raise _misbehaved(name, "it answered with no signature")
    try:
        signature = decode_signature(answer)
        signer = Address.from_public_key(ecdsa_recover(digest, signature))
    except InvalidInputError as error:
        raise _misbehaved(name, f"its answer is no signature, {error.message}") from error
    if not signature.low_s:
        raise _misbehaved(name, "its signature has a high s, a malleable form")
    if signer != address:
        raise _misbehaved(name, f"its signature is not one of this message by {address}")
    return signature


def _shown(value: Any) -> str:
    text = "0x" + value.hex() if isinstance(value, bytes) else printable(str(value))
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _misbehaved(name: str, reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(
        f"the remote signer at {name} misbehaved: {reason}; do not trust it until you know why"
    )
