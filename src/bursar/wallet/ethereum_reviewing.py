"""The review of an Ethereum transaction: its effects in the policy's words, fees, and warnings. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bursar.ethereum.address import Address
from bursar.ethereum.effects.warnings import Known, warnings
from bursar.ethereum.review import effects
from bursar.ethereum.transaction.kinds import GAS_PER_BLOB
from bursar.ethereum.units import Wei
from bursar.ethereum.validity import check_transaction
from bursar.policy.ethereum_effects import review_parts, warnings_of
from bursar.policy.render import amount_text
from bursar.policy.review import OPAQUE_CALL, Payment, Review, ReviewWarning
from bursar.wallet.cautions import cautions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.ethereum.token import Token
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.policy.review import Asset
    from bursar.wallet.cautions import Facts

_REPEATED = {"self-payment", "fee-above-value"}  # said by our own warnings, by other names
_WITHOUT_PARTY = {"zero-address", "token-contract"}  # texts of effects that do not begin with whom they are about
DATA_FEE_MARGIN = 2  # how many times the data fee asked now may be paid when the transaction is mined


@dataclass(frozen=True, slots=True)
class Book:
    """The account a review is of: its name, the chain's own coin, the registered tokens of the chain."""

    account: str
    native: Asset
    tokens: Mapping[Address, Token]


@dataclass(frozen=True, slots=True)
class PartyFacts:
    """What a node said of the parties: whether there is a contract at the payee, and what to weigh effects with.

    ``codeless`` are spenders without code, ``symbols`` what unregistered tokens call themselves, ``allowances`` those
    in force by contract and spender.
    """

    contract: bool = False
    unverified: tuple[str, ...] = ()
    notes: tuple[ReviewWarning, ...] = ()
    codeless: tuple[Address, ...] = ()
    symbols: Mapping[Address, str] = field(default_factory=dict)
    allowances: Mapping[tuple[Address, Address], int] = field(default_factory=dict)


def review_of(
    book: Book,
    tx: UnsignedTransaction,
    *,
    sender: str,
    base_fee: int,
    facts: Facts,
    replaces: str | None,
    data_fee: int = 0,
    blob_price: int | None = None,
    name: str | None = None,
    party: PartyFacts = PartyFacts(),
    now: int | None = None,
) -> Review:
    """The effects of ``tx`` in words; the expected fee is at ``base_fee``, the worst case at the limits.

    ``data_fee`` is what the chain below charges now for the data, ``blob_price`` what one gas of blobs costs now, in
    wei. ``InvalidInputError`` where no block could take the transaction.
    """
    payer = Address.from_text(sender)
    # An authorization for every chain is the policy's to judge: it is in the review.
    check_transaction(tx, sender=payer, any_chain=True)
    seen = effects(tx, sender=payer, tokens=book.tokens)
    parts = review_parts(seen, coin=book.native)
    empty = tx.to == payer and not (tx.value or tx.data or tx.authorization_list)  # a cancellation: it pays nobody
    # What only carries authorizations goes to the zero address, where there is no code to run.
    bare = bool(tx.to is not None and tx.to.is_zero and tx.authorization_list and not (tx.value or tx.data))
    payments = () if empty or bare else tuple(_payments(book, tx, parts.payments, parts.warnings, facts, name))
    fee = tx.gas_limit * _price(tx, base_fee) + _blob_fee(tx, blob_price) + data_fee
    own = cautions(payments, fee=fee, facts=facts)
    known = Known(
        familiar=[Address(bytes.fromhex(one[2:])) for one in {*facts.own, *facts.paid_before} if one[:2] == "0x"],
        codeless=party.codeless,
        tokens=book.tokens,
        symbols=party.symbols,
        allowances=party.allowances,
        now=now,
    )
    told = {_subject(one) for one in own}
    said = [
        one
        for one in (*parts.warnings, *warnings_of(warnings(seen, known)))
        if _subject(one) not in told and one.code not in _REPEATED and not (bare and one.code == "zero-address")
    ]
    extra: dict[str, object] = {
        "from": sender,
        "nonce": tx.nonce,
        "gas limit": tx.gas_limit,
        "chain id": tx.chain_id,
    }
    if data_fee:
        extra["data fee"] = amount_text(data_fee, book.native)
    if tx.blob_versioned_hashes:
        extra["blobs"] = " ".join("0x" + one.hex() for one in tx.blob_versioned_hashes)
        extra["most for one gas of blobs"] = Wei(int(tx.max_fee_per_blob_gas or 0)).to_gwei_text()
    if tx.access_list:
        slots = sum(len(one.storage_keys) for one in tx.access_list)
        named = ", ".join(str(one.address) for one in tx.access_list)
        extra["access list"] = f"{slots} {'slot' if slots == 1 else 'slots'} of {named}"
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
        warnings=tuple(dict.fromkeys((*own, *party.notes, *(() if empty else said)))),
        replaces=replaces,
        extra=extra,
        allowances=parts.allowances,
        delegations=parts.delegations,
        calls=() if empty or bare else parts.calls,
    )


def _subject(one: ReviewWarning) -> tuple[str, str]:
    """What a warning says, and of whom: the same of another party is another warning."""
    return one.code, "" if one.code in _WITHOUT_PARTY else one.text.partition(" ")[0]


def _payments(
    book: Book,
    tx: UnsignedTransaction,
    payments: Sequence[Payment],
    warned: Sequence[ReviewWarning],
    facts: Facts,
    name: str | None,
) -> Sequence[Payment]:
    found = [replace(one, label=facts.labels.get(one.to, name)) for one in payments]
    opaque = any(one.code == OPAQUE_CALL for one in warned)
    if opaque and tx.to is not None and str(tx.to) not in {one.to for one in found}:
        # Rules about calls name contracts: the one called must be there to be named.
        found.append(Payment(book.native, str(tx.to), int(tx.value), facts.labels.get(str(tx.to))))
    return found


def _blob_fee(tx: UnsignedTransaction, price: int | None) -> int:
    """What the blobs cost at ``price``; at what is offered for them where that is not known."""
    most = int(tx.max_fee_per_blob_gas or 0)
    return GAS_PER_BLOB * len(tx.blob_versioned_hashes) * (most if price is None else min(price, most))


def _price(tx: UnsignedTransaction, base_fee: int) -> int:
    if tx.max_fee_per_gas is None:
        return int(tx.max_gas_price)
    return min(int(tx.max_fee_per_gas), base_fee + int(tx.max_priority_fee_per_gas or 0))


def _rate_text(tx: UnsignedTransaction) -> str:
    if tx.max_fee_per_gas is None:
        return tx.max_gas_price.to_gwei_text()
    tip = int(tx.max_priority_fee_per_gas or 0)
    return f"{Wei(int(tx.max_fee_per_gas) - tip).to_gwei_text()} + {Wei(tip).to_gwei_text()} tip"
