"""Allowances, delegations and nested calls: what policies decide of them and what people read."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from bursar.errors import InvalidInputError
from bursar.policy.policy import RulePolicy
from bursar.policy.render import review_text
from bursar.policy.review import Asset, Called, Delegated, Granted, Payment, Review, ReviewWarning
from bursar.policy.verdict import Allow, Deny, NeedApproval

SPENDER, OTHER, CODE = ("0x" + digit * 40 for digit in "123")
ANYONE = 'name = "anyone"\nkind = "allow-any"'


def policy(*rules: str) -> RulePolicy:
    return RulePolicy.from_toml("version = 1\n" + "".join(f"[[rule]]\n{rule}\n" for rule in rules) + TOKEN)


TOKEN = """[[token]]
symbol = "TUSD"
network = "eip155:1"
contract = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
decimals = 6
"""


def granting(stage: SimpleNamespace, *given: Granted, **changes: object) -> Review:
    bare: Review = stage.review(asset=stage.ETH)
    return replace(bare, allowances=given, **changes)  # type: ignore[arg-type]


def test_a_spender_is_a_payee_up_to_the_amount(stage: SimpleNamespace) -> None:
    listed = f'name = "list"\nkind = "allow-list"\naddresses = ["{SPENDER}"]'
    limit = 'name = "limit"\nkind = "limit"\nmax = "10 TUSD"'
    ten = Granted(stage.TUSD, SPENDER, 10 * 10**6)
    assert policy(listed, limit).decide(granting(stage, ten), stage.empty) == Allow("list")
    more = replace(ten, amount=10 * 10**6 + 1)
    assert policy(listed, limit).decide(granting(stage, more), stage.empty).rule == "limit"
    verdict = policy(listed).decide(granting(stage, replace(ten, spender=OTHER)), stage.empty)
    assert isinstance(verdict, Deny)
    assert "an allowance counts as a payment" in verdict.reason
    rolling = 'name = "day"\nkind = "rolling-limit"\nmax = "10 TUSD"\nwindow = "24h"'
    assert policy(ANYONE, rolling).decide(granting(stage, more), stage.empty).rule == "day"
    people = 'name = "people"\nkind = "approval"\nquorum = 2\nabove = "10 TUSD"'
    assert policy(ANYONE, people).decide(granting(stage, more), stage.empty) == NeedApproval(
        "people", "10.000001 TUSD is above 10 TUSD", 2
    )
    denied = f'name = "bad"\nkind = "deny-list"\naddresses = ["{SPENDER}"]'
    assert policy(ANYONE, denied).decide(granting(stage, ten), stage.empty).rule == "bad"


def test_payments_and_allowances_add_up(stage: SimpleNamespace) -> None:
    limit = 'name = "limit"\nkind = "limit"\nmax = "10 TUSD"'
    both = replace(
        stage.review((stage.TUSD, SPENDER, 6 * 10**6)), allowances=(Granted(stage.TUSD, SPENDER, 5 * 10**6),)
    )
    assert policy(ANYONE, limit).decide(both, stage.empty).rule == "limit"
    assert [(one.to, one.amount) for one in both.spending] == [(SPENDER, 6 * 10**6), (SPENDER, 5 * 10**6)]


def test_unlimited_needs_a_rule_whether_or_not_a_warning_says_so(stage: SimpleNamespace) -> None:
    every = Granted(stage.TUSD, SPENDER, 2**256 - 1, unlimited=True)
    calls = f'name = "calls"\nkind = "allow-calls"\ncontracts = ["{stage.TOKEN}"]'
    for asked in (
        granting(stage, every),
        granting(stage, every, warnings=(ReviewWarning("unlimited-allowance", "all"),)),
        granting(stage, every, calls=(Called(stage.TOKEN, 0, "approve"),)),
    ):
        verdict = policy(ANYONE).decide(asked, stage.empty)
        assert isinstance(verdict, Deny)
        assert "unlimited-allowance" in verdict.reason
        assert policy(ANYONE, calls).decide(asked, stage.empty) == Allow("anyone")


def test_an_allowance_taken_back_pays_nobody(stage: SimpleNamespace) -> None:
    ended = granting(stage, Granted(stage.TUSD, SPENDER, 0))
    assert ended.spending == ()
    assert policy(ANYONE).decide(ended, stage.empty) == Allow("anyone")


@pytest.mark.parametrize("amount", [-1, True, 1.5])
def test_no_amount_slips_past(stage: SimpleNamespace, amount: object) -> None:
    asked = granting(stage, Granted(stage.TUSD, SPENDER, amount))  # type: ignore[arg-type]
    assert isinstance(policy(ANYONE).decide(asked, stage.empty), Deny)
    elsewhere = granting(stage, Granted(replace(stage.TUSD, network="eip155:5"), SPENDER, 1))
    assert isinstance(policy(ANYONE).decide(elsewhere, stage.empty), Deny)


@pytest.mark.parametrize("code", ["delegate-call", "safe-change", "domain-mismatch", "allowance-to-account"])
def test_each_code_needs_the_rule_that_names_the_contract(stage: SimpleNamespace, code: str) -> None:
    calls = (Called(CODE, 0, understood=False, delegate=code == "delegate-call"),)
    warned = granting(stage, warnings=(ReviewWarning(code, "mind"),), calls=calls)
    assert isinstance(policy(ANYONE).decide(warned, stage.empty), Deny)
    named = policy(ANYONE, f'name = "calls"\nkind = "allow-calls"\ncontracts = ["{CODE}"]')
    assert named.decide(warned, stage.empty) == Allow("anyone")
    nested = replace(
        warned, calls=(Called(OTHER, 0, "multicall", calls=(*calls, Called(SPENDER, 0, understood=False))),)
    )
    assert isinstance(named.decide(nested, stage.empty), Deny)  # one more that nobody named


def test_creations_need_a_rule_of_their_own(stage: SimpleNamespace) -> None:
    made = granting(stage, warnings=(ReviewWarning("creation", "code"),), calls=(Called(None, 0, understood=False),))
    called = policy(ANYONE, f'name = "calls"\nkind = "allow-calls"\ncontracts = ["{CODE}"]')
    for refusing in (policy(ANYONE), called):
        assert isinstance(refusing.decide(made, stage.empty), Deny)
    creating = policy(ANYONE, 'name = "new"\nkind = "allow-creations"')
    assert creating.decide(made, stage.empty) == Allow("anyone")
    for other in ("opaque-call", "delegate-call", "unlimited-allowance"):  # it excuses nothing else
        assert isinstance(creating.decide(replace(made, warnings=(ReviewWarning(other, "mind"),)), stage.empty), Deny)
        both = replace(made, warnings=(*made.warnings, ReviewWarning(other, "mind")))
        assert isinstance(creating.decide(both, stage.empty), Deny)


def test_delegations(stage: SimpleNamespace) -> None:
    def asked(*given: Delegated) -> Review:
        return granting(stage, delegations=given)

    one = Delegated(OTHER, CODE)
    named = policy(ANYONE, f'name = "code"\nkind = "allow-delegations"\ndelegates = ["{CODE}"]')
    assert isinstance(policy(ANYONE).decide(asked(one), stage.empty), Deny)
    assert named.decide(asked(one), stage.empty) == Allow("anyone")
    assert isinstance(named.decide(asked(one, Delegated(OTHER, SPENDER)), stage.empty), Deny)
    assert isinstance(named.decide(asked(replace(one, any_chain=True)), stage.empty), Deny)
    every = policy(ANYONE, f'name = "code"\nkind = "allow-delegations"\ndelegates = ["{CODE}"]\nany_chain = true')
    assert every.decide(asked(replace(one, any_chain=True)), stage.empty) == Allow("anyone")
    assert every.digest() != named.digest()
    assert policy(ANYONE).decide(asked(Delegated(OTHER, "0x" + "0" * 40)), stage.empty) == Allow("anyone")
    with pytest.raises(InvalidInputError, match="neither true nor false"):
        policy(f'name = "code"\nkind = "allow-delegations"\ndelegates = ["{CODE}"]\nany_chain = 1')


def test_people_read_all_of_it(stage: SimpleNamespace) -> None:
    cats = Asset("ethereum", "eip155:1", "CATS", 0, CODE)
    inner = Called(stage.TOKEN, 0, "transfer", (("to", OTHER), ("amount", "5")))
    asked = replace(
        stage.review((cats, OTHER, 1)),
        payments=(Payment(cats, OTHER, 1, None, 7), Payment(cats, OTHER, 3, None, 8)),
        allowances=(
            Granted(stage.TUSD, SPENDER, 5 * 10**6, until=1_800_000_000),
            Granted(stage.TUSD, SPENDER, 2**256 - 1, unlimited=True),
            Granted(stage.TUSD, SPENDER, 0),
            Granted(cats, SPENDER, 1, 9),
        ),
        delegations=(Delegated(OTHER, CODE, any_chain=True),),
        calls=(
            Called(
                SPENDER, 10**18, "multicall",
                calls=(inner, Called(CODE, 0, delegate=True, understood=False), Called(CODE, 0, understood=False)),
            ),
        ),
    )  # fmt: skip
    lines = review_text(asked).splitlines()
    for line in (
        f"    CATS number 7  to  {OTHER}",
        f"  3 of CATS number 8  to  {OTHER}",
        "  5 TUSD, until 2027-01-15 08:00 UTC",
        f"    by  {SPENDER}",
        "  ALL TUSD, now and later",
        "  no TUSD any more: this takes an allowance back",
        "  CATS number 9",
        f"  {OTHER}  runs the code of  {CODE}, on EVERY chain",
        f"  multicall  on  {SPENDER}, with 1 ETH",
        f"    transfer  on  {stage.TOKEN}",
        "      amount: 5",
        f"    UNKNOWN CODE RUN AS THE CALLER  on  {CODE}",
        f"    AN UNKNOWN FUNCTION  on  {CODE}",
    ):
        assert any(line.strip() == one.strip() and one.startswith(line[:2]) for one in lines), line


def test_what_is_too_long_to_show_is_counted_and_nothing_hides(stage: SimpleNamespace) -> None:
    evil = Called(OTHER, 0, "approve\u202e\n  Pays", (("to\n", "x\ny" * 500),), calls=())
    asked = replace(stage.review(asset=stage.ETH), calls=(evil,) * 200,
                    allowances=(Granted(stage.TUSD, SPENDER, 1),) * 150)  # fmt: skip
    text = review_text(asked)
    assert "and 300 more lines of calls" in text
    assert "and 50 more allowances" in text
    assert "\u202e" not in text
    assert all(len(line) < 400 for line in text.splitlines())


def test_one_contract_named_lifts_nothing_off_another(stage: SimpleNamespace) -> None:
    blind = Called(CODE, 0, understood=False)
    named = policy(ANYONE, f'name = "calls"\nkind = "allow-calls"\ncontracts = ["{CODE}"]')
    both = policy(ANYONE, f'name = "calls"\nkind = "allow-calls"\ncontracts = ["{CODE}", "{stage.TOKEN}"]')
    warned = (ReviewWarning("opaque-call", "x"), ReviewWarning("allowance-to-account", "y"))
    for given in (Granted(stage.TUSD, SPENDER, 5), Granted(stage.TUSD, SPENDER, 2**255, unlimited=True)):
        asked = granting(stage, given, calls=(blind, Called(stage.TOKEN, 0, "approve")), warnings=warned)
        assert isinstance(named.decide(asked, stage.empty), Deny)
        assert both.decide(asked, stage.empty) == Allow("anyone")
    mismatch = granting(stage, Granted(stage.TUSD, SPENDER, 5), calls=(blind,),
                        warnings=(ReviewWarning("domain-mismatch", "z"),))  # fmt: skip
    assert isinstance(named.decide(mismatch, stage.empty), Deny)
    assert both.decide(mismatch, stage.empty) == Allow("anyone")
