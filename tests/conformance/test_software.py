"""The software signer meets every demand of the conformance kit, in every configuration."""

from __future__ import annotations

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.network import Network
from bursar.crypto.secret import Secret
from bursar.keys.mnemonic import Mnemonic
from bursar.signing.conformance import CASES, Case, Profile, assert_signer, run_case

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def software() -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    assert run_case(case, software) == (case.name != "addresses-are-shown")


@pytest.mark.parametrize("options", [{"verify_after_sign": False}, {"low_r": False}])
def test_every_option_conforms(options: dict[str, bool]) -> None:
    report = assert_signer(lambda: SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS), **options))
    assert report.not_applicable == ("addresses-are-shown",)
    assert len(report.met) == len(CASES) - 1


def test_another_network_with_a_passphrase_conforms() -> None:
    profile = Profile(network=Network.MAIN, chain_id=1)
    assert_signer(lambda: SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS), Secret(b"TREZOR")), profile=profile)
