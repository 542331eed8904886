"""Warnings of a review: what a human should weigh before saying yes. Pure; the facts are gathered by the planners."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bursar.policy.review import ReviewWarning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bursar.policy.review import Payment

HIGH_FEE_PERCENT = 10


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the payees. ``contracts`` are those with code; ``unverified`` says what was not checked."""

    own: Collection[str] = ()
    paid_before: Collection[str] = ()
    contracts: Collection[str] = ()
    token_contracts: Collection[str] = ()
    unverified: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)  # what the operator calls the payees


def cautions(payments: Sequence[Payment], *, fee: int, facts: Facts) -> tuple[ReviewWarning, ...]:
    """Stable codes: ``unverified``, ``high-fee``, ``address-reuse``, ``own-address``, ``contract-payee``,
    ``token-contract``, ``zero-address``, ``first-payment``, ``look-alike``."""
    found: dict[tuple[str, str], ReviewWarning] = {}
    for text in facts.unverified:
        found["unverified", text] = ReviewWarning("unverified", text)
    share = _fee_share(payments, fee)
    if share is not None and share >= HIGH_FEE_PERCENT:
        text = f"the fee is {share} % of the amount" if share < 100 else "the fee is more than the amount"
        found["high-fee", ""] = ReviewWarning("high-fee", text)
    for payment in payments:
        for warning in _of_payee(payment, facts):
            found[warning.code, payment.to] = warning
    return tuple(found.values())


def _of_payee(payment: Payment, facts: Facts) -> Iterator[ReviewWarning]:
    to = payment.to
    if payment.asset.chain == "ethereum" and int(to, 16) == 0:
        yield ReviewWarning("zero-address", f"{to} is the zero address: nobody can spend what it gets")
    if to in facts.own:
        yield ReviewWarning("own-address", f"{to} belongs to this wallet")
        return
    if to in facts.token_contracts:
        yield ReviewWarning("token-contract", f"{to} is a token's contract: what it gets is lost")
    elif to in facts.contracts:
        yield ReviewWarning("contract-payee", f"{to} is a contract: make sure it can pass on what it gets")
    if to in facts.paid_before:
        if payment.asset.chain == "bitcoin":
            yield ReviewWarning("address-reuse", f"{to} was paid before: ask for a fresh address")
        return
    yield ReviewWarning("first-payment", f"{to} has never been paid from this wallet")
    twin = look_alike(to, [*facts.paid_before, *facts.own])
    if twin is not None:
        yield ReviewWarning("look-alike", f"{to} resembles {twin}, which is known here: compare every character")


def look_alike(address: str, known: Collection[str]) -> str | None:
    """A known address that shares its beginning and end with ``address``, as in address poisoning."""
    shape = _shape(address)
    return next((other for other in sorted(known) if other != address and _shape(other) == shape), None)


def _shape(address: str) -> tuple[str, str]:
    text = address.lower()
    if text.startswith("0x"):
        return text[2:6], text[-4:]
    body = text.rpartition("1")[2] if text[:2] in ("bc", "tb") else text[1:]
    return body[1:5], body[-4:]


def _fee_share(payments: Sequence[Payment], fee: int) -> int | None:
    """The fee in percent of what is paid in the fee's own coin, rounded down."""
    native = sum(payment.amount for payment in payments if payment.asset.contract is None)
    return None if native == 0 else fee * 100 // native
