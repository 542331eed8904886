"""What must hold before a transaction is signed: no block could take it otherwise, or it says more than was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.errors import InvalidInputError
from bursar.ethereum.chain_id import chain_id_error
from bursar.ethereum.fees import MAX_TRANSACTION_GAS, check_gas
from bursar.ethereum.transaction.kinds import MAX_BLOBS
from bursar.ethereum.units import MAX_UINT256

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction


def check_transaction(
    tx: UnsignedTransaction,
    *,
    sender: Address | None = None,
    any_chain: bool = False,
    most_gas: int | None = MAX_TRANSACTION_GAS,
) -> None:
    """InvalidInputError where ``tx`` could never be in a block, or where one of its authorizations cannot take effect.

    Its gas limit is from the intrinsic gas (EIP-2028, 2930, 3860, 7623, 7702) to ``most_gas`` (EIP-7825), its init
    code no longer than EIP-3860 says, its blobs at most 6 (EIP-7594), and an account can hold what it may cost.
    Authorizations (EIP-7702) are for its chain; those that count on every chain need ``any_chain``. With ``sender``,
    the sender's own carry the nonces that will be next once the transaction has used its own.
    """
    check_gas(tx, most=most_gas)
    if len(tx.blob_versioned_hashes) > MAX_BLOBS:
        blobs = len(tx.blob_versioned_hashes)
        raise InvalidInputError(f"{blobs} blobs are more than the {MAX_BLOBS} of one transaction", code="input.blob")
    if tx.value + tx.max_fee > MAX_UINT256:
        raise InvalidInputError("value and fees together are more than 2^256-1 wei", code="input.transaction")
    if tx.authorization_list:
        _check_authorizations(tx, sender, any_chain)


def _check_authorizations(tx: UnsignedTransaction, sender: Address | None, any_chain: bool) -> None:
    own_nonce = tx.nonce + 1
    for one in tx.authorization_list:
        authorization = one.authorization
        if authorization.any_chain and not any_chain:
            raise chain_id_error("an authorization counts on every chain: accept that explicitly, or name the chain")
        if not authorization.any_chain and authorization.chain_id != tx.chain_id:
            raise chain_id_error(
                f"an authorization is for chain {authorization.chain_id}, the transaction is for {tx.chain_id}"
            )
        if sender is not None and one.authority == sender:
            if authorization.nonce != own_nonce:
                raise InvalidInputError(
                    f"the sender's own authorization has nonce {authorization.nonce}, it takes effect with {own_nonce} "
                    "only: the transaction uses up its own nonce first",
                    code="input.authorization",
                )
            own_nonce += 1
