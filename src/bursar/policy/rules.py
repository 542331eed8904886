"""Policy rules: each may refuse, allow a payment, or ask for people; out of its scope each is silent."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from bursar.policy.address_text import canonical_address
from bursar.policy.amounts import Amount, AssetScope, Percentage, Rate, format_units, reviewed_rate
from bursar.policy.history import AssetKey, History, asset_key
from bursar.policy.review import (
    ALLOWANCE_TO_ACCOUNT,
    CREATION,
    DELEGATE_CALL,
    DOMAIN_MISMATCH,
    OPAQUE_CALL,
    SAFE_CHANGE,
    UNLIMITED_ALLOWANCE,
    Asset,
    Called,
    Review,
    ReviewWarning,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BLIND_CODES = frozenset(
    {
        OPAQUE_CALL,
        CREATION,
        UNLIMITED_ALLOWANCE,
        ALLOWANCE_TO_ACCOUNT,
        DELEGATE_CALL,
        SAFE_CHANGE,
        DOMAIN_MISMATCH,
    }
)

Canonical: TypeAlias = "str | int | bool | Sequence[Canonical] | Mapping[str, Canonical] | None"


class Question:
    """A review made ready to be asked about: totals by asset, recipients in canonical spelling. Internal.

    ``payments`` are payments and allowances alike: what a spender may take counts as if it were paid.
    """

    __slots__ = ("assets", "blind", "called", "history", "payments", "recipients", "review", "targets", "totals")

    def __init__(self, review: Review, history: History) -> None:
        self.review = review
        self.history = history
        self.payments = review.spending
        self.recipients = [canonical_address(payment.to) for payment in self.payments]
        called: set[str] = set()
        self.totals: dict[AssetKey, int] = {}
        self.assets: dict[AssetKey, Asset] = {}
        for payment, to in zip(self.payments, self.recipients, strict=True):
            key = asset_key(payment.asset)
            self.assets[key] = payment.asset
            self.totals[key] = self.totals.get(key, 0) + payment.amount
            contract = payment.asset.contract
            called.add(to if contract is None else canonical_address(contract))
        self.targets = called.union(self.recipients)
        self.blind = next((warning for warning in review.warnings if warning.code in BLIND_CODES), None)
        if any(one.unlimited for one in review.allowances):
            self.blind = self.blind or ReviewWarning(UNLIMITED_ALLOWANCE, "")
        self.called = called
        if review.calls:
            every = list(flattened(review.calls))
            self.targets |= {canonical_address(one.to) for one in every if one.to is not None}
            concerned = {canonical_address(one.to or "") for one in every if one.delegate or not one.understood}
            if self.blind is None and not all(one.understood for one in every):
                # whatever the warnings of a record say: effects nobody knows are not allowed by rules about effects
                self.blind = ReviewWarning(OPAQUE_CALL, "")
            codes = {warning.code for warning in review.warnings}
            for one in review.allowances:
                if one.unlimited or (one.amount and ALLOWANCE_TO_ACCOUNT in codes):
                    concerned.add(canonical_address(one.asset.contract or ""))
            if concerned and DOMAIN_MISMATCH not in codes:
                self.called = concerned
            else:
                self.called = called | concerned


def flattened(calls: Sequence[Called]) -> Iterator[Called]:
    """Every call of a review, those inside others too."""
    for one in calls:
        yield one
        yield from flattened(one.calls)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a rule speaks; what is ``None`` is everywhere."""

    chain: str | None = None
    network: str | None = None
    account: str | None = None
    asset: AssetScope | None = None

    def covers(self, review: Review) -> bool:
        return (
            (self.chain is None or self.chain == review.chain)
            and (self.network is None or self.network == review.network)
            and (self.account is None or self.account == review.account)
        )

    def covers_asset(self, asset: Asset) -> bool:
        return self.asset is None or self.asset.covers(asset)


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that says nothing; each kind overrides what it speaks to. Asked only where its scope covers."""

    kind: ClassVar[str] = ""

    name: str
    scope: Scope

    def refusal(self, question: Question) -> str | None:  # noqa: ARG002
        """Why the review must not be signed, as a clause."""
        return None

    def allows(self, question: Question, payment: int) -> bool:  # noqa: ARG002
        """Whether the payment at this place of the review is allowed."""
        return False

    def allows_call(self, question: Question) -> bool:  # noqa: ARG002
        """Whether a call marked by one of ``BLIND_CODES`` is allowed."""
        return False

    def allows_delegation(self, delegate: str, any_chain: bool) -> bool:  # noqa: ARG002
        """Whether an account may run the code of ``delegate`` from now on, on every chain where ``any_chain``."""
        return False

    def approvals(self, question: Question) -> tuple[int, str] | None:  # noqa: ARG002
        """How many people must approve, and why."""
        return None

    def canonical(self) -> Canonical:
        """This rule as data that says the same for the same meaning."""
        values = {item.name: _canonical(getattr(self, item.name)) for item in fields(self)}
        return {"kind": self.kind, **values}


@dataclass(frozen=True, slots=True)
class AllowAny(Rule):
    """Allows payments to anyone."""

    kind: ClassVar[str] = "allow-any"

    def allows(self, question: Question, payment: int) -> bool:
        return self.scope.covers_asset(question.payments[payment].asset)


@dataclass(frozen=True, slots=True)
class AllowList(Rule):
    """Allows payments to the addresses named."""

    kind: ClassVar[str] = "allow-list"

    addresses: frozenset[str]

    def allows(self, question: Question, payment: int) -> bool:
        known = question.recipients[payment] in self.addresses
        return known and self.scope.covers_asset(question.payments[payment].asset)


@dataclass(frozen=True, slots=True)
class AllowCalls(Rule):
    """Allows what the codes of ``BLIND_CODES`` warn of where every contract concerned is named.

    Those are the contracts of calls nobody could decode or whose code runs as the caller, a Safe that changes itself,
    and the tokens of unlimited allowances. Payments and allowances still need a rule of their own that allows them.
    """

    kind: ClassVar[str] = "allow-calls"

    contracts: frozenset[str]

    def allows_call(self, question: Question) -> bool:
        return bool(question.called) and question.called <= self.contracts


@dataclass(frozen=True, slots=True)
class AllowCreations(Rule):
    """Allows transactions that create a contract, and nothing else that needs to be allowed by name.

    What the new contract will do nobody reads here: limit it to an account, or ask people (``approval``).
    """

    kind: ClassVar[str] = "allow-creations"

    def allows_call(self, question: Question) -> bool:
        review = question.review
        codes = {one.code for one in review.warnings} & BLIND_CODES
        return codes == {CREATION} and not any(one.unlimited for one in review.allowances)


@dataclass(frozen=True, slots=True)
class AllowDelegations(Rule):
    """Allows accounts to run the code of the contracts named (EIP-7702); on every chain at once by ``any_chain``."""

    kind: ClassVar[str] = "allow-delegations"

    delegates: frozenset[str]
    any_chain: bool | None = None

    def allows_delegation(self, delegate: str, any_chain: bool) -> bool:
        return canonical_address(delegate) in self.delegates and (self.any_chain is True or not any_chain)


@dataclass(frozen=True, slots=True)
class DenyAny(Rule):
    """Refuses every payment in its scope."""

    kind: ClassVar[str] = "deny-any"

    def refusal(self, question: Question) -> str | None:
        if question.assets and not any(map(self.scope.covers_asset, question.assets.values())):
            return None
        return "nothing may be paid here"


@dataclass(frozen=True, slots=True)
class DenyList(Rule):
    """Refuses payments to the addresses named, and payments of the token contracts named."""

    kind: ClassVar[str] = "deny-list"

    addresses: frozenset[str]

    def refusal(self, question: Question) -> str | None:
        hit = self.addresses & question.targets
        return f"{min(hit)} is on the deny list" if hit else None


@dataclass(frozen=True, slots=True)
class Limit(Rule):
    """Refuses a transaction that pays more than ``max`` of the asset in all, its fee not counted."""

    kind: ClassVar[str] = "limit"

    max: Amount

    def refusal(self, question: Question) -> str | None:
        limit = self.max
        for key, asset in question.assets.items():
            if question.totals[key] > limit.value and limit.asset.covers(asset):
                paid = limit.asset.format(question.totals[key])
                return f"{paid} is over the limit of {limit.asset.format(limit.value)} for one transaction"
        return None


@dataclass(frozen=True, slots=True)
class RollingLimit(Rule):
    """Refuses what would bring the payments of the last ``window`` over ``max``, fees not counted."""

    kind: ClassVar[str] = "rolling-limit"

    max: Amount
    window: timedelta

    def refusal(self, question: Question) -> str | None:
        limit = self.max
        for key, asset in question.assets.items():
            if not limit.asset.covers(asset):
                continue
            spent = question.history.spent(asset, self.window)
            if spent + question.totals[key] > limit.value:
                words = limit.asset.format
                past = f"the {words(spent)} paid in the last {window_words(self.window)}"
                return f"{words(question.totals[key])} and {past} are over the limit of {words(limit.value)}"
        return None


@dataclass(frozen=True, slots=True)
class FeeCap(Rule):
    """Refuses a fee that may exceed an amount, a share of what is paid in the fee's own coin, or a rate."""

    kind: ClassVar[str] = "fee-cap"

    max: Amount | None
    percent: Percentage | None
    rate: Rate | None

    def refusal(self, question: Question) -> str | None:
        review = question.review
        fee, asset = review.max_fee, review.fee_asset
        words = f"the fee may reach {format_units(fee, asset.decimals)} {plain_symbol(asset)}"
        if self.max is not None and self.max.asset.covers(asset) and fee > self.max.value:
            return f"{words}, over the cap of {self.max.asset.format(self.max.value)}"
        paid = question.totals.get(asset_key(asset), 0)
        if self.percent is not None and paid > 0 and self.percent.exceeded_by(fee, paid):
            return f"{words}, over the cap of {self.percent} of the amount"
        if self.rate is not None and self.rate.chain == review.chain:
            rate = reviewed_rate(review.chain, review.fee_rate)
            if rate is None:
                return "the fee rate cannot be read, so it cannot be held to its cap"
            if rate > self.rate.value:
                return f"the fee rate of {review.fee_rate} is over the cap of {self.rate.text}"
        return None


