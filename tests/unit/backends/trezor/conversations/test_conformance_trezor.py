"""The conversations as a signer, put through the conformance kit; what a Trezor cannot do is named here."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bursar.signing.conformance import CASES, Profile, assert_signer

# signing beside strangers' open inputs, taproot with hash type ALL, and Ethereum's type 1: no Trezor does these
CANNOT = frozenset({"other-peoples-inputs-stay", "a-named-hash-type-is-used", "every-transaction-type-signs"})
ELSEWHERE = frozenset({"typed-data-signs", "nested-arrays-sign-or-are-refused"})  # test_typed_data_simulated.py


@pytest.mark.parametrize("firmware", ["modern", "one"])
def test_the_kit_is_met(trezor: SimpleNamespace, firmware: str) -> None:
    made = getattr(trezor, firmware)
    report = assert_signer(lambda: trezor.signer(made), profile=Profile(tolerated=CANNOT))
    assert len(report.met) == len(CASES) - len(CANNOT) - len(ELSEWHERE)
    assert set(report.not_applicable) == ELSEWHERE
