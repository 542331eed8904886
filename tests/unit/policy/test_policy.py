"""Decisions: default deny, deny wins, every rule kind, and one sentence that says why."""

from __future__ import annotations

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from bursar.policy.history import History, HistoryEntry
from bursar.policy.policy import DEFAULT_POLICY_TOML, RulePolicy
from bursar.policy.protocols import Policy
from bursar.policy.review import CREATION, OPAQUE_CALL, UNLIMITED_ALLOWANCE, Asset
from bursar.policy.verdict import Allow, Deny, NeedApproval

ANYONE = '[[rule]]\nname = "anyone"\nkind = "allow-any"\n'
TOKEN = """
[[token]]
symbol = "TUSD"
network = "eip155:1"
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
decimals = 6
"""


def policy(*rules: str) -> RulePolicy:
    return RulePolicy.from_toml("version = 1\n" + "".join(rules))


def rule(kind: str, *lines: str, name: str = "it") -> str:
    return "\n".join(["[[rule]]", f'name = "{name}"', f'kind = "{kind}"', *lines, ""])


def test_it_is_a_policy() -> None:
    assert isinstance(policy(), Policy)


def test_no_rules_allow_nothing(stage: SimpleNamespace) -> None:
    verdict = policy().decide(stage.review((stage.BTC, stage.ALICE, 1)), stage.empty)
    assert verdict == Deny("default-deny", f"no rule allows paying BTC to {stage.ALICE}")


def test_a_limit_alone_allows_nothing(stage: SimpleNamespace) -> None:
    assert isinstance(
        policy(rule("limit", 'max = "1btc"')).decide(stage.review((stage.BTC, stage.ALICE, 1)), stage.empty), Deny
    )


def test_every_payment_must_be_allowed(stage: SimpleNamespace) -> None:
    listed = policy(rule("allow-list", f'addresses = ["{stage.ALICE}"]'))
    assert listed.decide(stage.review((stage.BTC, stage.ALICE, 1)), stage.empty) == Allow("it")
    both = stage.review((stage.BTC, stage.ALICE, 1), (stage.BTC, stage.BOB, 1))
    assert listed.decide(both, stage.empty) == Deny("default-deny", f"no rule allows paying BTC to {stage.BOB}")


def test_two_allow_lists_add_up(stage: SimpleNamespace) -> None:
    listed = policy(
        rule("allow-list", f'addresses = ["{stage.ALICE}"]', name="a"),
        rule("allow-list", f'addresses = ["{stage.BOB}"]', name="b"),
    )
    both = stage.review((stage.BTC, stage.BOB, 1), (stage.BTC, stage.ALICE, 1))
    assert listed.decide(both, stage.empty) == Allow("b")


def test_deny_wins_wherever_it_stands(stage: SimpleNamespace) -> None:
    deny = rule("deny-list", f'addresses = ["{stage.ALICE}"]')
    for rules in ((ANYONE, deny), (deny, ANYONE)):
        verdict = policy(*rules).decide(
            stage.review((stage.BTC, stage.BOB, 1), (stage.BTC, stage.ALICE, 1)), stage.empty
        )
        assert verdict == Deny("it", f"{stage.ALICE} is on the deny list")


def test_the_first_refusal_in_the_text_is_named(stage: SimpleNamespace) -> None:
    both = policy(ANYONE, rule("limit", 'max = "2sat"', name="b"), rule("limit", 'max = "1sat"', name="a"))
    verdict = both.decide(stage.review((stage.BTC, stage.ALICE, 3)), stage.empty)
    assert isinstance(verdict, Deny)
    assert verdict.rule == "b"


@pytest.mark.parametrize("kind", ["allow-list", "deny-list"])
def test_addresses_are_compared_canonically(stage: SimpleNamespace, kind: str) -> None:
    lines = f'addresses = ["{stage.ALICE.upper()}", "{stage.CAROL}"]'
    either = policy(rule(kind, lines), *([ANYONE] if kind == "deny-list" else []))
    wanted = Allow if kind == "allow-list" else Deny
    for asset, address in (
        (stage.BTC, stage.ALICE),
        (stage.BTC, stage.ALICE.upper()),
        (stage.ETH, stage.CAROL),
        (stage.ETH, stage.CAROL.lower()),
    ):
        assert isinstance(either.decide(stage.review((asset, address, 1)), stage.empty), wanted)


