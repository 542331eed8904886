"""Verdicts turned into errors: what is not understood is refused."""

from __future__ import annotations

import pytest

from bursar.errors import ApprovalPendingError, PolicyDeniedError
from bursar.policy.verdict import Allow, Deny, NeedApproval, require_allowed


def test_an_allowance_passes() -> None:
    require_allowed(Allow("anyone"))


def test_a_refusal_raises_with_rule_and_reason() -> None:
    with pytest.raises(PolicyDeniedError, match='rule "daily": too much') as caught:
        require_allowed(Deny("daily", "too much"), have=9)
    assert (caught.value.rule, caught.value.reason) == ("daily", "too much")


@pytest.mark.parametrize("have", [0, 1])
def test_missing_approvals_raise(have: int) -> None:
    with pytest.raises(ApprovalPendingError) as caught:
        require_allowed(NeedApproval("big", "above 1 BTC", 2), have=have)
    assert (caught.value.have, caught.value.need) == (have, 2)


def test_enough_approvals_pass() -> None:
    require_allowed(NeedApproval("big", "above 1 BTC", 2), have=2)


@pytest.mark.parametrize("answer", [None, True, "allow"])
def test_a_malformed_answer_is_a_refusal(answer: object) -> None:
    with pytest.raises(PolicyDeniedError):
        require_allowed(answer)
