"""The conformance kit: what every signer must do, for anybody who writes one to run in their own tests."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.errors import BursarError
from bursar.signing.conformance import account_cases, hostile_cases, psbt_cases, typed_data_cases
from bursar.signing.conformance.case import Case, NonconformanceError, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.signing.protocols import Signer

__all__ = ["CASES", "Case", "NonconformanceError", "Profile", "Report", "assert_signer", "run_case"]

CASES: tuple[Case, ...] = (*psbt_cases.CASES, *hostile_cases.CASES, *account_cases.CASES, *typed_data_cases.CASES)


@dataclass(frozen=True, slots=True)
class Report:
    """Names of the cases met, of those the signer has no capability for, and of those its profile tolerates."""

    met: tuple[str, ...]
    not_applicable: tuple[str, ...]
    tolerated: tuple[str, ...]


def assert_signer(make_signer: Callable[[], Signer], *, profile: Profile | None = None) -> Report:
    """Run every case that applies on a fresh signer each; ``NonconformanceError`` lists all that are not met.

    The signer may hold any keys: the questions are made from its own public ones. A test of it is one line::

        assert_signer(lambda: MySigner(...))
    """
    known = profile or Profile()
    unknown = known.tolerated - {case.name for case in CASES}
    if unknown:
        raise NonconformanceError(f"the profile tolerates cases that do not exist: {', '.join(sorted(unknown))}")
    met: list[str] = []
    absent: list[str] = []
    failures: list[str] = []
    for case in CASES:
        if case.name in known.tolerated:
            continue
        try:
            (met if run_case(case, make_signer, profile=known) else absent).append(case.name)
        except NonconformanceError as error:
            failures.append(str(error))
    if failures:
        raise NonconformanceError("\n".join([f"{len(failures)} of {len(CASES)} cases are not met:", *failures]))
    return Report(tuple(met), tuple(absent), tuple(sorted(known.tolerated)))


def run_case(case: Case, make_signer: Callable[[], Signer], *, profile: Profile | None = None) -> bool:
    """Run one case on a fresh signer; whether it applies. ``NonconformanceError`` names the case that is not met.

    For test frameworks: parametrise a test by ``CASES`` and call this.
    """
    with closing(make_signer()) as signer:
        if not isinstance(signer, case.needs):
            return False
        try:
            case.run(signer, profile or Profile())
        except BursarError as error:
            raise NonconformanceError(f"{case.name}: {type(error).__name__}: {error.message}") from error
        except NonconformanceError as error:
            raise NonconformanceError(f"{case.name}: {error}") from error
    return True
