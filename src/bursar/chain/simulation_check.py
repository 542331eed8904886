"""A simulation held against the decoded effects: what moves or is allowed that nobody had read in the calldata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from bursar.ethereum.effects.model import CallView, Caution, Effects
from bursar.ethereum.units import MAX_UINT256, Wei

if TYPE_CHECKING:
    from bursar.chain.ethereum_reading import Simulation
    from bursar.ethereum.address import Address

Place: TypeAlias = "tuple[Address | None, Address, int | None]"  # contract, recipient, number of the token
_LONGEST: Final = 200


def compare(effects: Effects, simulation: Simulation, *, sender: Address) -> tuple[Caution, ...]:
    """How ``simulation`` of a transaction of ``sender`` differs from its decoded ``effects``; nothing: it agrees.

    Codes: ``simulation-fails`` (it would fail), ``simulation-differs`` (more leaves the sender, or the accounts whose
    tokens it moves, than was decoded; more may be taken; or a decoded payment arrives short), ``simulation-incomplete``
    (ether moved inside contracts was not seen). A simulation is the word of a node: it may warn, never reassure.
    """
    if not simulation.succeeded:
        reason = f": {simulation.reason[:_LONGEST]}" if simulation.reason else ""
        return (Caution("simulation-fails", f"the transaction would fail now{reason}"),)
    owners = {sender, *(one.owner for one in effects.movements if one.owner is not None)}
    owners |= {one.owner for one in effects.allowances if one.owner is not None}
    found = [*_moved(effects, simulation, owners, sender), *_allowed(effects, simulation, owners, sender)]
    if not simulation.complete:
        text = "the node could not show what contracts do with ether inside: only a part was compared"
        found.append(Caution("simulation-incomplete", text))
    return tuple(dict.fromkeys(found))


def _moved(effects: Effects, simulation: Simulation, owners: set[Address], sender: Address) -> Iterator[Caution]:
    leaving: Counter[Place] = Counter()
    arriving: Counter[Place] = Counter()
    for one in simulation.transfers:
        recipient = _burnt(one.recipient, one.contract)
        place = (one.contract, recipient, one.token_id)
        arriving[place] += one.amount
        # who else counts as an owner, calldata says: it must not be able to hide where the sender's money goes
        if one.sender in owners and recipient not in (sender, one.sender):
            leaving[place] += one.amount
    decoded: Counter[Place] = Counter()
    for said in effects.movements:
        decoded[said.contract, _burnt(said.recipient, said.contract), said.token_id] += said.amount
    passing = _sent(effects.calls)
    for place, amount in leaving.items():
        contract, recipient, number = place
        limit = max(decoded[place], passing[recipient]) if contract is None else decoded[place]
        if amount > limit:
            what = _what(amount, contract, number)
            if limit:
                what += f", not {_what(limit, contract, number)}"
            yield Caution("simulation-differs", f"{recipient} would get {what}")
    for place, amount in decoded.items():
        contract, recipient, number = place
        seen = arriving[place]
        if amount > seen and recipient != sender and (contract is not None or simulation.complete):
            what = f"{_what(seen, contract, number)}, not {_what(amount, contract, number)}"
            yield Caution("simulation-differs", f"{recipient} would get {what}")


def _burnt(recipient: Address, contract: Address | None) -> Address:
    """Tokens handed back to their contract and tokens burnt are the same to their owner."""
    return contract if contract is not None and recipient.is_zero else recipient


def _sent(calls: Sequence[CallView]) -> Counter[Address]:
    """Ether that calls carry, by the contract called: some only passes through."""
    found: Counter[Address] = Counter()
    for one in calls:
        if one.to is not None:
            found[one.to] += one.value
        found += _sent(one.calls)
    return found


def _allowed(effects: Effects, simulation: Simulation, owners: set[Address], sender: Address) -> Iterator[Caution]:
    given: dict[tuple[Address, Address, int | None], int] = {}
    everything = {(one.contract, one.spender) for one in effects.allowances if one.everything}
    for said in effects.allowances:
        place = (said.contract, said.spender, said.token_id)
        given[place] = max(given.get(place, 0), said.amount)
    for one in simulation.approvals:
        if one.owner not in owners or one.spender.is_zero or one.spender == sender or not one.amount:
            continue  # nobody's gain: taken back, cleared by a transfer, or what is left of the sender's own allowance
        if (one.contract, one.spender) in everything:
            continue
        if one.everything:
            yield Caution("simulation-differs", f"{one.spender} could take every token of {one.contract}")
        elif one.amount > given.get((one.contract, one.spender, one.token_id), 0):
            what = _what(one.amount, one.contract, one.token_id)
            yield Caution("simulation-differs", f"{one.spender} could take {what}")


def _what(amount: int, contract: Address | None, number: int | None) -> str:
    if contract is None:
        return Wei(amount).to_eth_text() if amount <= MAX_UINT256 else f"{amount} wei"
    if number is not None:
        return f"{amount} of the token number {number} of {contract}"
    return f"{amount} base units of {contract}"
