"""Fee rates from several sources, held against each other: one that lies or errs is outvoted, never followed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.units import FeeRate
from bursar.chain.fees import FeeCaps
from bursar.errors import ChainError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.chain.protocols import FeeEstimator

SPREAD: Final = 3  # honest estimators differ by less than this factor


@dataclass(frozen=True, slots=True)
class FixedRate:
    """A ``FeeEstimator`` that says what it was told: one rate, whatever the target."""

    rate: FeeRate

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:  # noqa: ARG002
        """The rate."""
        return self.rate


@dataclass(frozen=True, slots=True)
class FixedRates:
    """A ``FeeEstimator`` from a table of rates by blocks to wait, such as a service's answer or an operator's file."""

    by_target: Mapping[int, FeeRate]

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        """The rate of the largest target that is soon enough, else that of the soonest; ``None`` of an empty table."""
        if not self.by_target:
            return None
        soon = [target for target in self.by_target if target <= target_blocks]
        return self.by_target[max(soon, default=min(self.by_target))]


@dataclass(frozen=True, slots=True)
class CheckedRate:
    """What ``cross_checked`` found: the rate, who agreed, and who was left out with the reason."""

    rate: FeeRate
    agreed: Mapping[str, FeeRate]
    refused: Mapping[str, str] = field(default_factory=dict)


def cross_checked(
    sources: Mapping[str, FeeEstimator],
    *,
    target_blocks: int,
    caps: FeeCaps | None = None,
    spread: int = SPREAD,
    needed: int = 1,
) -> CheckedRate:
    """The median of what the sources say, without those that say nothing, are above the cap, or far off the others.

    An answer is far off when it is more than ``spread`` times the median or less than its ``spread``-th part. Fewer
    than ``needed`` answers that agree raise ``ChainError`` ``chain.fee-unknown``; sources of which no majority agrees
    raise ``chain.fee-disagreement``, for then nobody can say which of them errs.
    """
    if needed < 1 or spread < 1 or not sources:
        raise InvalidInputError("a cross-check needs sources, and a count and a spread of at least 1", code="input.fee")
    most = (caps or FeeCaps()).bitcoin
    heard: dict[str, FeeRate] = {}
    refused: dict[str, str] = {}
    for name, source in sources.items():
        try:
            rate = source.fee_rate(target_blocks=target_blocks)
        except ChainError as error:
            refused[name] = error.message
            continue
        if rate is None:
            refused[name] = "has no estimate"
        elif rate > most:
            refused[name] = f"says {rate}, above the cap of {most}"
        else:
            heard[name] = rate
    middle = _median(list(heard.values()))
    agreed = {
        name: rate
        for name, rate in heard.items()
        if rate.sat_per_kvb <= middle * spread and middle <= rate.sat_per_kvb * spread
    }
    refused |= {name: f"says {rate}, far off the others" for name, rate in heard.items() if name not in agreed}
    if heard and 2 * len(agreed) <= len(heard):
        raise ChainError(
            f"the sources of fee rates disagree ({_listed(heard)}): give the rate yourself",
            code="chain.fee-disagreement",
        )
    if len(agreed) < needed:
        reasons = "; ".join(f"{name} {reason}" for name, reason in refused.items())
        raise ChainError(
            f"{len(agreed)} of {len(sources)} sources give a fee rate and {needed} are needed ({reasons}): "
            "give the rate yourself",
            code="chain.fee-unknown",
        )
    return CheckedRate(FeeRate(_median(list(agreed.values()))), agreed, refused)


@dataclass(frozen=True, slots=True)
class CrossChecked:
    """``cross_checked`` as a ``FeeEstimator``, with the sources by name."""

    sources: Mapping[str, FeeEstimator]
    caps: FeeCaps = field(default_factory=FeeCaps)
    spread: int = SPREAD
    needed: int = 1

    def fee_rate(self, *, target_blocks: int) -> FeeRate | None:
        """The rate agreed on; ``ChainError`` where there is none."""
        return cross_checked(
            self.sources, target_blocks=target_blocks, caps=self.caps, spread=self.spread, needed=self.needed
        ).rate


def _median(rates: list[FeeRate]) -> int:
    """In sat/kvB; of two in the middle their mean, rounded up. 0 of none."""
    if not rates:
        return 0
    ordered = sorted(rate.sat_per_kvb for rate in rates)
    return -(-(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2)


def _listed(rates: Mapping[str, FeeRate]) -> str:
    return ", ".join(f"{name} {rate}" for name, rate in rates.items())
