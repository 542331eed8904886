"""Effects of Ethereum calls and typed data as the parts of a review: what policies decide upon and people read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.policy.review import Asset, Called, Delegated, Granted, Payment, ReviewWarning

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.model import Allowance, CallView, Caution, Effects, Movement
    from bursar.ethereum.token import Token

UNREGISTERED = "units"  # the symbol of a token that nobody registered


@dataclass(frozen=True, slots=True)
class ReviewParts:
    """The members of a ``Review`` that effects decide."""

    payments: tuple[Payment, ...]
    allowances: tuple[Granted, ...]
    delegations: tuple[Delegated, ...]
    calls: tuple[Called, ...]
    warnings: tuple[ReviewWarning, ...]


def review_parts(effects: Effects, *, coin: Asset, label: str | None = None) -> ReviewParts:
    """What ``effects`` mean in a review on the network of ``coin``, the chain's own; ``label`` names the payees."""
    delegations = [Delegated(str(one.authority), str(one.delegate), one.any_chain) for one in effects.delegations]
    return ReviewParts(
        payments_of(effects.movements, coin=coin, label=label),
        allowances_of(effects.allowances, coin=coin),
        tuple(delegations),
        calls_of(effects.calls),
        warnings_of(effects.cautions),
    )


def token_asset(contract: Address, token: Token | None, *, coin: Asset, token_id: int | None = None) -> Asset:
    """A token as an asset beside ``coin``; without a name and decimals where nobody registered it."""
    if token is None:
        return Asset(coin.chain, coin.network, UNREGISTERED, 0, str(contract))
    decimals = token.decimals if token_id is None else 0
    return Asset(coin.chain, coin.network, token.symbol, decimals, str(contract))


def payments_of(movements: Sequence[Movement], *, coin: Asset, label: str | None = None) -> tuple[Payment, ...]:
    """Movements as payments."""
    made = []
    for one in movements:
        asset = coin
        if one.contract is not None:
            asset = token_asset(one.contract, one.token, coin=coin, token_id=one.token_id)
        owner = None if one.owner is None else str(one.owner)
        made.append(Payment(asset, str(one.recipient), one.amount, label, one.token_id, owner))
    return tuple(made)


def allowances_of(allowances: Sequence[Allowance], *, coin: Asset) -> tuple[Granted, ...]:
    """Allowances as a policy sees them; one for every token of a contract is unlimited."""
    return tuple(
        Granted(
            token_asset(one.contract, one.token, coin=coin, token_id=one.token_id),
            str(one.spender),
            one.amount,
            one.token_id,
            one.unlimited or one.everything,
            one.until,
        )
        for one in allowances
    )


def calls_of(calls: Sequence[CallView]) -> tuple[Called, ...]:
    """The calls for people, those inside others too."""
    return tuple(
        Called(
            None if one.to is None else str(one.to),
            int(one.value),
            one.name,
            one.arguments,
            one.understood,
            one.delegate,
            calls_of(one.calls),
        )
        for one in calls
    )


def warnings_of(cautions: Sequence[Caution]) -> tuple[ReviewWarning, ...]:
    """Cautions as warnings."""
    return tuple(ReviewWarning(one.code, one.text) for one in cautions)
