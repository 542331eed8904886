"""The policy contract: one pure question, one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from bursar.policy.history import History
    from bursar.policy.review import Review
    from bursar.policy.verdict import Verdict


@runtime_checkable
class Policy(Protocol):
    """Decides a review. Pure: the same review and history give the same verdict; what is not allowed is denied."""

    def decide(self, review: Review, history: History) -> Verdict: ...
