"""RulePolicy: the rules of a TOML text, asked in order; default deny."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bursar.crypto.hashes import sha256
from bursar.policy.amounts import AssetScope, Token, asset_scope
from bursar.policy.render import plain_text
from bursar.policy.rules import Question
from bursar.policy.toml_text import read_policy
from bursar.policy.verdict import Allow, Deny, NeedApproval, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.policy.history import History
    from bursar.policy.review import Granted, Payment, Review
    from bursar.policy.rules import Rule

DEFAULT_DENY = "default-deny"

DEFAULT_POLICY_TOML = """\
# What this wallet may pay. Whatever no rule allows is refused, and a refusal wins over every allowance.
# Amounts need units ("0.5btc", "15000sat", "2eth"). `bursar policy check` reads this file, `bursar policy explain`
# says which rule decides.
version = 1

# Anyone may be paid, in bitcoin and in ether, within the limits below. Replace by rules of kind "allow-list" with
# `addresses = [...]` to pay known addresses only.
[[rule]]
name = "bitcoin-to-anyone"
kind = "allow-any"
asset = "BTC"

[[rule]]
name = "ether-to-anyone"
kind = "allow-any"
asset = "ETH"

# No token may be paid until it is named here with its contract, a rule allows it and a limit bounds it:
#   [[token]]
#   symbol = "USDC"
#   network = "eip155:1"
#   contract = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
#   decimals = 6

[[rule]]
name = "bitcoin-per-transfer"
kind = "limit"
max = "1btc"

[[rule]]
name = "ether-per-transfer"
kind = "limit"
max = "10eth"

[[rule]]
name = "bitcoin-per-day"
kind = "rolling-limit"
max = "2btc"
window = "24h"

[[rule]]
name = "ether-per-day"
kind = "rolling-limit"
max = "20eth"
window = "24h"

[[rule]]
name = "bitcoin-fee"
kind = "fee-cap"
max = "0.002btc"
rate = "500sat/vb"

