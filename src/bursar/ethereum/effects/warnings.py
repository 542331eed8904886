"""What to weigh in effects given what is known: poisoning, look-alikes, lying symbols, careless approvals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.ethereum.effects.look_alikes import resembled
from bursar.ethereum.effects.model import Allowance, Caution, Effects, Movement

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token

_FAR: Final = 30 * 24 * 3600
_DUST: Final = 10**12  # wei
_LONGEST: Final = 32


@dataclass(frozen=True, slots=True)
class Known:
    """What is known where effects are weighed; what is left out is not warned of.

    ``familiar`` are addresses paid before, one's own and those of the address book; ``contracts`` have code,
    ``codeless`` have none. ``symbols`` is what unregistered contracts call themselves. ``allowances`` are those in
    force by contract and spender. ``now`` is in seconds since 1970.
    """

    familiar: Collection[Address] = ()
    contracts: Collection[Address] = ()
    codeless: Collection[Address] = ()
    tokens: Mapping[Address, Token] = field(default_factory=dict)
    symbols: Mapping[Address, str] = field(default_factory=dict)
    allowances: Mapping[tuple[Address, Address], int] = field(default_factory=dict)
    now: int | None = None


def warnings(effects: Effects, known: Known) -> tuple[Caution, ...]:
    """Codes: ``look-alike``, ``zero-value``, ``contract-payee``, ``token-symbol``, ``allowance-to-account``,
    ``allowance-not-reset``, ``deadline-passed``, ``deadline-far``."""
    found = [
        *_payees(effects.movements, known),
        *_spenders(effects.allowances, known),
        *symbol_cautions(_contracts(effects), known),
    ]
    return tuple(dict.fromkeys(found))


def _payees(movements: Sequence[Movement], known: Known) -> Iterator[Caution]:
    for one in movements:
        yield from _look_alike(one.recipient, known)
        if one.contract is not None and not one.amount:
            text = f"moves nothing to {one.recipient}: such transfers plant look-alike addresses in histories"
            yield Caution("zero-value", text)
        if one.recipient in known.contracts and one.recipient != one.contract:
            text = f"{one.recipient} is a contract: make sure it can pass on what it gets"
            yield Caution("contract-payee", text)


def _spenders(allowances: Sequence[Allowance], known: Known) -> Iterator[Caution]:
    for one in allowances:
        if not one.amount:
            continue
        yield from _look_alike(one.spender, known)
        if one.spender in known.codeless:
            text = f"{one.spender}, who may take tokens, is no contract: somebody holds its key"
            yield Caution("allowance-to-account", text)
        held = known.allowances.get((one.contract, one.spender), 0)
        if held and one.token_id is None:
            text = f"{one.spender} may take {held} base units already: take that back first, or it can take both"
            yield Caution("allowance-not-reset", text)
        if one.until is not None and known.now is not None:
            if one.until < known.now:
                yield Caution("deadline-passed", f"the allowance of {one.spender} has ended before it begins")
            elif one.until > known.now + _FAR:
                yield Caution("deadline-far", f"the allowance of {one.spender} lasts for more than 30 days")


def _look_alike(party: Address, known: Known) -> Iterator[Caution]:
    twin = resembled(party, known.familiar)
    if twin is not None:
        yield Caution("look-alike", f"{party} resembles {twin}, which is known here: compare every character")


def _contracts(effects: Effects) -> list[Address]:
    parties = [one.contract for one in effects.movements] + [one.contract for one in effects.allowances]
    return list(dict.fromkeys(one for one in parties if one is not None))


def symbol_cautions(contracts: Sequence[Address], known: Known) -> Iterator[Caution]:
    """``token-symbol`` for contracts that go by the symbol of a token registered at another address."""
    owners: dict[str, list[Address]] = {}
    for contract, held in known.tokens.items():
        owners.setdefault(_plain(held.symbol), []).append(contract)
    for one in contracts:
        token = known.tokens.get(one)
        symbol = token.symbol if token is not None else known.symbols.get(one)
        others = [owner for owner in owners.get(_plain(symbol or ""), ()) if owner != one]
        if others:
            text = f"{one} calls itself {_plain(symbol or '')[:_LONGEST]} as {others[0]} does, which is another token"
            yield Caution("token-symbol", text)


def _plain(symbol: str) -> str:
    """A symbol as the eye takes it: letters of one kind, whatever their case and disguise."""
    import unicodedata

    folded = unicodedata.normalize("NFKD", symbol[: 4 * _LONGEST]).upper()
    shown = "".join(_TWINS.get(one, one) for one in folded if one.isprintable() and not unicodedata.combining(one))
    return "".join(shown.split())


_TWINS: Final = dict(zip("АВЕКМНОРСТУХЅІЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧ015$", "ABEKMHOPCTYXSIJABEZHIKMNOPTYXOISS", strict=True))


def planted(sender: Address, amount: int, *, contract: Address | None, familiar: Collection[Address]) -> Caution | None:
    """Why a transfer received looks planted to be copied from a history: of nothing, of dust, or by a look-alike."""
    twin = resembled(sender, familiar)
    if twin is not None:
        return Caution("look-alike", f"{sender} resembles {twin}, which is known here: never copy it from a history")
    if not amount:
        return Caution("zero-value", f"{sender} moved nothing: such transfers plant addresses in histories")
    if contract is None and amount < _DUST and sender not in familiar:
        return Caution("dust", f"{sender} sent {amount} wei: so little is sent to plant addresses in histories")
    return None
