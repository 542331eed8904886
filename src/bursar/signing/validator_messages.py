"""The door to signatures of data for one contract, its validator (EIP-191 version 0x00)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.errors import UnsupportedError
from bursar.ethereum.message import validator_digest
from bursar.signing.checks import held_signature, misbehaved, name_of, recovered_address
from bursar.signing.protocols import Signer

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.address import Address
    from bursar.keys.path import DerivationPath


@runtime_checkable
class ValidatorMessageSigner(Signer, Protocol):
    """Signs data for the contract ``validator`` (EIP-191 version 0x00) with the key at ``path``."""

    def sign_validator_message(self, path: DerivationPath, validator: Address, data: bytes) -> EcdsaSignature: ...


def request_validator_message(
    signer: Signer, path: DerivationPath, validator: Address, data: bytes, *, sender: Address
) -> EcdsaSignature:
    """Ask ``signer`` to sign ``data`` for ``validator``; the signature must recover to ``sender``.

    ``UnsupportedError`` where it signs no such data (no device does), ``SignerMisbehavedError`` for its answer.
    """
    if not isinstance(signer, ValidatorMessageSigner):
        raise UnsupportedError(
            f"{name_of(signer)} signs no data for a validator (EIP-191 version 0x00): use a keystore",
            operation="sign_validator_message",
            model=signer.info.model,
        )
    signature = held_signature(signer, signer.sign_validator_message(path, validator, data))
    if recovered_address(signer, validator_digest(validator, data), signature) != sender:
        raise misbehaved(signer, f"its signature is not one of this data by {sender}")
    return signature