@dataclass(frozen=True, slots=True)
class Approval(Rule):
    """Asks for ``quorum`` people above an amount, or always where no amount is given."""

    kind: ClassVar[str] = "approval"

    above: Amount | None
    quorum: int

    def approvals(self, question: Question) -> tuple[int, str] | None:
        above = self.above
        if above is None:
            if question.assets and not any(map(self.scope.covers_asset, question.assets.values())):
                return None
            return self.quorum, "every payment here needs approval"
        for key, asset in question.assets.items():
            if question.totals[key] > above.value and above.asset.covers(asset):
                paid = above.asset.format(question.totals[key])
                return self.quorum, f"{paid} is above {above.asset.format(above.value)}"
        return None


def window_words(window: timedelta) -> str:
    """A span of time as a person says it: "24 hours", "90 minutes"."""
    minutes = window // timedelta(minutes=1)
    for unit, size in (("day", 24 * 60), ("hour", 60)):
        if minutes % size == 0 and minutes // size > 1:
            return f"{minutes // size} {unit}s"
    return f"{minutes} minutes" if minutes > 1 else "minute"


def plain_symbol(asset: Asset) -> str:
    """The asset's symbol where it is the chain's own coin, which the policy knows without hearsay."""
    return {"bitcoin": "BTC", "ethereum": "ETH"}.get(asset.chain, "units")


def _canonical(value: object) -> Canonical:
    match value:
        case None | str() | int():
            return value
        case timedelta():
            return value // timedelta(seconds=1)
        case frozenset():
            return sorted(str(item) for item in value)
        case Scope() | Amount() | AssetScope() | Percentage():
            return {item.name: _canonical(getattr(value, item.name)) for item in fields(value)}
        case Rate():
            return {"chain": value.chain, "value": value.value}
    raise AssertionError(f"no canonical form for {type(value).__name__}")
