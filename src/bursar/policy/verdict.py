"""Verdict: what a policy answers, an allowance, a refusal, or a call for more people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from bursar.errors import ApprovalPendingError, PolicyDeniedError


@dataclass(frozen=True, slots=True)
class Allow:
    """The review may be signed; ``rule`` is the rule that allows its first payment."""

    rule: str


@dataclass(frozen=True, slots=True)
class Deny:
    """The review must not be signed; ``reason`` is a clause in lower case without a full stop."""

    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class NeedApproval:
    """The review may be signed once ``need`` different people have approved it."""

    rule: str
    reason: str
    need: int


Verdict: TypeAlias = Allow | Deny | NeedApproval


def require_allowed(verdict: Verdict, *, have: int = 0) -> None:
    """Return when ``verdict`` permits signing with ``have`` approvals, otherwise raise.

    Raises ``PolicyDeniedError`` for a refusal and ``ApprovalPendingError`` while approvals are missing.
    """
    match verdict:
        case Allow():
            return
        case Deny(rule=rule, reason=reason):
            raise PolicyDeniedError(f'refused by the policy rule "{rule}": {reason}', rule=rule, reason=reason)
        case NeedApproval(rule=rule, reason=reason, need=need):
            if have < need:
                message = f'the policy rule "{rule}" wants {need} approvals and has {have}: {reason}'
                raise ApprovalPendingError(message, have=have, need=need)
        case _:
            # A policy written elsewhere may answer anything: what is not understood is refused.
            message = f"the policy answered {type(verdict).__name__}, which is no verdict: nothing may be signed"
            raise PolicyDeniedError(message, rule="unknown", reason="the policy's answer was not understood")
