"""What an unsigned transaction does: who is paid what, what is allowed, and what a human should weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bursar.ethereum.effects.model import Allowance, CallView, Caution, Delegation, Effects, Movement
from bursar.ethereum.token import Erc20Call, Token, decode_call

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.transaction import UnsignedTransaction


__all__ = ["Allowance", "CallView", "Caution", "Delegation", "Effects", "Movement", "effects"]


def effects(
    tx: UnsignedTransaction, *, sender: Address | None = None, tokens: Mapping[Address, Token] | None = None
) -> Effects:
    """Decode ``tx``: the effective recipient and amount of ether and ERC-20 calls, allowances, and cautions.

    ``tokens`` are the registered tokens of the transaction's chain by contract. A token outside that registry is
    decoded all the same, with a caution and without symbol or decimals.
    """
    known = dict(tokens or {})
    movements: list[Movement] = []
    allowances: list[Allowance] = []
    cautions: list[Caution] = []
    call = decode_call(tx.data) if tx.to is not None else None
    decoded = tx.to is not None and (not tx.data or call is not None)
    if tx.to is not None and (tx.value or not tx.data):
        movements.append(Movement(tx.to, tx.value))
    if tx.to is None:
        cautions.append(Caution("creation", f"creates a contract and gives it {tx.value.to_eth_text()}"))
    elif call is not None:
        token = known.get(tx.to)
        if token is not None and token.chain_id != tx.chain_id:
            token = None
        if call.method in ("transfer", "transferFrom"):
            movements.append(Movement(call.recipient, call.amount, tx.to, token, call.owner))
        elif call.allowance:
            allowances.append(Allowance(call.recipient, call.amount, tx.to, token, call.unlimited))
        cautions += _call_cautions(tx, tx.to, call, token)
    elif tx.data:
        cautions.append(Caution("opaque-call", f"calls {tx.to} with data that cannot be decoded: {_selector(tx.data)}"))
    cautions += _party_cautions(tx, movements, allowances, sender, known)
    cautions += _fee_cautions(tx, movements)
    delegations = tuple(_delegations(tx, sender))
    for one in delegations:
        cautions += _delegation_cautions(one)
    if tx.blob_versioned_hashes:
        count = len(tx.blob_versioned_hashes)
        cautions.append(
            Caution("blobs", f"carries {count} blobs of data, for at most {tx.max_blob_fee.to_eth_text()} of the fee")
        )
    return Effects(tuple(movements), tuple(allowances), decoded, tx.max_fee, tuple(cautions), delegations)


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


def _selector(data: bytes) -> str:
    return f"selector 0x{data[:4].hex()}, {len(data)} bytes"


def _call_cautions(tx: UnsignedTransaction, contract: Address, call: Erc20Call, token: Token | None) -> list[Caution]:
    cautions: list[Caution] = []
    if token is None:
        cautions.append(
            Caution("unknown-token", f"{contract} is no registered token: its name and decimals are unknown")
        )
    if tx.value:
        cautions.append(Caution("ether-with-call", f"sends {tx.value.to_eth_text()} to the token contract itself"))
    if call.unlimited:
        cautions.append(Caution("unlimited-allowance", f"{call.recipient} may take every token, now and later"))
    elif call.allowance and call.amount:
        cautions.append(Caution("allowance", f"{call.recipient} may take tokens later, without asking again"))
    if call.owner is not None:
        cautions.append(Caution("transfer-from", f"moves tokens of {call.owner}, not the sender's own"))
    return cautions


def _party_cautions(
    tx: UnsignedTransaction,
    movements: list[Movement],
    allowances: list[Allowance],
    sender: Address | None,
    known: Mapping[Address, Token],
) -> list[Caution]:
    cautions: list[Caution] = []
    parties = [(one.recipient, one.contract) for one in movements]
    parties += [(one.spender, one.contract) for one in allowances]
    for party, contract in parties:
        ether_with_call = contract is None and bool(tx.data)  # it has a caution of its own
        if party.is_zero:
            cautions.append(Caution("zero-address", "the recipient is the zero address: nobody can spend from it"))
        elif party == sender:
            cautions.append(Caution("self-payment", "the recipient is the sender itself"))
        elif (party in known or party == contract) and not ether_with_call:
            name = known[party].symbol if party in known else "the token"
            cautions.append(Caution("token-contract", f"the recipient is the contract of {name}: no way back"))
    return cautions


def _fee_cautions(tx: UnsignedTransaction, movements: list[Movement]) -> list[Caution]:
    ether = sum(one.amount for one in movements if one.contract is None)
    if ether and tx.max_fee > ether:
        return [Caution("fee-above-value", f"the fee may reach {tx.max_fee.to_eth_text()}, more than what is sent")]
    return []