def test_a_deny_list_names_token_contracts_too(stage: SimpleNamespace) -> None:
    denied = policy(ANYONE, rule("deny-list", f'addresses = ["{stage.TOKEN}"]'))
    assert isinstance(denied.decide(stage.review((stage.TUSD, stage.CAROL, 1)), stage.empty), Deny)


def test_a_limit_counts_the_whole_transaction(stage: SimpleNamespace) -> None:
    limited = policy(ANYONE, rule("limit", 'max = "1btc"'))
    half = (stage.BTC, stage.ALICE, 50_000_000)
    assert limited.decide(stage.review(half, half), stage.empty) == Allow("anyone")
    verdict = limited.decide(stage.review(half, half, (stage.BTC, stage.BOB, 1)), stage.empty)
    assert verdict == Deny("it", "1.00000001 BTC is over the limit of 1 BTC for one transaction")


def test_a_token_limit_knows_the_contract(stage: SimpleNamespace) -> None:
    limited = policy(TOKEN, ANYONE, rule("limit", 'max = "10 TUSD"'))
    assert isinstance(limited.decide(stage.review((stage.TUSD, stage.CAROL, 10_000_001)), stage.empty), Deny)
    other = Asset("ethereum", "eip155:1", "TUSD", 6, stage.CAROL)
    assert isinstance(limited.decide(stage.review((other, stage.CAROL, 10_000_001)), stage.empty), Allow)


def test_a_token_with_other_decimals_than_the_policy_knows_is_refused(stage: SimpleNamespace) -> None:
    lie = Asset("ethereum", "eip155:1", "TUSD", 18, stage.TOKEN)
    verdict = policy(TOKEN, ANYONE).decide(stage.review((lie, stage.CAROL, 1)), stage.empty)
    assert verdict == Deny("default-deny", "TUSD has 6 decimals, the review says 18")


def test_a_rolling_limit_adds_what_was_paid(stage: SimpleNamespace) -> None:
    limited = policy(ANYONE, rule("rolling-limit", 'max = "1btc"', 'window = "24h"'))
    history = History(
        stage.now, [HistoryEntry(stage.now - timedelta(hours=ago), stage.BTC, "x", 30_000_000) for ago in (1, 23, 25)]
    )
    assert limited.decide(stage.review((stage.BTC, stage.ALICE, 40_000_000)), history) == Allow("anyone")
    verdict = limited.decide(stage.review((stage.BTC, stage.ALICE, 40_000_001)), history)
    assert verdict == Deny("it", "0.40000001 BTC and the 0.6 BTC paid in the last 24 hours are over the limit of 1 BTC")
    assert limited.decide(stage.review((stage.REGTEST, "x", 40_000_001)), history) == Allow("anyone")


def test_splitting_just_under_the_limit_gains_nothing(stage: SimpleNamespace) -> None:
    limited = policy(ANYONE, rule("rolling-limit", 'max = "1btc"', 'window = "1h"'))
    history, sent = stage.empty, 0
    for _ in range(10):
        if isinstance(limited.decide(stage.review((stage.BTC, stage.ALICE, 30_000_000)), history), Allow):
            history = history.added(HistoryEntry(stage.now, stage.BTC, stage.ALICE, 30_000_000))
            sent += 30_000_000
    assert sent == 90_000_000


@pytest.mark.parametrize(
    ("line", "fee", "rate", "reason"),
    [
        ('max = "1000sat"', 1000, "1 sat/vB", None),
        ('max = "1000sat"', 1001, "1 sat/vB", "the fee may reach 0.00001001 BTC, over the cap of 0.00001 BTC"),
        ('percent = "1%"', 1000, "1 sat/vB", None),
        ('percent = "1%"', 1001, "1 sat/vB", "the fee may reach 0.00001001 BTC, over the cap of 1% of the amount"),
        ('rate = "50sat/vb"', 9, "50 sat/vB", None),
        ('rate = "50sat/vb"', 9, "50.001 sat/vB", "the fee rate of 50.001 sat/vB is over the cap of 50sat/vb"),
        ('rate = "50sat/vb"', 9, "quick", "the fee rate cannot be read, so it cannot be held to its cap"),
        ('rate = "50gwei"', 9, "quick", None),
        ('max = "1wei"', 1000, "1 sat/vB", None),
    ],
)
def test_fee_caps_hold_the_worst_case(
    stage: SimpleNamespace, line: str, fee: int, rate: str, reason: str | None
) -> None:
    capped = policy(ANYONE, rule("fee-cap", line))
    verdict = capped.decide(stage.review((stage.BTC, stage.ALICE, 100_000), fee=fee, rate=rate), stage.empty)
    assert verdict == (Allow("anyone") if reason is None else Deny("it", reason))


