"""What a contract account's calls do, as people and the policy see it: a Safe's, or those of a user operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from bursar.cli import compose
from bursar.ethereum.review import effects
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.policy.review import (
    DELEGATE_CALL,
    OPAQUE_CALL,
    UNLIMITED_ALLOWANCE,
    Asset,
    Called,
    Granted,
    Payment,
    Review,
    ReviewWarning,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.ethereum.effects.model import Allowance, CallView, Effects, Movement
    from bursar.ethereum.safe import MultiSendCall
    from bursar.ethereum.token import Token

_GAS = 16_000_000  # bounds what is decoded; nothing of this transaction is ever sent
_ABOUT_FEES = frozenset({"fee-above-value"})


class ContractReview:
    """Gathers the effects of one call after the other; ``review`` gives the whole.

    ``coin`` is the symbol of the chain's own, ``tokens`` those registered on it by contract.
    """

    def __init__(self, contract: Address, chain_id: int, coin: str, tokens: Mapping[Address, Token]) -> None:
        self._contract, self._chain_id, self._tokens = contract, chain_id, tokens
        self._network = f"eip155:{chain_id}"
        self._coin = Asset("ethereum", self._network, coin, 18)
        self._payments: list[Payment] = []
        self._allowances: list[Granted] = []
        self._calls: list[Called] = []
        self._warnings: list[ReviewWarning] = []

    @classmethod
    def known_to(cls, session: Session, contract: Address, chain_id: int) -> Self:
        """With the tokens and the coin that this wallet knows on the chain."""
        tokens = {one.contract: one for one in compose.wallet(session).tokens() if one.chain_id == chain_id}
        chain = compose.chains(session).by_id.get(chain_id)
        return cls(contract, chain_id, "ETH" if chain is None else chain.currency_symbol, tokens)

    @property
    def codes(self) -> set[str]:
        """Of the warnings so far."""
        return {one.code for one in self._warnings}

    def add_call(self, one: MultiSendCall) -> None:
        """A call of the contract, or code of another that runs as it, which nobody can foresee."""
        if one.operation:
            text = f"runs code of {one.to} as {self._contract} itself: it can take everything"
            self.warn(DELEGATE_CALL, text)
            self.warn(OPAQUE_CALL, f"what {one.to} does with {len(one.data)} bytes of data cannot be foreseen")
            self._payments.append(Payment(self._coin, str(one.to), 0))
            self._calls.append(Called(str(one.to), 0, understood=False, delegate=True))
            return
        tx = UnsignedTransaction(
            chain_id=self._chain_id,
            nonce=0,
            to=one.to,
            value=one.value,
            data=one.data,
            gas_limit=_GAS,
            max_fee_per_gas=Wei(0),
            max_priority_fee_per_gas=Wei(0),
        )
        found = effects(tx, sender=self._contract, tokens=self._tokens)
        self._add(found, one.to)

    def warn(self, code: str, text: str) -> None:
        """Something to weigh, said once."""
        warning = ReviewWarning(code, text)
        if warning not in self._warnings:
            self._warnings.append(warning)

    def review(
        self, account: str, *, fee: int = 0, fee_rate: str = "paid by whoever sends it", extra: Mapping[str, str | int]
    ) -> Review:
        """All of it; ``account`` is the one that signs, ``fee`` what the contract itself may pay at most."""
        return Review(
            chain="ethereum",
            network=self._network,
            account=account,
            payments=tuple(self._payments),
            change=(),
            fee=fee,
            max_fee=fee,
            fee_asset=self._coin,
            fee_rate=fee_rate,
            warnings=tuple(self._warnings),
            extra=dict(extra),
            allowances=tuple(self._allowances),
            calls=tuple(self._calls),
        )

    def _add(self, found: Effects, to: Address) -> None:
        self._payments += [self._payment(one) for one in found.movements]
        self._allowances += [self._granted(one) for one in found.allowances]
        self._calls += [_called(one) for one in found.calls]
        for caution in found.cautions:
            if caution.code not in _ABOUT_FEES:
                self.warn(caution.code, caution.text)
        blind = not found.decoded or found.delegate_call
        if blind:
            self.warn(OPAQUE_CALL, f"what the call of {to} does cannot be told for certain")
        if blind and all(one.to != str(to) for one in self._payments):
            self._payments.append(Payment(self._coin, str(to), 0))  # so that a policy sees the contract called
        if any(one.unlimited or one.everything for one in found.allowances):
            self.warn(UNLIMITED_ALLOWANCE, "a spender may take every token, now and later")

    def _asset(self, contract: Address | None, token: Token | None, *, numbered: bool) -> Asset:
        if contract is None:
            return self._coin
        if token is None or numbered:
            return Asset("ethereum", self._network, token.symbol if token else "units", 0, str(contract))
        return Asset("ethereum", self._network, token.symbol, token.decimals, str(contract))

    def _payment(self, one: Movement) -> Payment:
        asset = self._asset(one.contract, one.token, numbered=one.token_id is not None)
        return Payment(asset, str(one.recipient), one.amount, None, one.token_id)

    def _granted(self, one: Allowance) -> Granted:
        asset = self._asset(one.contract, one.token, numbered=one.token_id is not None or one.everything)
        unlimited = one.unlimited or one.everything
        return Granted(asset, str(one.spender), one.amount, one.token_id, unlimited, one.until)


def _called(view: CallView) -> Called:
    inner: Sequence[Called] = [_called(one) for one in view.calls]
    to = None if view.to is None else str(view.to)
    return Called(to, view.value, view.name, view.arguments, view.understood, view.delegate, tuple(inner))
