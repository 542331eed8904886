"""Advice after a refusal: the rules it names would allow what was refused, and nothing is advised against a refusal."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bursar.cli.advice import after_verdict
from bursar.policy.history import History
from bursar.policy.policy import DEFAULT_POLICY_TOML, RulePolicy
from bursar.policy.review import (
    ALLOWANCE_TO_ACCOUNT,
    CREATION,
    OPAQUE_CALL,
    UNLIMITED_ALLOWANCE,
    Asset,
    Called,
    Delegated,
    Granted,
    Payment,
    Review,
    ReviewWarning,
)
from bursar.policy.verdict import Allow, Deny

NETWORK = "eip155:1"
USDC = Asset("ethereum", NETWORK, "USDC", 6, "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
ETHER = Asset("ethereum", NETWORK, "ETH", 18)
UNNAMED = replace(USDC, symbol="units", decimals=0)
SPENDER = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"  # an example of EIP-55
OTHER = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
NOTHING = History(now=datetime(2026, 11, 22, tzinfo=UTC))
TOKEN = f'[[token]]\nsymbol = "USDC"\nnetwork = "{NETWORK}"\ncontract = "{USDC.contract}"\ndecimals = 6\n'
FREE = 'version = 1\n[[rule]]\nname = "anything"\nkind = "allow-any"\n'


def review(*warnings: str, **fields: Any) -> Review:
    usual: dict[str, Any] = {
        "chain": "ethereum",
        "network": NETWORK,
        "account": "gas",
        "payments": (),
        "change": (),
        "fee": 1,
        "max_fee": 1,
        "fee_asset": ETHER,
        "fee_rate": "1 gwei",
        "warnings": tuple(ReviewWarning(code, "") for code in warnings),
    }
    return Review(**{**usual, **fields})


def called(**fields: Any) -> dict[str, Any]:
    return {"payments": (Payment(ETHER, OTHER, 0),), "calls": (Called(OTHER, 0, understood=False, **fields),)}


CASES = {
    "payment": (review(payments=(Payment(USDC, OTHER, 5),)), "allow-any"),
    "allowance of a token unknown": (review(allowances=(Granted(USDC, SPENDER, 5),)), "allow-list"),
    "payment and allowance": (
        review(payments=(Payment(USDC, OTHER, 5),), allowances=(Granted(USDC, SPENDER, 5),)),
        "allow-any",
    ),
    "numbered": (review(payments=(Payment(UNNAMED, OTHER, 1, token_id=7),)), "allow-any"),
    "opaque": (review(OPAQUE_CALL, **called()), "allow-calls"),
    "creation": (review(CREATION, calls=(Called(None, 0),)), "allow-creations"),
    "delegation": (review(delegations=(Delegated(OTHER, SPENDER),)), "allow-delegations"),
    "delegation everywhere": (review(delegations=(Delegated(OTHER, SPENDER, any_chain=True),)), "allow-delegations"),
}


def advised(policy: Path, text: str, asked: Review) -> str:
    policy.write_text(text)
    return after_verdict(RulePolicy.from_toml(text).decide(asked, NOTHING), asked, policy, NOTHING)


def tables(advice: str) -> str:
    return "\n".join(line[2:] for line in advice.splitlines() if line.startswith("  "))


@pytest.mark.parametrize(("asked", "kind"), CASES.values(), ids=list(CASES))
def test_the_rules_advised_allow_it(tmp_path: Path, asked: Review, kind: str) -> None:
    advice = advised(tmp_path / "policy.toml", DEFAULT_POLICY_TOML, asked)
    assert f'kind = "{kind}"' in advice
    assert str(tmp_path / "policy.toml") in advice
    after = RulePolicy.from_toml(f"{DEFAULT_POLICY_TOML}\n{tables(advice)}")
    assert isinstance(after.decide(asked, NOTHING), Allow)


def test_an_allowance_of_a_token_of_the_policy_needs_the_spender_only(tmp_path: Path) -> None:
    asked = review(allowances=(Granted(USDC, SPENDER, 5),))
    advice = advised(tmp_path / "policy.toml", DEFAULT_POLICY_TOML + TOKEN, asked)
    assert "[[token]]" not in advice
    assert f'addresses = ["{SPENDER}"]' in advice
    assert "100" not in advice
    again = DEFAULT_POLICY_TOML + TOKEN + tables(advice)
    other = review(allowances=(Granted(USDC, OTHER, 5),))
    assert 'name = "usdc-allowances-2"' in advised(tmp_path / "policy.toml", again, other)


def test_an_unlimited_allowance_needs_two_rules_and_a_better_idea(tmp_path: Path) -> None:
    asked = review(UNLIMITED_ALLOWANCE, allowances=(Granted(USDC, SPENDER, 5, unlimited=True),))
    advice = advised(tmp_path / "policy.toml", DEFAULT_POLICY_TOML, asked)
    assert re.findall(r'kind = "([a-z-]+)"', advice) == ["allow-list", "limit", "allow-calls"]
    assert "An allowance of an amount needs no such rule" in advice
    assert re.findall(r'kind = "([a-z-]+)"', advised(tmp_path / "policy.toml", FREE, asked)) == ["allow-calls"]


def test_an_allowance_to_somebodys_key_is_told_as_one(tmp_path: Path) -> None:
    asked = review(ALLOWANCE_TO_ACCOUNT, allowances=(Granted(USDC, SPENDER, 5),))
    advice = advised(tmp_path / "policy.toml", FREE, asked)
    assert "an allowance to an address without code" in advice
    assert f'contracts = ["{USDC.contract}"]' in advice
    assert "nobody could read" not in advice


def test_a_token_nobody_registered_is_to_be_registered_first(tmp_path: Path) -> None:
    advice = advised(tmp_path / "policy.toml", DEFAULT_POLICY_TOML, review(allowances=(Granted(UNNAMED, SPENDER, 5),)))
    assert "register it" in advice
    assert "[[rule]]" not in advice


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (FREE, review()),
        (FREE + f'[[rule]]\nname = "never"\nkind = "deny-list"\naddresses = ["{SPENDER}"]\n',
         review(allowances=(Granted(USDC, SPENDER, 5),))),
        ("version = 1\n", review(payments=(Payment(ETHER, OTHER, 5),))),  # whom coins are paid to is the policy's word
        ("version = 1\n" + TOKEN, review(payments=(Payment(USDC, OTHER, 5),))),
        (FREE, review("domain-mismatch", **called())),
    ],
)  # fmt: skip
def test_nothing_is_advised_where_somebody_decided(tmp_path: Path, text: str, asked: Review) -> None:
    assert advised(tmp_path / "policy.toml", text, asked) == ""


def test_hostile_names_and_symbols_make_no_rules(tmp_path: Path) -> None:
    odd = replace(USDC, symbol='X"\n[[rule]]')
    asked = review(allowances=(Granted(odd, SPENDER, 5),))
    assert "[[rule]]" not in advised(tmp_path / "policy.toml", DEFAULT_POLICY_TOML, asked)
    assert isinstance(RulePolicy.from_toml(DEFAULT_POLICY_TOML).decide(asked, NOTHING), Deny)