[[rule]]
name = "ether-fee"
kind = "fee-cap"
max = "0.05eth"
"""


class RulePolicy:
    """A policy made of rules (see ``docs`` and ``DEFAULT_POLICY_TOML`` for the text).

    How a review is decided:

    1. Rules are asked in the order of the text; a rule whose chain, network or account is another is silent.
    2. The first rule that refuses decides. A refusal wins over every allowance, wherever each stands.
    3. Every payment must be allowed by an ``allow-any`` or ``allow-list`` rule; limits only ever refuse. A review
       without payments (only a fee leaves the account) needs an ``allow-any`` rule that covers the fee's coin. An
       allowance (a spender may take something later) counts as a payment to the spender, up to its amount. What
       nobody could decode, unlimited allowances, delegate calls, changes of a Safe and typed data for another chain or
       contract need an ``allow-calls`` rule besides, creations an ``allow-creations`` rule, delegations (EIP-7702) an
       ``allow-delegations`` rule. Where an allowance is missing, the verdict is a refusal by ``default-deny``.
    4. Of the ``approval`` rules that ask for people the largest quorum is asked, the first of equals named.
    5. Otherwise the review is allowed, in the name of the rule that allows its first payment.

    Amounts are those of the effective recipients and exclude the fee; fee caps hold the worst case, ``max_fee``.
    Addresses are compared without regard to the case bech32 and hexadecimal leave free.
    """

    __slots__ = ("_rules", "_tokens")

    def __init__(self, rules: Sequence[Rule], *, tokens: Sequence[Token] = ()) -> None:
        self._rules = tuple(rules)
        by_symbol = {token.symbol: token for token in tokens}
        self._tokens = tuple(asset_scope(symbol, by_symbol) for symbol in by_symbol)

    @classmethod
    def from_toml(cls, text: str) -> RulePolicy:
        """The policy a TOML text describes. Raises ``InvalidInputError`` with the place of the first error."""
        read = read_policy(text)
        return cls(read.rules, tokens=tuple(read.tokens.values()))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in the order of the text."""
        return self._rules

    def decide(self, review: Review, history: History) -> Verdict:
        """Decide ``review`` given what was approved before; one that contradicts itself is refused."""
        flaw = _flaw(review)
        if flaw is not None:
            return Deny(DEFAULT_DENY, flaw)
        question = Question(review, history)
        rules = [rule for rule in self._rules if rule.scope.covers(review)]
        for rule in rules:
            reason = rule.refusal(question)
            if reason is not None:
                return Deny(rule.name, reason)
        allowed = self._allowance(rules, question)
        if isinstance(allowed, Deny):
            return allowed
        most: NeedApproval | None = None
        for rule in rules:
            asked = rule.approvals(question)
            if asked is not None and (most is None or asked[0] > most.need):
                most = NeedApproval(rule.name, asked[1], asked[0])
        return most or allowed

    def explain(self, review: Review, history: History) -> str:
        """The verdict as one English sentence that names the rule."""
        match self.decide(review, history):
            case Allow(rule=rule):
                return f'Allowed by the rule "{rule}".'
            case Deny(rule=rule, reason=reason):
                return f'Refused by the rule "{rule}": {reason}.'
            case NeedApproval(rule=rule, reason=reason, need=need):
                people = "one person's approval" if need == 1 else f"the approval of {need} people"
                return f'Needs {people} by the rule "{rule}": {reason}.'

    def digest(self) -> str:
        """SHA-256 over the canonical form of the rules, in hexadecimal: the same for texts that mean the same."""
        form = {
            "policy": 1,
            "rules": [rule.canonical() for rule in self._rules],
            "tokens": sorted([token.network, token.contract, token.decimals] for token in self._tokens),
        }
        return sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hex()

    def _allowance(self, rules: Sequence[Rule], question: Question) -> Allow | Deny:
        review = question.review
        for place, payment in enumerate(question.payments):
            known = self._token(payment.asset.contract, payment.asset.network)
            if known is not None and known.decimals != payment.asset.decimals:
                reason = f"{known.symbol} has {known.decimals} decimals, the review says {payment.asset.decimals}"
                return Deny(DEFAULT_DENY, reason)
            if not any(rule.allows(question, place) for rule in rules):
                what, to = plain_text(payment.asset.symbol), plain_text(payment.to)
                if place < len(review.payments):
                    return Deny(DEFAULT_DENY, f"no rule allows paying {what} to {to}")
                return Deny(DEFAULT_DENY, f"no rule allows {to} to take {what} (an allowance counts as a payment)")
        if question.blind is not None and not any(rule.allows_call(question) for rule in rules):
            return Deny(DEFAULT_DENY, f"no rule allows this contract call ({question.blind.code})")
        for one in review.delegations:
            ends = not one.any_chain and set(one.delegate.lower()) <= set("0x")
            if not ends and not any(rule.allows_delegation(one.delegate, one.any_chain) for rule in rules):
                where = " on every chain" if one.any_chain else ""
                words = (
                    f"no rule allows {plain_text(one.authority)} to run the code of {plain_text(one.delegate)}{where}"
                )
                return Deny(DEFAULT_DENY, words)
        if question.payments:
            return Allow(next(rule.name for rule in rules if rule.allows(question, 0)))
        for rule in rules:
            if rule.kind == "allow-any" and rule.scope.covers_asset(review.fee_asset):
                return Allow(rule.name)
        return Deny(DEFAULT_DENY, "nothing is paid, and no rule allows the fee alone")

    def _token(self, contract: str | None, network: str) -> AssetScope | None:
        if contract is None:
            return None
        same = (token for token in self._tokens if token.contract == contract.lower() and token.network == network)
        return next(same, None)


def _flaw(review: Review) -> str | None:
    """What would let a review slip past rules that add and compare: no amount, a negative one, an asset elsewhere."""
    spent: list[Payment | Granted] = [*review.payments, *review.allowances]
    for amount in (review.fee, review.max_fee, *(one.amount for one in spent)):
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
            return f"{amount!r} is no amount that can be paid"
    if review.max_fee < review.fee:
        return "the fee is above the most it may reach"
    for asset in (review.fee_asset, *(one.asset for one in spent)):
        if (asset.chain, asset.network) != (review.chain, review.network):
            return f"the review is of {review.network} and pays on {asset.network}"
    return None