def test_a_percent_cap_is_silent_for_tokens(stage: SimpleNamespace) -> None:
    capped = policy(ANYONE, rule("fee-cap", 'percent = "1%"'))
    assert isinstance(capped.decide(stage.review((stage.TUSD, stage.CAROL, 1), fee=10**15), stage.empty), Allow)


def test_the_largest_quorum_is_asked(stage: SimpleNamespace) -> None:
    asking = policy(
        ANYONE,
        rule("approval", "quorum = 1", name="always"),
        rule("approval", 'above = "1btc"', "quorum = 2", name="big"),
        rule("approval", 'above = "0.5btc"', "quorum = 2", name="also-big"),
    )
    assert asking.decide(stage.review((stage.BTC, stage.ALICE, 10)), stage.empty) == NeedApproval(
        "always", "every payment here needs approval", 1
    )
    verdict = asking.decide(stage.review((stage.BTC, stage.ALICE, 100_000_001)), stage.empty)
    assert verdict == NeedApproval("big", "1.00000001 BTC is above 1 BTC", 2)


def test_an_approval_above_an_amount_speaks_of_its_asset_only(stage: SimpleNamespace) -> None:
    asks = policy(ANYONE, rule("approval", 'above = "1btc"', "quorum = 2"))
    assert isinstance(asks.decide(stage.review((stage.ETH, stage.CAROL, 10**18)), stage.empty), Allow)
    assert isinstance(asks.decide(stage.review((stage.BTC, stage.ALICE, 10**8 + 1)), stage.empty), NeedApproval)


def test_approval_does_not_replace_allowance_nor_lift_a_refusal(stage: SimpleNamespace) -> None:
    assert isinstance(
        policy(rule("approval", "quorum = 2")).decide(stage.review((stage.BTC, stage.ALICE, 1)), stage.empty), Deny
    )
    both = policy(ANYONE, rule("approval", "quorum = 2"), rule("limit", 'max = "1sat"', name="low"))
    assert isinstance(both.decide(stage.review((stage.BTC, stage.ALICE, 2)), stage.empty), Deny)


def test_scopes_keep_a_rule_silent_elsewhere(stage: SimpleNamespace) -> None:
    for line, mine in (
        ('chain = "bitcoin"', True),
        ('chain = "ethereum"', False),
        ('network = "main"', True),
        ('network = "regtest"', False),
        ('account = "treasury"', True),
        ('account = "petty-cash"', False),
    ):
        review = stage.review((stage.BTC, stage.ALICE, 1))
        assert isinstance(policy(rule("allow-any", line)).decide(review, stage.empty), Allow) == mine
        assert isinstance(policy(ANYONE, rule("deny-any", line)).decide(review, stage.empty), Deny) == mine


def test_assets_scope_allowances(stage: SimpleNamespace) -> None:
    only = policy(TOKEN, rule("allow-any", 'asset = "TUSD"'))
    assert isinstance(only.decide(stage.review((stage.TUSD, stage.CAROL, 1)), stage.empty), Allow)
    assert isinstance(only.decide(stage.review((stage.ETH, stage.CAROL, 1)), stage.empty), Deny)
    frozen = policy(TOKEN, ANYONE, rule("deny-any", 'asset = "TUSD"'))
    assert isinstance(frozen.decide(stage.review((stage.TUSD, stage.CAROL, 1)), stage.empty), Deny)
    assert isinstance(frozen.decide(stage.review((stage.ETH, stage.CAROL, 1)), stage.empty), Allow)


def test_an_opaque_call_is_refused_unless_a_rule_names_the_contract(stage: SimpleNamespace) -> None:
    call = stage.review((stage.ETH, stage.CAROL, 0), warnings=(OPAQUE_CALL,))
    assert policy(ANYONE).decide(call, stage.empty) == Deny(
        "default-deny", "no rule allows this contract call (opaque-call)"
    )
    named = rule("allow-calls", f'contracts = ["{stage.CAROL}"]')
    assert policy(ANYONE, named).decide(call, stage.empty) == Allow("anyone")
    assert isinstance(policy(named).decide(call, stage.empty), Deny)
    other = rule("allow-calls", f'contracts = ["{stage.TOKEN}"]')
    assert isinstance(policy(ANYONE, other).decide(call, stage.empty), Deny)


