"""What an unsigned transaction does: who is paid what, what is allowed, and what a human should weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bursar.crypto import rlp
from bursar.crypto.hashes import keccak256
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.effects.call import Call, Scope
from bursar.ethereum.effects.model import Allowance, CallView, Caution, Delegation, Effects, Movement
from bursar.ethereum.effects.parties import party_cautions
from bursar.ethereum.effects.unfolding import Unfolded, unfold

if TYPE_CHECKING:
    from bursar.ethereum.token import Token
    from bursar.ethereum.transaction import UnsignedTransaction

__all__ = ["Allowance", "CallView", "Caution", "Delegation", "Effects", "Movement", "effects"]


def effects(
    tx: UnsignedTransaction, *, sender: Address | None = None, tokens: Mapping[Address, Token] | None = None
) -> Effects:
    """Decode ``tx``: who gets what and who may spend what, calls inside calls unfolded, and cautions.

    ``tokens`` are the registered tokens of the transaction's chain by contract. A token outside that registry is
    decoded all the same, with a caution and without symbol or decimals. ``MissingExtraError`` where calldata has
    arrays or calls inside and eth-abi is not installed.
    """
    known = {contract: one for contract, one in (tokens or {}).items() if one.chain_id == tx.chain_id}
    cautions: list[Caution] = []
    if tx.to is None:
        made = ZERO_ADDRESS if sender is None else _created(sender, tx.nonce)
        paid = [Movement(made, int(tx.value))] if tx.value else []
        found = Unfolded(movements=paid, calls=[CallView(None, tx.value, understood=False)], decoded=False)
        found.called.update(range(len(paid)))
        given = f" and gives it {tx.value.to_eth_text()}" if tx.value else ""
        cautions.append(Caution("creation", f"creates a contract{given}"))
    else:
        call = Call(tx.to, int(tx.value), tx.data, sender, sender, gas=tx.gas_limit)
        found = unfold([call], Scope(sender, known))
    cautions += found.cautions
    cautions += party_cautions(found, sender=sender, known=known)
    cautions += _fee_cautions(tx, found.movements)
    delegations = tuple(_delegations(tx, sender))
    for one in delegations:
        cautions += _delegation_cautions(one)
    if tx.blob_versioned_hashes:
        count = len(tx.blob_versioned_hashes)
        cautions.append(
            Caution("blobs", f"carries {count} blobs of data, for at most {tx.max_blob_fee.to_eth_text()} of the fee")
        )
    return Effects(
        tuple(found.movements),
        tuple(found.allowances),
        found.decoded,
        tx.max_fee,
        tuple(dict.fromkeys(cautions)),
        delegations,
        tuple(found.calls),
        found.delegate_call,
    )


def _created(sender: Address, nonce: int) -> Address:
    """Where the contract will stand that a transaction of ``sender`` makes."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    return Address(keccak256(rlp.encode([sender.value, number]))[12:])


def _delegations(tx: UnsignedTransaction, sender: Address | None) -> Iterator[Delegation]:
    next_nonce = tx.nonce + 1
    for one in tx.authorization_list:
        authorization, authority = one.authorization, one.authority
        effective = authorization.any_chain or authorization.chain_id == tx.chain_id
        if authority == sender:
            effective = effective and authorization.nonce == next_nonce
            next_nonce += effective
        yield Delegation(authority, authorization.delegate, authorization.any_chain, authorization.nonce, effective)


def _delegation_cautions(one: Delegation) -> Iterator[Caution]:
    if one.delegate.is_zero:
        yield Caution("delegation-end", f"{one.authority} runs no code of others any more")
    else:
        yield Caution("delegation", f"the code of {one.delegate} may do anything with {one.authority} from now on")
    if one.any_chain:
        yield Caution("delegation-any-chain", f"the authorization of {one.authority} counts on every chain")
    if not one.effective:
        yield Caution("delegation-void", f"the authorization of {one.authority} has no effect: wrong nonce or chain")


def _fee_cautions(tx: UnsignedTransaction, movements: list[Movement]) -> Iterator[Caution]:
    coin = sum(one.amount for one in movements if one.contract is None)
    if coin and tx.max_fee > coin:
        yield Caution("fee-above-value", f"the fee may reach {tx.max_fee.to_eth_text()}, more than what is sent")
