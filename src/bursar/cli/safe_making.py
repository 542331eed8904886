"""Transactions of a Safe from what a person types, or from what another program's file asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.cli import compose
from bursar.cli.amounts import coin_amount, names_coin, unit_of
from bursar.cli.ethereum_accounts import coin_symbol
from bursar.errors import InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.safe import (
    KNOWN_DELEGATES,
    Confirmations,
    MultiSendCall,
    Operation,
    Proposal,
    Safe,
    SafeHashes,
    SafeTransaction,
    SafeVersion,
    encode_multi_send,
    read_foreign,
)
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.units import Wei

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.cli.safe_chain import SafeOnChain
    from bursar.cli.session import Session

# contracts of batches that make plain calls only; from 1.3.0 on, before it there is none
_CALL_ONLY = (
    (SafeVersion(1, 5, 0), ("0xA83c336B20401Af773B6219BA5027174338D1836",)),
    (SafeVersion(1, 4, 0), ("0x9641d764fc13c8B624c04430C7356C1C7C8102e2",)),
    (
        SafeVersion(0, 0, 2),
        ("0x40A2aCCbd92BCA938b02010E17A5b8929b49130D", "0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B"),
    ),
)


def delegates_of(allowed: Sequence[str]) -> frozenset[Address]:
    """The contracts whose code may run as the Safe: the well-known ones, and those allowed by name."""
    return KNOWN_DELEGATES | {Address.from_text(one) for one in allowed}


def calls_of(
    session: Session, safe: Safe, payees: Sequence[str], calls: Sequence[tuple[str, str]]
) -> list[MultiSendCall]:
    """``ADDRESS AMOUNT`` pairs, then calls with their data; none of both is the empty call that rejects."""
    if len(payees) % 2:
        raise InvalidInputError("name each payee as ADDRESS AMOUNT", code="input.usage")
    made = [_payment(session, safe, to, amount) for to, amount in zip(payees[::2], payees[1::2], strict=True)]
    for to, data in calls:
        made.append(MultiSendCall(Address.from_text(to), data=_data(data)))
    return made or [MultiSendCall(safe.address)]


def whole(found: SafeOnChain, calls: Sequence[MultiSendCall], *, nonce: int, batches: str | None) -> SafeTransaction:
    """One call as it is; several as a batch, run by a contract that has code on this chain."""
    safe = found.safe
    if len(calls) == 1 and batches is None:
        one = calls[0]
        return SafeTransaction(safe=safe, to=one.to, value=one.value, data=one.data, nonce=nonce)
    known = next(named for version, named in _CALL_ONLY if safe.version >= version)
    for text in (batches,) if batches is not None else known:
        contract = Address.from_text(text)
        if found.backend.code(contract):
            data = encode_multi_send(calls)
            return SafeTransaction(safe=safe, to=contract, data=data, operation=Operation.DELEGATE_CALL, nonce=nonce)
    raise InvalidInputError(
        f"there is no MultiSend contract at {batches or ' or '.join(known)} on this chain: name one with --batch, or "
        "make a proposal of each call",
        code="input.safe",
    )


def taken_over(found: SafeOnChain, raw: bytes, note: str) -> Proposal:
    """The proposal in another program's file, its hash compared with the one computed here."""
    other = read_foreign(raw, found.safe)
    if other.claimed is not None:
        SafeHashes.of(other.transaction).compare({"safe_tx": other.claimed}, by="the file")
    owners = found.state.owners
    kept = tuple(one for one in other.signatures if one.owner in owners)
    return Proposal(Confirmations(other.transaction, owners, found.state.threshold, kept), note)


def _payment(session: Session, safe: Safe, to: str, amount: str) -> MultiSendCall:
    payee = Address.from_text(to)
    coin = coin_symbol(session, safe.chain_id)
    unit = unit_of(amount)
    if unit is None or names_coin(unit, coin):
        value = Wei(coin_amount(amount, coin))
        if not value:
            raise InvalidInputError(f"the amount for {to[:90]} is zero", code="input.amount")
        return MultiSendCall(payee, value)
    here = [one for one in compose.wallet(session).tokens() if one.chain_id == safe.chain_id]
    named = [one for one in here if one.symbol.lower() == unit]
    if len(named) != 1:
        known = ", ".join(sorted(one.symbol for one in here)) or "none yet; see 'bursar account token'"
        raise InvalidInputError(
            f"unit {unit!r:.40} is not one token here: the coin is {coin}, tokens known: {known}",
            code="input.amount.unit",
        )
    paid = named[0].parse_amount(amount)
    if not paid:
        raise InvalidInputError(f"the amount for {to[:90]} is zero", code="input.amount")
    return MultiSendCall(named[0].contract, data=encode_transfer(payee, paid))


def _data(text: str) -> bytes:
    if text.startswith("0x"):
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raise InvalidInputError("the data of a call is 0x and hexadecimal digits", code="input.usage")
