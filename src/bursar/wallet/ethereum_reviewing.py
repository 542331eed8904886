"""The review of an Ethereum transaction: its effects in the policy's words, fees, and warnings. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.ethereum.address import Address
from bursar.ethereum.review import effects
from bursar.ethereum.units import Wei
from bursar.ethereum.validity import check_transaction
from bursar.policy.render import amount_text
from bursar.policy.review import (
    OPAQUE_CALL,
    Asset,
    Called,
    Delegated,
    Granted,
    Payment,
    Review,
    ReviewWarning,
)
from bursar.wallet.cautions import cautions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.ethereum.effects.model import CallView, Effects
    from bursar.ethereum.token import Token
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.wallet.cautions import Facts

_REPEATED = {"zero-address", "self-payment", "token-contract", "fee-above-value"}  # said by our own warnings
DATA_FEE_MARGIN = 2  # how many times the data fee asked now may be paid when the transaction is mined


@dataclass(frozen=True, slots=True)
class Book:
    """The account a review is of: its name, the chain's own coin, the registered tokens of the chain."""

    account: str
    native: Asset
    tokens: Mapping[Address, Token]

    def asset(self, contract: Address | None, *, numbered: bool = False) -> Asset:
        """The asset of a contract. One that is not registered has no name and no decimals: its word is not taken."""
        if contract is None:
            return self.native
        token = self.tokens.get(contract)
        if token is not None:
            return Asset("ethereum", self.native.network, token.symbol, token.decimals, str(contract))
        return Asset("ethereum", self.native.network, "NFT" if numbered else "unknown", 0, str(contract))


def review_of(
    book: Book,
    tx: UnsignedTransaction,
    *,
    sender: str,
    base_fee: int,
    facts: Facts,
    replaces: str | None,
    data_fee: int = 0,
    name: str | None = None,
    notes: Sequence[ReviewWarning] = (),
) -> Review:
    """The effects of ``tx`` in words; the expected fee is at ``base_fee``, the worst case at the limits.

    ``data_fee`` is what the chain below charges now for the data, in wei. ``InvalidInputError`` where no block could
    take the transaction.
    """
    party = Address.from_text(sender)
    # An authorization for every chain is the policy's to judge: it is in the review.
    check_transaction(tx, sender=party, any_chain=True)
    seen = effects(tx, sender=party, tokens=book.tokens)
    empty = tx.to == party and not (tx.value or tx.data or tx.authorization_list)  # a cancellation: it pays nobody
    payments = () if empty else tuple(_payments(book, tx, seen, facts, name))
    price = _price(tx, base_fee)
    fee = tx.gas_limit * price + int(tx.max_blob_fee) + data_fee
    said = [ReviewWarning(one.code, one.text) for one in seen.cautions if one.code not in _REPEATED]
    own = cautions(payments, fee=fee, facts=facts)
    extra: dict[str, object] = {
        "from": sender,
        "nonce": tx.nonce,
        "gas limit": tx.gas_limit,
        "chain id": tx.chain_id,
    }
    if data_fee:
        extra["data fee"] = amount_text(data_fee, book.native)
    if name is not None:
        extra["payee's name"] = name
    return Review(
        chain="ethereum",
        network=book.native.network,
        account=book.account,
        payments=payments,
        change=(),
        fee=fee,
        max_fee=int(tx.max_fee) + DATA_FEE_MARGIN * data_fee,
        fee_asset=book.native,
        fee_rate=_rate_text(tx),
        warnings=(*own, *notes, *said),
        replaces=replaces,
        extra=extra,
        allowances=tuple(_allowances(book, seen)),
        delegations=tuple(Delegated(str(one.authority), str(one.delegate), one.any_chain) for one in seen.delegations),
        calls=() if empty else tuple(map(_called, seen.calls)),
    )


def _payments(book: Book, tx: UnsignedTransaction, seen: Effects, facts: Facts, name: str | None) -> Sequence[Payment]:
    found: list[Payment] = []
    for one in seen.movements:
        payee = str(one.recipient)
        asset = book.asset(one.contract, numbered=one.token_id is not None)
        found.append(Payment(asset, payee, one.amount, facts.labels.get(payee, name), one.token_id))
    opaque = any(one.code == OPAQUE_CALL for one in seen.cautions)
    if opaque and tx.to is not None and str(tx.to) not in {one.to for one in found}:
        # Rules about calls name contracts: the one called must be there to be named.
        found.append(Payment(book.native, str(tx.to), int(tx.value), facts.labels.get(str(tx.to))))
    return found


def _allowances(book: Book, seen: Effects) -> Sequence[Granted]:
    return [
        Granted(
            book.asset(one.contract, numbered=one.token_id is not None or one.everything),
            str(one.spender),
            one.amount,
            one.token_id,
            unlimited=one.unlimited or one.everything,
            until=one.until,
        )
        for one in seen.allowances
    ]


def _called(one: CallView) -> Called:
    return Called(
        to=None if one.to is None else str(one.to),
        value=one.value,
        name=one.name,
        arguments=one.arguments,
        understood=one.understood,
        delegate=one.delegate,
        calls=tuple(map(_called, one.calls)),
    )


def _price(tx: UnsignedTransaction, base_fee: int) -> int:
    if tx.max_fee_per_gas is None:
        return int(tx.max_gas_price)
    return min(int(tx.max_fee_per_gas), base_fee + int(tx.max_priority_fee_per_gas or 0))


def _rate_text(tx: UnsignedTransaction) -> str:
    if tx.max_fee_per_gas is None:
        return tx.max_gas_price.to_gwei_text()
    tip = int(tx.max_priority_fee_per_gas or 0)
    return f"{Wei(int(tx.max_fee_per_gas) - tip).to_gwei_text()} + {Wei(tip).to_gwei_text()} tip"