def test_an_unlimited_allowance_is_refused_unless_a_rule_names_the_token(stage: SimpleNamespace) -> None:
    approve = stage.review((stage.TUSD, stage.CAROL, 2**256 - 1), warnings=(UNLIMITED_ALLOWANCE,))
    assert isinstance(policy(ANYONE).decide(approve, stage.empty), Deny)
    assert isinstance(
        policy(ANYONE, rule("allow-calls", f'contracts = ["{stage.TOKEN}"]')).decide(approve, stage.empty), Allow
    )


def test_a_review_without_payments_needs_a_rule_for_the_fee(stage: SimpleNamespace) -> None:
    assert policy(ANYONE).decide(stage.review(), stage.empty) == Allow("anyone")
    listed = policy(rule("allow-list", f'addresses = ["{stage.ALICE}"]'))
    assert listed.decide(stage.review(), stage.empty) == Deny(
        "default-deny", "nothing is paid, and no rule allows the fee alone"
    )
    assert isinstance(policy(ANYONE, rule("deny-any")).decide(stage.review(), stage.empty), Deny)
    assert isinstance(policy(ANYONE, rule("approval", "quorum = 1")).decide(stage.review(), stage.empty), NeedApproval)


def test_explanations_are_one_sentence_with_the_rule(stage: SimpleNamespace) -> None:
    asking = policy(
        ANYONE, rule("approval", 'above = "1btc"', "quorum = 2", name="big"), rule("limit", 'max = "2btc"', name="most")
    )
    sentences = [
        asking.explain(stage.review((stage.BTC, stage.ALICE, amount * 10**8)), stage.empty) for amount in (1, 2, 3)
    ]
    assert sentences == [
        'Allowed by the rule "anyone".',
        'Needs the approval of 2 people by the rule "big": 2 BTC is above 1 BTC.',
        'Refused by the rule "most": 3 BTC is over the limit of 2 BTC for one transaction.',
    ]


def test_the_digest_follows_the_meaning_not_the_spelling() -> None:
    one = policy('[[rule]]\nname = "a"\nkind = "limit"\nmax = "1btc"\n')
    other = policy('# comment\n[[rule]]\nmax = "100000000 sat"\nkind = "limit"\nname = "a"\n')
    assert one.digest() == other.digest()
    assert len(one.digest()) == 64
    changed = [
        policy('[[rule]]\nname = "a"\nkind = "limit"\nmax = "1.1btc"\n'),
        policy('[[rule]]\nname = "b"\nkind = "limit"\nmax = "1btc"\n'),
        policy('[[rule]]\nname = "a"\nkind = "limit"\nmax = "1btc"\nnetwork = "main"\n'),
        policy('[[rule]]\nname = "a"\nkind = "limit"\nmax = "1btc"\n', ANYONE),
        policy(ANYONE, '[[rule]]\nname = "a"\nkind = "limit"\nmax = "1btc"\n'),
        policy(TOKEN, '[[rule]]\nname = "a"\nkind = "limit"\nmax = "1btc"\n'),
    ]
    assert len({item.digest() for item in [one, *changed]}) == 7


def test_addresses_enter_the_digest_in_one_spelling_and_any_order(stage: SimpleNamespace) -> None:
    one = policy(rule("allow-list", f'addresses = ["{stage.ALICE}", "{stage.BOB}"]'))
    other = policy(rule("allow-list", f'addresses = ["{stage.BOB}", "{stage.ALICE.upper()}"]'))
    assert one.digest() == other.digest()


def test_the_default_policy(stage: SimpleNamespace) -> None:
    default = RulePolicy.from_toml(DEFAULT_POLICY_TOML)
    assert default.decide(stage.review((stage.BTC, stage.ALICE, 10**8)), stage.empty) == Allow("bitcoin-to-anyone")
    assert isinstance(default.decide(stage.review((stage.BTC, stage.ALICE, 10**8 + 1)), stage.empty), Deny)
    assert isinstance(default.decide(stage.review((stage.ETH, stage.CAROL, 11 * 10**18)), stage.empty), Deny)
    token = default.decide(stage.review((stage.TUSD, stage.CAROL, 1)), stage.empty)
    assert isinstance(token, Deny)
    assert token.rule == "default-deny"


