"""Typed data (EIP-712) as a review: permits are allowances, a Safe's transaction is unfolded, the unknown is opaque."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from bursar.ethereum.typed_data_effects import SignedAllowance, TypedDataEffects, typed_data_effects
from bursar.policy.ethereum_effects import calls_of, payments_of, token_asset, warnings_of
from bursar.policy.review import DOMAIN_MISMATCH, Asset, Called, Granted, Payment, Review, ReviewWarning

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token
    from bursar.ethereum.typed_data import TypedData

_SOON = 120
_FAR = 30 * 24 * 3600


def review_of_typed_data(
    typed: TypedData,
    *,
    account: str,
    chain_id: int,
    tokens: Mapping[Address, Token],
    symbol: str = "ETH",
    codeless: Collection[Address] = (),
    now: int | None = None,
    signer: Address | None = None,
) -> Review:
    """The effects of one signature by ``account`` on ``chain_id``, for a policy and for people.

    ``tokens`` are the chain's registered tokens by contract, ``symbol`` its coin, ``codeless`` addresses known to be
    no contracts, ``now`` the time in seconds since 1970, against which deadlines are held, ``signer`` whose key signs.
    What gives nothing away has no payments, no allowances and none of the codes a policy decides upon.
    """
    coin = Asset("ethereum", f"eip155:{chain_id}", symbol, 18)
    known = {contract: one for contract, one in tokens.items() if one.chain_id == chain_id}
    effects = typed_data_effects(typed, known)
    warnings = [*warnings_of(effects.cautions), *_mismatches(typed, effects, chain_id, codeless)]
    if now is not None:
        warnings += _deadlines(effects.allowances, now)
    payments, calls = payments_of(effects.movements, coin=coin), calls_of(effects.calls)
    mine = {None, None if signer is None else str(signer)}
    payments = tuple(replace(one, owner=None) if signer is None or one.owner in mine else one for one in payments)
    if signer is not None and (effects.allowances or effects.movements):
        warnings += _other_owner(typed, signer)
    if effects.suspect and not calls:
        # Rules about what nobody could read name contracts: the one that takes the signature must be there to be named.
        contract = typed.verifying_contract
        calls = (Called(None if contract is None else str(contract), 0, typed.primary_type, understood=False),)
        payments += () if contract is None else (Payment(coin, str(contract), 0),)
    if any(one.contract is None for one in effects.allowances):
        warnings.append(ReviewWarning(DOMAIN_MISMATCH, "it allows tokens of a contract that it does not name"))
    return Review(
        chain="ethereum",
        network=coin.network,
        account=account,
        payments=payments,
        change=(),
        fee=effects.max_fee,
        max_fee=effects.max_fee,
        fee_asset=coin,
        fee_rate="none: a signature costs nothing" if not effects.max_fee else "as the operation says",
        warnings=tuple(dict.fromkeys(warnings)),
        extra={"source": "typed data", "primary_type": typed.primary_type},
        allowances=tuple(_granted(one, known, coin) for one in effects.allowances),
        calls=calls,
    )


def gives_nothing(review: Review) -> bool:
    """Whether a review of typed data gives nothing away that anybody recognised or suspects."""
    from bursar.policy.rules import BLIND_CODES

    blind = any(one.code in BLIND_CODES for one in review.warnings)
    return not (review.payments or review.allowances or review.max_fee or blind)


def _granted(one: SignedAllowance, tokens: Mapping[Address, Token], coin: Asset) -> Granted:
    from bursar.ethereum.address import ZERO_ADDRESS

    contract = one.contract or ZERO_ADDRESS
    asset = token_asset(contract, tokens.get(contract), coin=coin, token_id=one.token_id)
    return Granted(asset, str(one.spender), one.amount, one.token_id, one.unlimited, one.until)


def _mismatches(
    typed: TypedData, effects: TypedDataEffects, chain_id: int, codeless: Collection[Address]
) -> Iterator[ReviewWarning]:
    contract = typed.verifying_contract
    if typed.chain_id is not None and typed.chain_id != chain_id:
        text = f"its domain is of chain {typed.chain_id}, this account is on chain {chain_id}"
        yield ReviewWarning(DOMAIN_MISMATCH, text)
    if contract is not None and contract in codeless:
        yield ReviewWarning(DOMAIN_MISMATCH, f"its domain names {contract}, which is no contract")
    gives = effects.allowances or effects.movements or effects.suspect
    if gives and typed.chain_id is None:
        yield ReviewWarning(DOMAIN_MISMATCH, "it gives something away on every chain: its domain names none")
    if gives and (contract is None or contract.is_zero):
        yield ReviewWarning(DOMAIN_MISMATCH, "it gives something away to any contract: its domain names none")


def _other_owner(typed: TypedData, signer: Address) -> Iterator[ReviewWarning]:
    named = next((one for name in ("owner", "from", "holder") if (one := typed.message.get(name)) is not None), None)
    if isinstance(named, type(signer)) and named != signer:
        text = f"it gives away what {named} has, and {signer} signs: it is of no use, or meant for another signer"
        yield ReviewWarning("other-owner", text)


def _deadlines(allowances: Collection[SignedAllowance], now: int) -> Iterator[ReviewWarning]:
    for one in allowances:
        if not one.amount:
            continue
        if one.deadline is not None and one.deadline < now:
            yield ReviewWarning("deadline-passed", "it had to be used before now: nobody can use it any more")
        elif one.deadline is not None and one.deadline < now + _SOON:
            yield ReviewWarning("deadline-short", f"it has to be used within {one.deadline - now} seconds")
        if max(one.deadline or 0, one.until or 0) > now + _FAR:
            yield ReviewWarning("deadline-far", "it can be used for more than 30 days: ask for a shorter deadline")
