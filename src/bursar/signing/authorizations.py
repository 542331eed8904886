"""The door to signatures that let an account run another's code (EIP-7702)."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bursar.errors import InvalidInputError, UnsupportedError
from bursar.ethereum.chain_id import chain_id_error
from bursar.signing.checks import held_signature, misbehaved, name_of, recovered_address
from bursar.signing.protocols import Signer

if TYPE_CHECKING:
    from bursar.crypto.secp256k1 import EcdsaSignature
    from bursar.ethereum.address import Address
    from bursar.ethereum.authorization import Authorization, SignedAuthorization
    from bursar.keys.path import DerivationPath


@runtime_checkable
class AuthorizationSigner(Signer, Protocol):
    """Signs an authorization of EIP-7702 with the key at ``path``."""

    def sign_authorization(self, path: DerivationPath, authorization: Authorization) -> EcdsaSignature: ...


def request_authorization(
    signer: Signer,
    path: DerivationPath,
    authorization: Authorization,
    *,
    authority: Address,
    chain_id: int,
    delegates: Collection[Address],
    any_chain: bool = False,
) -> SignedAuthorization:
    """Ask ``signer`` to sign ``authorization`` with the key at ``path``; the signature must recover to ``authority``.

    From then on the delegate's code can do everything with the account: ``delegates`` are those allowed (ending a
    delegation always is). It must be for ``chain_id``; one that counts on every chain needs ``any_chain``.
    ``InvalidInputError`` (``input.authorization``, ``input.chain-id``) before the signer is asked,
    ``SignerMisbehavedError`` for its answer, ``UnsupportedError`` where it signs no authorizations.
    """
    if authorization.any_chain and not any_chain:
        raise chain_id_error("the authorization counts on every chain: accept that explicitly, or name the chain")
    if not authorization.any_chain and authorization.chain_id != chain_id:
        raise chain_id_error(
            f"the authorization is for chain {authorization.chain_id}, the account is on chain {chain_id}"
        )
    if not authorization.revokes and authorization.delegate not in delegates:
        raise InvalidInputError(
            f"{authorization.delegate} is no delegate allowed here: its code could do anything with {authority}",
            code="input.authorization.delegate",
        )
    if not isinstance(signer, AuthorizationSigner):
        raise UnsupportedError(
            f"{name_of(signer)} signs no authorizations (EIP-7702): use a signer that does",
            operation="sign_authorization",
            model=signer.info.model,
        )
    signature = held_signature(signer, signer.sign_authorization(path, authorization))
    if recovered_address(signer, authorization.digest(), signature) != authority:
        raise misbehaved(signer, f"its signature is not one of this authorization by {authority}")
    return authorization.sign_with(signature)