def test_a_review_that_contradicts_itself_is_refused(stage: SimpleNamespace) -> None:
    from dataclasses import replace

    anyone = policy(ANYONE, rule("limit", 'max = "1btc"'))
    good = stage.review((stage.BTC, stage.ALICE, 5))
    assert isinstance(anyone.decide(good, stage.empty), Allow)
    for amounts in ((200_000_000, -150_000_000), (-1,), (True,), (1.5,), (float("nan"),)):
        flawed = stage.review(*((stage.BTC, stage.ALICE, amount) for amount in amounts))
        verdict = anyone.decide(flawed, stage.empty)
        assert isinstance(verdict, Deny)
        assert "no amount that can be paid" in verdict.reason
    for flawed, words in (
        (replace(good, fee=-1), "no amount"),
        (replace(good, max_fee=-1), "no amount"),
        (replace(good, max_fee=good.fee - 1), "above the most"),
        (replace(good, network="regtest"), "is of regtest and pays on main"),
        (replace(good, chain="ethereum"), "pays on"),
        (replace(good, fee_asset=stage.REGTEST), "is of main and pays on regtest"),
        (stage.review((stage.BTC, stage.ALICE, 5), (stage.REGTEST, stage.ALICE, 5)), "pays on regtest"),
    ):
        verdict = anyone.decide(flawed, stage.empty)
        assert isinstance(verdict, Deny)
        assert verdict.rule == "default-deny"
        assert words in verdict.reason


def test_a_review_without_payments_is_not_allowed_by_a_rule_for_another_coin(stage: SimpleNamespace) -> None:
    verdict = policy(rule("allow-any", 'asset = "ETH"')).decide(stage.review(), stage.empty)
    assert isinstance(verdict, Deny)


def test_deciding_is_pure(stage: SimpleNamespace) -> None:
    default = RulePolicy.from_toml(DEFAULT_POLICY_TOML)
    review = stage.review((stage.BTC, stage.ALICE, 10**8))
    assert default.decide(review, stage.empty) == default.decide(review, stage.empty)


def test_a_hundred_rules_over_ten_thousand_entries_are_quick(stage: SimpleNamespace) -> None:
    rules = [
        rule("rolling-limit", 'max = "100btc"', f'window = "{minute}m"', name=f"r{minute}") for minute in range(1, 100)
    ]
    many = policy(ANYONE, *rules)
    history = History(
        stage.now, [HistoryEntry(stage.now - timedelta(seconds=s), stage.BTC, "x", 1) for s in range(10_000)]
    )
    review = stage.review((stage.BTC, stage.ALICE, 10**8))
    best = 1.0
    for _ in range(5):
        start = time.perf_counter()
        assert many.decide(review, history) == Allow("anyone")
        best = min(best, time.perf_counter() - start)
    assert best < 0.001 * 10  # ten times the target: a shared machine must not fail the test


def test_a_contract_creation_is_refused(stage: SimpleNamespace) -> None:
    named = rule("allow-calls", f'contracts = ["{stage.CAROL}"]')
    creation = stage.review(asset=stage.ETH, warnings=(CREATION,))
    assert isinstance(policy(ANYONE, named).decide(creation, stage.empty), Deny)


def test_the_codes_are_those_ethereum_reviews_use() -> None:
    from bursar.ethereum.address import Address
    from bursar.ethereum.review import effects
    from bursar.ethereum.token import encode_approve
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.ethereum.units import Wei

    def codes(to: Address | None, data: bytes) -> set[str]:
        fees = {"max_fee_per_gas": Wei(2), "max_priority_fee_per_gas": Wei(1)}
        tx = UnsignedTransaction(chain_id=1, nonce=0, to=to, value=Wei(0), data=data, gas_limit=90000, **fees)
        return {caution.code for caution in effects(tx).cautions}

    somebody = Address(b"\x11" * 20)
    assert OPAQUE_CALL in codes(somebody, b"\x01\x02\x03\x04")
    assert CREATION in codes(None, b"\x60\x00")
    assert UNLIMITED_ALLOWANCE in codes(somebody, encode_approve(somebody, 2**256 - 1))
