"""Cautions about who receives or may spend: the zero address, the sender itself, a token's own contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from bursar.ethereum.effects.model import Caution

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.unfolding import Unfolded
    from bursar.ethereum.token import Token


def party_cautions(found: Unfolded, *, sender: Address | None, known: Mapping[Address, Token]) -> Iterator[Caution]:
    """For each party once; wrapping a coin pays the token's contract on purpose."""
    codes = {one.code for one in found.cautions}
    parties = [
        (one.recipient, one.contract, place in found.called or ("unwrap" in codes and one.recipient == one.contract))
        for place, one in enumerate(found.movements)
    ]
    parties += [(one.spender, one.contract, False) for one in found.allowances if one.amount]
    for party, contract, called in parties:
        if party.is_zero:
            yield Caution("zero-address", "the recipient is the zero address: nobody can spend from it")
        elif party == sender:
            yield Caution("self-payment", "the recipient is the sender itself")
        elif (party in known or party == contract) and not called:
            name = known[party].symbol if party in known else "the token"
            yield Caution("token-contract", f"the recipient is the contract of {name}: no way back")
